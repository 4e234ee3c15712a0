"""Packed samples of mmyolo, and its own collate function for trainings."""

from __future__ import annotations

from typing import Any, Dict, List

import numpy as np
import torch

from downstream.oracle import samples_mmdet

#: A training of mmyolo stacks its pictures: all are of one size.
SIZES = ((128, 128),) * 4


def samples(config: Any, masks: bool = False, **options: Any) -> List[Dict[str, Any]]:
    """As those of mmdet, of one size, and without crowds, which mmyolo filters out."""
    from mmengine.structures import PixelData

    options.setdefault("sizes", SIZES)
    packed = samples_mmdet.samples(config, masks=masks, ignored=False, **options)
    for one in packed:
        instances = one["data_samples"].gt_instances
        if masks:  # in one map, each a number
            shapes = instances.pop("masks").masks
            numbers = np.arange(1, len(shapes) + 1)[:, None, None] * shapes
            areas = numbers.max(0) if len(shapes) else np.zeros(SIZES[0])
            areas = torch.from_numpy(areas[None].astype(np.float32))
            one["data_samples"].gt_panoptic_seg = PixelData(pan_seg=areas)
    return packed


def collate(samples: List[Dict[str, Any]], config: Any) -> Dict[str, Any]:
    """What a training of mmyolo collates with: a table of all boxes."""
    from mmyolo.datasets.utils import yolov5_collate

    options = dict(config.train_dataloader.collate_fn)
    options.pop("type")
    batch = dict(yolov5_collate(samples, **options))
    if isinstance(batch["inputs"], torch.Tensor):
        # What the multi-scale training does, which is off here.
        batch["inputs"] = batch["inputs"].float()
    return batch
