"""The frame of mmdet's ground truth: that of the image, or that of the input.

What a pipeline leaves to be done until boxes and masks are where the loss wants
them, whether a sample tells how far, and the doing of it.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Optional, Tuple

from valloss_compat._libraries.base import LOADER, Refusal, UnsupportedError
from valloss_compat._libraries.facts import Pipeline
from valloss_compat._libraries.pipelines import WHERE, first

#: Meta keys that tell how far the image was resized.
_FRAME_KEYS = ("ori_shape", "scale_factor")
#: Those that PackDetInputs packs when it is not told.
_DEFAULT_KEYS = (
    "img_id",
    "img_path",
    "ori_shape",
    "img_shape",
    "scale_factor",
    "flip",
    "flip_direction",
)


class Plan(NamedTuple):
    """What has to be done with the ground truth.

    Attributes:
        rescale (bool): The image was resized before the annotations were loaded.
        clip (bool): ``Resize`` would have clipped the boxes to the image.
        pad (float, optional): The image was padded before the annotations were
            loaded, and masks are padded with this value.
    """

    rescale: bool
    clip: bool
    pad: Optional[float]


def plan_of(pipeline: Pipeline) -> Plan:
    """What has to be done with the ground truth of a pipeline that is not refused."""
    load, resize, pad = (
        first(pipeline, kind) for kind in ("LoadAnnotations", "Resize", "Pad")
    )
    value = None
    if 0 <= pad < load:
        values = pipeline[pad].get("pad_val", {})
        value = values.get("masks", 0) if hasattr(values, "get") else 0
    rescaled = 0 <= resize < load
    clip = rescaled and bool(pipeline[resize].get("clip_object_border", True))
    return Plan(rescaled, clip, value)


def resized_size(sample: Any, plan: Plan) -> Tuple[int, int]:
    """Height and width of an image after ``Resize`` and before ``Pad``.

    Raises:
        UnsupportedError: If the sample does not tell them.
    """
    if not plan.rescale:
        return (0, 0)
    for key in _FRAME_KEYS:
        if key not in sample:
            raise UnsupportedError(_no_frame(key))
    (height, width), (across, down) = sample.ori_shape[:2], sample.scale_factor
    # Resize keeps new/old as scale_factor: the product is off by a rounding error only.
    return round(height * down), round(width * across)


def rescale(
    instances: Any, factor: Tuple[float, float], size: Tuple[int, int], clip: bool
) -> None:
    """Bring boxes and masks into the frame of the resized image.

    Args:
        instances (InstanceData): Changed in place.
        factor (tuple[float, float]): ``scale_factor`` of the sample.
        size (tuple[int, int]): As of :func:`resized_size`.
        clip (bool): As of :class:`Plan`.
    """
    if "bboxes" in instances:
        instances.bboxes.rescale_(factor)
        if clip:
            instances.bboxes.clip_(size)
    if "masks" in instances:
        instances.masks = instances.masks.resize(size)


def refuse_frame(pipeline: Pipeline, masks: bool) -> Optional[Refusal]:
    """Refuse a pipeline whose ground truth nobody can bring there afterwards.

    Args:
        pipeline (Pipeline): With LoadAnnotations and PackDetInputs.
        masks (bool): Whether the model needs masks.
    """
    load, resize, pad = (
        first(pipeline, kind) for kind in ("LoadAnnotations", "Resize", "Pad")
    )
    if 0 <= pad < resize:
        return Refusal(
            WHERE, "Pad comes before Resize", f"put Pad after Resize; or {LOADER}"
        )
    if 0 <= resize < load:
        keys = pipeline[first(pipeline, "PackDetInputs")].get(
            "meta_keys", _DEFAULT_KEYS
        )
        for key in _FRAME_KEYS:
            if key not in keys:
                return _no_frame(key)
        if masks and load < pad:
            return Refusal(
                WHERE,
                "LoadAnnotations comes between Resize and Pad, so that masks are "
                "padded before they are resized",
                f"put LoadAnnotations right after Pad; or {LOADER}",
            )
    return None


def _no_frame(key: str) -> Refusal:
    return Refusal(
        f"PackDetInputs ({WHERE})",
        f"its meta_keys lack {key!r}, so that nobody knows how far the image was "
        "resized before its annotations were loaded",
        f"add {key!r} to the meta_keys of PackDetInputs; or {LOADER}",
    )
