"""What is known of mmdet: detectors, and boxes and masks in the input's frame.

Every default validation pipeline of mmdet resizes the image before it loads
the annotations, and its metrics rely on that. The loss wants boxes and masks
in the frame of the input: those of a copy are brought there, by the methods
with which the train pipeline's ``Resize`` and ``Pad`` do it.
"""

from __future__ import annotations

from typing import Any, Collection, List, NamedTuple, Optional, Tuple

from valloss_compat._libraries.base import LOADER, Adapter
from valloss_compat._libraries.components import Part, Pipeline, with_tools
from valloss_compat._libraries.mmdet_tables import KNOWN, MODELS, REFUSED
from valloss_compat._libraries.pipelines import (
    STILL,
    WHERE,
    first,
    ground_truth_first,
    missing,
    not_packed,
    only_known,
    several,
)
from valloss_compat.errors import Rejection, UnsupportedError

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


def refuse_frame(pipeline: Pipeline, masks: bool) -> Optional[Rejection]:
    """Refuse a pipeline whose ground truth nobody can bring there afterwards.

    Args:
        pipeline (Pipeline): With LoadAnnotations and PackDetInputs.
        masks (bool): Whether the model needs masks.
    """
    load, resize, pad = (
        first(pipeline, kind) for kind in ("LoadAnnotations", "Resize", "Pad")
    )
    if 0 <= pad < resize:
        return Rejection(
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
            return Rejection(
                WHERE,
                "LoadAnnotations comes between Resize and Pad, so that masks are "
                "padded before they are resized",
                f"put LoadAnnotations right after Pad; or {LOADER}",
            )
    return None


def _no_frame(key: str) -> Rejection:
    return Rejection(
        f"PackDetInputs ({WHERE})",
        f"its meta_keys lack {key!r}, so that nobody knows how far the image was "
        "resized before its annotations were loaded",
        f"add {key!r} to the meta_keys of PackDetInputs; or {LOADER}",
    )


_TRANSFORMS = ("LoadImageFromFile", "Resize", "Pad", "LoadAnnotations", "PackDetInputs")
_WRONG_TRANSFORMS = {
    "RandomFlip": "it may flip the image, at random, before or after the annotations",
    "TestTimeAug": "each image comes several times, augmented",
}


class MMDet(Adapter):
    """Detectors of mmdet."""

    library = "mmdet"
    models = MODELS
    known = KNOWN
    refused = REFUSED
    # Batch augmentations are for training: preprocess() leaves them out.
    free = ("backbone", "neck", "data_preprocessor.batch_augments")
    may_draw = True
    # Averages over the positive samples of all ranks.
    may_sync = True
    # What a head keeps of a loss for a mask head next to it; nothing reads it here.
    may_change = ("_raw_positive_infos",)

    def refuse_model(self, model: Part, trust: Collection[str]) -> Optional[Rejection]:
        """Judge all parts, and what they assign, sample and code boxes with."""
        return super().refuse_model(with_tools(model), trust)

    def refuse_pipeline(self, model: Part, pipeline: Pipeline) -> Optional[Rejection]:
        """Ground truth has to be loaded, whole, and in a frame that can be told."""
        masks, wanted = _wanted(model)
        add = (
            f"add dict(type='LoadAnnotations', {wanted}) to {WHERE}, right before "
            "PackDetInputs"
        )
        return (
            only_known(pipeline, "mmdet", _TRANSFORMS, _WRONG_TRANSFORMS)
            or missing(pipeline, "LoadAnnotations", "so there is no ground truth", add)
            or not_packed(pipeline, "PackDetInputs")
            or _refuse_loading(pipeline, masks, wanted)
            or refuse_frame(pipeline, masks)
        )

    def refuse_data(
        self, model: Part, pipelines: List[Pipeline]
    ) -> Optional[Rejection]:
        """Judge each pipeline; all have to bring the ground truth into one frame."""
        return super().refuse_data(model, pipelines) or several(
            pipelines, {plan_of(pipeline) for pipeline in pipelines}
        )

    def refuse_loader(
        self, model: Part, pipelines: List[Pipeline]
    ) -> Optional[Rejection]:
        """Boxes, and masks if need be, are loaded before the image is resized."""
        refusal = ground_truth_first(
            pipelines, "LoadAnnotations", STILL, "PackDetInputs"
        )
        for pipeline in () if refusal else pipelines:
            refusal = (
                refusal
                or _refuse_plain_boxes(pipeline)
                or _refuse_loading(pipeline, *_wanted(model))
            )
        return refusal

    def prepare(self, batch: Any, pipelines: List[Pipeline]) -> Any:
        """Bring boxes and masks of the copies into the frame of the input.

        Crowds (``ignored_instances``) as well: assigners look at them.
        """
        plan = plan_of(pipelines[0])
        for sample in batch["data_samples"]:
            size = resized_size(sample, plan)
            for instances in (sample.gt_instances, sample.ignored_instances):
                if plan.rescale:
                    rescale(instances, sample.scale_factor, size, plan.clip)
                if plan.pad is not None and "masks" in instances:
                    instances.masks = instances.masks.pad(
                        sample.img_shape[:2], pad_val=plan.pad
                    )
        return batch

    def preprocess(self, model: Any, batch: Any, from_loader: bool) -> Any:
        """As for predictions, but with masks padded like the inputs, as in training."""
        preprocessor = model.data_preprocessor
        data = super().preprocess(model, batch, from_loader)
        if preprocessor.pad_mask:
            preprocessor.pad_gt_masks(data["data_samples"])
        return data

    def shared(self, model: Any) -> List[Any]:
        """Backbone, neck, and what maps their features to boxes, or rates regions.

        The heads of a second stage are not: the loss samples regions of its own.
        """
        modules = super().shared(model)
        bbox_head = getattr(model, "bbox_head", None)
        if bbox_head is not None:
            modules.append(bbox_head)
        for name in ("rpn_head", "encoder", "decoder"):
            if getattr(model, name, None) is not None:
                modules.append(getattr(model, name))
        return modules


def _wanted(model: Part) -> Tuple[bool, str]:
    """Whether masks are needed, and how LoadAnnotations is told what is."""
    masks = any("mask_head" in part.path for part in model.parts)
    return masks, "with_bbox=True, with_mask=True" if masks else "with_bbox=True"


def _refuse_plain_boxes(pipeline: Pipeline) -> Optional[Rejection]:
    """Of mmcv's transforms, only those that leave boxes alone are right."""
    for transform in pipeline:
        kind = transform.kind
        if kind == "CenterCrop" or (
            transform.library == "mmcv" and kind in _TRANSFORMS and kind not in STILL
        ):
            return Rejection(
                f"{kind} in the pipeline of the loss dataloader",
                "mmcv's does not know the boxes and masks of mmdet",
                "a transform of mmdet, such as mmdet.Resize",
            )
    return None


def _refuse_loading(
    pipeline: Pipeline, masks: bool, wanted: str
) -> Optional[Rejection]:
    load = pipeline[first(pipeline, "LoadAnnotations")]
    way_out = f"LoadAnnotations({wanted}) in {WHERE}; or {LOADER}"
    if not load.get("with_bbox", True):
        return Rejection(str(load), "it loads no boxes", way_out)
    if masks and not load.get("with_mask", False):
        return Rejection(
            str(load), "it loads no masks, but the model has a mask head", way_out
        )
    if load.get("box_type", "hbox") != "hbox":
        return Rejection(str(load), "boxes that are not of box_type='hbox'", way_out)
    if load.get("denorm_bbox", False):
        return Rejection(
            str(load), "denorm_bbox multiplies boxes by the size after Resize", way_out
        )
    return None
