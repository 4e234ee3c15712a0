"""Packed samples of mmaction2: frames, clips, skeletons, sound, features."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Sequence, Tuple

import torch

from downstream.oracle.model import classes_of


def samples(
    config: Any, kind: str = "clip", classes: int = 0, **options: Any
) -> List[Dict[str, Any]]:
    """Four samples of a kind: ``'clip'``, ``'feature'`` or ``'persons'``.

    Args:
        config (Config): With the model: labels are below its numbers of classes.
        kind (str): The kind. Defaults to ``'clip'``.
        classes (int): Their number, where the config does not call it num_classes.
            Defaults to 0: it does.
        **options: Of the kind.
    """
    classes = classes or classes_of(config.model, 10)
    kinds: Dict[str, Callable[..., Dict[str, Any]]] = {
        "clip": _clip,
        "feature": _feature,
        "persons": _persons,
    }
    return [kinds[kind](index, classes, **options) for index in range(4)]


def _drawn(index: int, shape: Sequence[int]) -> Any:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(index))


def _clip(index: int, classes: int, shape: Tuple[int, ...]) -> Dict[str, Any]:
    from mmaction.structures import ActionDataSample

    inputs = _drawn(index, shape) * (1 if len(shape) == 5 and shape[-1] == 3 else 255)
    if len(shape) > 3 and shape[-1] != 3:
        inputs = inputs.to(torch.uint8)
    sample = ActionDataSample(
        metainfo={"img_shape": tuple(shape[-2:]), "num_classes": classes}
    )
    sample.set_gt_label((index * 7919 + 3) % classes)
    return {"inputs": inputs, "data_samples": sample}


def _feature(index: int, classes: int, shape: Tuple[int, ...]) -> Dict[str, Any]:
    from mmaction.structures import ActionDataSample
    from mmengine.structures import InstanceData

    sample = ActionDataSample(
        metainfo={
            "video_name": f"v_{index}",
            "duration_second": 100.0,
            "duration_frame": 1000,
            "feature_frame": 1000,
            "annotations": [{"segment": [10.0, 40.0], "label": "x"}],
        }
    )
    starts = _drawn(index + 10, (2, 1)) * 0.5
    sample.gt_instances = InstanceData(
        gt_bbox=torch.cat([starts, starts + 0.1 + 0.3 * starts], 1)
    )
    return {"inputs": _drawn(index, shape), "data_samples": sample}


def _persons(index: int, classes: int, shape: Tuple[int, ...]) -> Dict[str, Any]:
    from mmaction.structures import ActionDataSample
    from mmengine.structures import InstanceData

    height, width = shape[-2:]
    sample = ActionDataSample(
        metainfo={
            "img_shape": (height, width),
            "img_key": f"v,{index}",
            "video_id": "v",
        }
    )
    count = 1 + index % 2
    low = _drawn(index + 10, (count, 2)) * 0.4
    boxes = torch.cat([low, low + 0.4], 1) * torch.tensor([width, height] * 2)
    labels = (_drawn(index + 20, (count, classes)) < 0.05).float()
    labels[:, 1] = 1
    sample.gt_instances = InstanceData(bboxes=boxes, labels=labels)
    sample.proposals = InstanceData(bboxes=torch.cat([boxes + 0.5, boxes * 0.5]))
    inputs = (_drawn(index, shape) * 255).to(torch.uint8)
    return {"inputs": inputs, "data_samples": sample}
