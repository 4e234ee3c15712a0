"""What mode ``'loss'`` needs of each library beside the model and the ground truth."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

import torch

from valloss_compat._libraries.components import names_of


def preprocess(model: Any, batch: Any) -> Any:
    """Run the data preprocessor of a model, with the result that a training has.

    A model goes by the rule of the library that its class, or a base of it, is of.
    """
    libraries = [name.rpartition(".")[0] for name in names_of(model)]
    library = next((one for one in libraries if one in _RULES), "")
    # In a training, that of mmyolo takes the batches of its own collate function.
    data = model.data_preprocessor(batch, library != "mmyolo")
    return _RULES[library](data, model) if library else data


def _mmocr(data: Any, model: Any) -> Any:
    """Have the heads of text detectors draw targets of the size of the input.

    In a training all images have one size, so that none is padded.
    """
    if hasattr(model, "det_head"):
        size = tuple(data["inputs"].shape[-2:])
        for sample in data["data_samples"]:
            sample.set_metainfo({"img_shape": size})
    return data


def _mmpretrain(data: Any, model: Any) -> Any:
    """Make one-hot labels floating point, as Mixup and CutMix of a training do."""
    for sample in data.get("data_samples") or ():
        score = sample.get("gt_score")
        if score is not None and not score.is_floating_point():
            sample.set_gt_score(score.float())
    return data


def _mmyolo(data: Any, model: Any) -> Any:
    """Make one table of the boxes of a batch, as the collate function of a training.

    Some heads take nothing else.
    """
    samples = data["data_samples"]
    kinds = {base.__name__ for base in type(model.data_preprocessor).__mro__}
    if "YOLOv5DetDataPreprocessor" not in kinds or not isinstance(samples, list):
        return data
    found: Dict[str, List[Any]] = {"bboxes_labels": []}
    for index, sample in enumerate(samples):
        instances = sample.gt_instances
        boxes = getattr(instances.bboxes, "tensor", instances.bboxes)
        labels = instances.labels[:, None].to(boxes)
        images = torch.full_like(labels, index)
        found["bboxes_labels"].append(torch.cat((images, labels, boxes), dim=1))
        for name in ("masks", "keypoints", "keypoints_visible"):
            if name in instances:
                found.setdefault(name, []).append(instances.get(name))
        if "gt_panoptic_seg" in sample:
            found.setdefault("masks", []).append(sample.gt_panoptic_seg.pan_seg)
    table = {name: torch.cat(values) for name, values in found.items()}
    size = {"batch_input_shape": data["inputs"].shape[2:]}
    return {**data, "data_samples": {**table, "img_metas": [size] * len(samples)}}


_RULES = {"mmocr": _mmocr, "mmpretrain": _mmpretrain, "mmyolo": _mmyolo}


def crop_size(model: Any) -> Optional[Tuple[int, int]]:
    """Return the window of slide mode (mmseg), which is the crop of the training.

    Some backbones take images of this size alone.

    Returns:
        tuple[int, int], optional: Height and width; None for other models.
    """
    test_cfg: Any = getattr(model, "test_cfg", None)
    slides = isinstance(test_cfg, dict) and test_cfg.get("mode") == "slide"
    size = test_cfg.get("crop_size") if slides else None
    return None if size is None else (int(size[0]), int(size[1]))


def crop(batch: Any, size: Tuple[int, int]) -> Any:
    """Take the centre of images and label maps: the same in each validation."""
    images = []
    for image, sample in zip(batch["inputs"], batch["data_samples"]):
        starts = [
            max(0, (whole - part) // 2) for whole, part in zip(image.shape[-2:], size)
        ]
        rows, columns = (slice(one, one + part) for one, part in zip(starts, size))
        images.append(image[..., rows, columns])
        for name in ("gt_sem_seg", "gt_edge_map", "gt_depth_map"):
            field = sample.get(name)
            if field is not None:
                data = field.data[..., rows, columns]
                del field.data  # a PixelData keeps its size otherwise
                field.data = data
        sample.set_metainfo({"img_shape": tuple(images[-1].shape[-2:])})
    return {**batch, "inputs": images}
