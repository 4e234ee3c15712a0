"""Packed samples of mmdet and mmyolo: what their pipelines give."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

import numpy as np
import torch

from downstream.oracle.model import classes_of
from downstream.oracle.pictures import SCALE, Picture, pictures


def samples(
    config: Any,
    semantic: str = "",
    masks: bool = True,
    ignored: bool = True,
    texts: Optional[Sequence[str]] = None,
    proposals: int = 0,
    meta: Optional[Dict[str, Any]] = None,
    **options: Any,
) -> List[Dict[str, Any]]:
    """Pictures with boxes, masks, a crowd to be ignored, and what a model needs beyond.

    Args:
        config (Config): With the model: labels are below its numbers of classes.
        semantic (str): ``"areas"``: with a map of areas; ``"panoptic"``: one that also
            has the objects. Defaults to none.
        masks (bool): With masks. Defaults to True.
        ignored (bool): The first picture's last object is ignored. Defaults to True.
        texts (tuple, optional): Names of classes. Defaults to None.
        proposals (int): Regions for a second stage alone. Defaults to 0.
        meta (dict, optional): Further meta information. Defaults to None.
        **options: Of :func:`pictures`.
    """
    options.setdefault("classes", classes_of(config.model, 80))
    packed = []
    for picture in pictures(**options):
        crowd = 1 if ignored and picture.index == 0 else 0
        sample = _sample(picture, masks, crowd)
        if semantic:
            sample.gt_sem_seg = _areas(picture, semantic)
        if texts:
            sample.set_metainfo({"text": tuple(texts), "custom_entities": True})
        if proposals:
            sample.proposals = _proposals(picture, proposals)
        sample.set_metainfo(meta or {})
        inputs = torch.from_numpy(picture.image.transpose(2, 0, 1).copy())
        packed.append({"inputs": inputs, "data_samples": sample})
    return packed


def _sample(picture: Picture, with_masks: bool, crowd: int) -> Any:
    from mmdet.structures import DetDataSample
    from mmdet.structures.bbox import HorizontalBoxes
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData

    sample = DetDataSample(
        metainfo={
            "img_id": picture.index,
            "img_path": f"{picture.index}.png",
            "ori_shape": picture.original,
            "img_shape": picture.shape,
            "scale_factor": (SCALE, SCALE),
            "border": np.zeros(4, np.float32),  # what CenterNet's pipeline cuts off
            "flip": False,
            "flip_direction": None,
        }
    )
    split = len(picture.labels) - crowd
    for name, part in (
        ("gt_instances", slice(0, split)),
        ("ignored_instances", slice(split, None)),
    ):
        instances = InstanceData()
        instances.bboxes = HorizontalBoxes(torch.from_numpy(picture.boxes[part].copy()))
        instances.labels = torch.from_numpy(picture.labels[part].copy())
        if with_masks:
            instances.masks = BitmapMasks(picture.masks[part].copy(), *picture.shape)
        setattr(sample, name, instances)
    return sample


def _areas(picture: Picture, kind: str) -> Any:
    from mmengine.structures import PixelData

    areas = picture.segments.astype("int64")
    if kind == "panoptic":  # areas after the classes of objects
        areas[areas < 255] += 80
        for mask, label in zip(picture.masks, picture.labels):
            areas[mask > 0] = label
    return PixelData(sem_seg=torch.from_numpy(areas[None].copy()))


def _proposals(picture: Picture, number: int) -> Any:
    from mmengine.structures import InstanceData

    draw = torch.Generator().manual_seed(picture.index)
    height, width = picture.shape
    low = torch.rand(number, 2, generator=draw) * 0.6
    high = low + 0.1 + torch.rand(number, 2, generator=draw) * 0.3
    boxes = torch.cat([low, high], 1) * torch.tensor([width, height] * 2)
    return InstanceData(bboxes=boxes, scores=torch.ones(number))
