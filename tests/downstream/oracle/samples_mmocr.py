"""Packed samples of mmocr: outlines of texts, texts, and forms.

Targets of a text detector are stacked, so that pictures of one batch are of one size.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Sequence, Tuple

import numpy as np
import torch

from downstream.oracle import samples_mmdet
from downstream.oracle.pictures import SCALE, outline, pictures

SIZES = ((160, 160), (160, 160), (128, 192), (128, 192))
#: Of different length; one with characters that few dictionaries have, one empty.
TEXTS = ("hello", "x", "ab12cd34", "word")


def samples(
    config: Any, kind: str = "outlines", **options: Any
) -> List[Dict[str, Any]]:
    """Samples of a kind: ``'outlines'``, ``'masks'``, ``'texts'`` or ``'forms'``."""
    kinds: Dict[str, Callable[..., List[Dict[str, Any]]]] = {
        "outlines": _outlines,
        "texts": _texts,
        "forms": _forms,
    }
    if kind == "masks":
        return samples_mmdet.samples(config, **options)
    return kinds[kind](**options)


def _meta(picture: Any) -> Dict[str, Any]:
    return {
        "img_path": f"{picture.index}.png",
        "img_shape": picture.shape,
        "ori_shape": picture.original,
        "pad_shape": picture.shape,
        "scale_factor": (SCALE, SCALE),
        "valid_ratio": 0.75 if picture.index == 1 else 1.0,
        "flip": False,
        "flip_direction": None,
    }


def _inputs(picture: Any) -> Any:
    return torch.from_numpy(picture.image.transpose(2, 0, 1).copy())


def _outlines(sizes: Any = SIZES, **options: Any) -> List[Dict[str, Any]]:
    from mmengine.structures import InstanceData
    from mmocr.structures import TextDetDataSample

    packed = []
    for picture in pictures(sizes, **options):
        count = len(picture.boxes)
        sample = TextDetDataSample(metainfo=_meta(picture))
        sample.gt_instances = InstanceData(
            bboxes=torch.from_numpy(picture.boxes),
            labels=torch.zeros(count, dtype=torch.long),
            polygons=[outline(mask) for mask in picture.masks],
            texts=["text"] * count,
            # The last one cannot be read.
            ignored=torch.arange(count) == 3,
        )
        packed.append({"inputs": _inputs(picture), "data_samples": sample})
    return packed


def _texts(
    size: Tuple[int, int] = (32, 100), channels: int = 3, texts: Sequence[str] = TEXTS
) -> List[Dict[str, Any]]:
    from mmengine.structures import LabelData
    from mmocr.structures import TextRecogDataSample

    packed = []
    for picture, text in zip(pictures([size] * 4), texts):
        sample = TextRecogDataSample(metainfo=_meta(picture))
        sample.gt_text = LabelData(item=text)
        packed.append({"inputs": _inputs(picture)[:channels], "data_samples": sample})
    return packed


def _forms(picture_of_form: bool = True) -> List[Dict[str, Any]]:
    from mmengine.structures import InstanceData
    from mmocr.structures import KIEDataSample

    packed = []
    for picture in pictures(SIZES, classes=26, empty=False):
        count = len(picture.boxes)
        draw = np.random.RandomState(picture.index)
        sample = KIEDataSample(metainfo=_meta(picture))
        sample.gt_instances = InstanceData(
            bboxes=torch.from_numpy(picture.boxes),
            labels=torch.from_numpy(picture.labels),
            edge_labels=torch.from_numpy(draw.randint(-1, 2, (count, count))),
            texts=["total", "12.50", "a", "thanks"][:count],
        )
        inputs = _inputs(picture) if picture_of_form else torch.zeros(0, 0, 0)
        packed.append({"inputs": inputs, "data_samples": sample})
    return packed
