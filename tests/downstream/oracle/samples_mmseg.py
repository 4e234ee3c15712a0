"""Packed samples of mmsegmentation.

The pictures of a batch are of one size, as a prediction stacks them; those of the
second batch are smaller than what a training pads to, with 255 in their maps.
"""

from __future__ import annotations

from typing import Any, Dict, List

import cv2
import numpy as np
import torch

from downstream.oracle.model import classes_of
from downstream.oracle.pictures import SCALE, pictures

SIZES = ((96, 128), (96, 128), (96, 96), (96, 96))


def samples(config: Any, edges: bool = False, **options: Any) -> List[Dict[str, Any]]:
    """Pictures with maps of areas.

    Args:
        config (Config): With the model: labels are below its numbers of classes.
        edges (bool): With a map of the borders of areas. Defaults to False.
        **options: Of :func:`pictures`.
    """
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    options.setdefault("segments", classes_of(config.model, 19))
    options.setdefault("sizes", SIZES)
    packed = []
    for picture in pictures(**options):
        sample = SegDataSample(
            metainfo={
                "img_path": f"{picture.index}.png",
                "seg_map_path": f"{picture.index}.png",
                "ori_shape": picture.original,
                "img_shape": picture.shape,
                "pad_shape": picture.shape,
                "scale_factor": (SCALE, SCALE),
                "flip": False,
                "flip_direction": None,
                "reduce_zero_label": False,
            }
        )
        labels = torch.from_numpy(picture.segments.astype(np.int64)[None].copy())
        sample.gt_sem_seg = PixelData(data=labels)
        if edges:
            border = cv2.Canny(picture.segments, 1, 2) > 0
            border = torch.from_numpy(border.astype(np.int64)[None].copy())
            sample.gt_edge_map = PixelData(data=border)
        inputs = torch.from_numpy(picture.image.transpose(2, 0, 1).copy())
        packed.append({"inputs": inputs, "data_samples": sample})
    return packed
