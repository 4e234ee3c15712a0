"""Packed samples of mmpretrain: a picture and its class, or some of them."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple

import torch

from downstream.oracle.model import classes_of
from downstream.oracle.pictures import pictures

#: What convolutional networks take: a batch is padded.
SIZES = ((64, 80), (72, 64), (96, 64), (80, 80))


def samples(
    config: Any,
    sizes: Sequence[Tuple[int, int]] = SIZES,
    channels: int = 3,
    several: bool = False,
) -> List[Dict[str, Any]]:
    """Pictures with a label.

    Args:
        config (Config): With the model: labels are below its numbers of classes.
        sizes (Sequence[tuple] or int): Height and width of each, or the side of all.
            Defaults to ``SIZES``.
        channels (int): Of the pictures. Defaults to 3.
        several (bool): With several labels, one picture with none. Defaults to False.
    """
    from mmpretrain.structures import DataSample

    classes = classes_of(config.model, 10)
    packed = []
    if isinstance(sizes, int):
        sizes = ((sizes, sizes),) * 4
    for picture in pictures(sizes, classes=classes, objects=3):
        sample = DataSample(
            metainfo={
                "sample_idx": picture.index,
                "img_path": f"{picture.index}.png",
                "ori_shape": picture.original,
                "img_shape": picture.shape,
                "scale_factor": (1.0, 1.0),
                "num_classes": classes,
            }
        )
        if several:
            score = torch.zeros(classes)
            score[torch.from_numpy(picture.labels)] = 1
            sample.set_gt_label(picture.labels).set_gt_score(score)
        else:
            sample.set_gt_label(int(picture.segments[0, 0]) * 7919 % classes)
        inputs = torch.from_numpy(picture.image.transpose(2, 0, 1).copy())
        packed.append({"inputs": inputs[:channels], "data_samples": sample})
    return packed
