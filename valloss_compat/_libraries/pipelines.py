"""What has to be known of transforms: which load annotations, make targets, or pack.

A transform is an object or its config, and is known by the names of its class and, if
it is built, of the bases of its class.
"""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import Any, Callable, List, Mapping, Optional

import numpy as np

from valloss_compat._config import names_of, setting
from valloss_compat.errors import Rejection, UnsupportedError


def with_bottomup_resize(resize: Any) -> Callable[[Any], Any]:
    """Return what moves the annotations as ``BottomupResize`` moves the image.

    Raises:
        UnsupportedError: If each image keeps a size of its own, as in
            ``resize_mode='expand'``: the codec of the training draws targets of one.
    """
    if getattr(resize, "resize_mode", "fit") == "expand":
        raise UnsupportedError(
            "BottomupResize(resize_mode='expand') of the validation pipeline",
            "inputs differ in size, but the codec of the training draws targets of one "
            "size",
            "resize_mode='fit', or strategy='dataloader' with a data loader whose "
            "pipeline resizes to the size of the codec",
        )
    return move_with_bottomup_resize


def move_with_bottomup_resize(data: Any) -> Any:
    """Move keypoints and boxes as ``BottomupResize`` moved the image.

    By the rule by which mmpose brings predictions back to the original image:
    ``x / input_size * input_scale + input_center - input_scale / 2``, solved for x.
    """
    size, center, scale = (
        np.array(data[name], dtype=np.float32)
        for name in ("input_size", "input_center", "input_scale")
    )
    factor = size / scale
    offset = size / 2 - center * factor
    data["keypoints"] = data["keypoints"] * factor + offset
    if "bbox" in data:
        data["bbox"] = data["bbox"] * np.tile(factor, 2) + np.tile(offset, 2)
    if "area" in data:
        data["area"] = data["area"] * factor.prod()
    data["warp_mat"] = np.column_stack([np.diag(factor), offset])
    return data


#: Transforms of a training that change nothing but annotations, when these are loaded.
WITH_ANNOTATIONS = (
    *("ConvertBoxType", "FixInvalidPolygon", "GTBoxSubOne_GLIP", "ObjectNameFilter"),
    *("ObjectRangeFilter", "PointSegClassMapping", "RegularizeRotatedBox"),
)
#: Transforms of a training that only read annotations, before the packing: they draw
#: what a loss compares with, remove what it does not take, or rename it.
TARGETS = (
    *("GenerateTarget", "BottomupGetHeatmapMask", "GenerateEdge", "Polygon2Mask"),
    *("RemoveDataElement", "MMOCR2MMDet"),
)
#: Transforms of a validation that move the image alone -> what returns, for one, what
#: moves the annotations.
IMAGE_ALONE = {"BottomupResize": with_bottomup_resize}
#: Transforms that change colours alone.
COLOURS = ("CLAHE", "Normalize", "NormalizeImage")
#: Key of the annotations in a validation -> in a training (datasets of mmdet3d).
RENAMED = {"eval_ann_info": "ann_info"}
#: Argument of a dataset that replaces its annotations (mmpose).
DETECTIONS = "bbox_file"


def _is_named(transform: Any, start: str, part: str = "") -> bool:
    """Return whether the class of a transform, or a base of it, has such a name."""
    names = (name.rpartition(".")[2] for name in names_of(transform))
    return any(name.startswith(start) and part in name for name in names)


#: Return whether a transform loads something.
loads = partial(_is_named, start="Load")
#: Return whether a transform loads annotations.
loads_annotations = partial(_is_named, start="Load", part="Annotation")
#: Return whether a transform packs a data sample.
packs = partial(_is_named, start="Pack")


def transforms_of(dataset: Any) -> List[Any]:
    """Return the transforms of a dataset; none if its samples are made elsewhere."""
    pipeline = setting(dataset, "pipeline")
    found = setting(pipeline, "transforms") or pipeline
    return list(found) if isinstance(found, (list, tuple)) else []


def datasets_within(dataset: Any) -> List[Any]:
    """Return the datasets that a dataset wraps or joins, built or in its config."""
    inner = (setting(dataset, "dataset"), *(setting(dataset, "datasets") or ()))
    return [one for one in inner if one is not None]


def training_transforms(dataset: Any) -> List[Any]:
    """Return the transforms of a training, those of wrapped datasets first.

    The transforms within a transform are included.
    """
    inner = map(training_transforms, datasets_within(dataset))
    return [*chain.from_iterable(inner), *_flat(transforms_of(dataset))]


def _flat(transforms: Any) -> List[Any]:
    found: List[Any] = []
    for transform in transforms if isinstance(transforms, (list, tuple)) else ():
        if isinstance(transform, (list, tuple)):  # of several branches, each is a list
            found += _flat(transform)
        else:
            found += [transform, *_flat(setting(transform, "transforms"))]
    return found


def check_sampler(config: Any) -> Optional[Rejection]:
    """Reject a data loader, or the config of one, that shuffles or never ends."""
    sampler = setting(config, "sampler")
    if isinstance(sampler, Mapping):
        kind, shuffles = str(sampler.get("type")), sampler.get("shuffle", True)
    else:
        kind = type(sampler).__name__
        shuffles = "Random" in kind or getattr(sampler, "shuffle", False)
    if "Infinite" in kind or shuffles:
        return Rejection(
            f"the sampler of the loss data loader ({kind})",
            "it shuffles or never ends, so that no two validations have the same "
            "batches",
            "sampler=dict(type='DefaultSampler', shuffle=False)",
        )
    return None
