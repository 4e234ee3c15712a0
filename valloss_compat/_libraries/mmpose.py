"""What is known of mmpose: top-down estimators, whose targets a transform makes.

The loss compares with heat maps or label vectors that ``GenerateTarget`` draws
in the frame of the input; default validation pipelines have no such transform.
"""

from __future__ import annotations

from typing import Any, ClassVar, Collection, Dict, List, Mapping, Optional, Tuple

from valloss_compat._libraries.base import Adapter
from valloss_compat._libraries.components import Part, Pipeline, with_tools
from valloss_compat._libraries.pipelines import (
    WHERE,
    missing,
    only_known,
    several,
    wrong_order,
)
from valloss_compat.errors import Rejection, UnsupportedError

_TRANSFORMS = (
    "LoadImage",
    "GetBBoxCenterScale",
    "TopdownAffine",
    "GenerateTarget",
    "PackPoseInputs",
)
_RANDOM = "it moves the keypoints at random"
_WRONG_TRANSFORMS = dict.fromkeys(
    ("RandomFlip", "RandomHalfBody", "RandomBBoxTransform", "Albumentation"), _RANDOM
)
_ADD = (
    f"add dict(type='GenerateTarget', encoder=codec) to {WHERE}, right after "
    "TopdownAffine, with the codec of the train pipeline"
)
_SUBCLASS = (
    "none with the model as it is: a subclass whose predict appends the loss element"
)
_LABELS_OUTSIDE = "its loss is wrong without an error where labels are not as trained"


def _table(reason: str, *names: str) -> Dict[str, Tuple[str, str]]:
    return dict.fromkeys(names, (reason, _SUBCLASS))


class MMPose(Adapter):
    """Top-down pose estimators of mmpose."""

    library = "mmpose"
    models = ("TopdownPoseEstimator",)
    known = (
        "PoseDataPreprocessor",
        # heads
        "HeatmapHead",
        "SimCCHead",
        # losses
        "KLDiscretLoss",
        "KeypointMSELoss",
        # codecs
        "MSRAHeatmap",
        "SimCCLabel",
        "UDPHeatmap",
    )
    free = ("backbone", "neck", "data_preprocessor.batch_augments")
    refused: ClassVar[Mapping[str, Tuple[str, str]]] = {
        **_table("its mode 'loss' raises in eval mode", "RTMOHead", "EDPoseHead"),
        **_table(
            _LABELS_OUTSIDE,
            "YOLOXPoseHead",
            "BottomupPoseEstimator",
            "AssociativeEmbeddingHead",
            "DEKRHead",
            "CIDHead",
        ),
        **_table("its loss counts its calls", "SemiSupervisionLoss"),
        "PoseLifter": ("its ground truth is no image's", _SUBCLASS),
    }

    def refuse_model(self, model: Part, trust: Collection[str]) -> Optional[Rejection]:
        """Judge all parts, and the codec of the head."""
        return super().refuse_model(with_tools(model), trust)

    def refuse_pipeline(self, model: Part, pipeline: Pipeline) -> Optional[Rejection]:
        """Targets have to be drawn, in the input's frame, by the head's codec."""
        return only_known(
            pipeline, "mmpose", _TRANSFORMS, _WRONG_TRANSFORMS
        ) or _refuse_targets(model, pipeline)

    def refuse_data(
        self, model: Part, pipelines: List[Pipeline]
    ) -> Optional[Rejection]:
        """Persons have to be annotated; and each pipeline is judged."""
        if any(_setting(pipeline.dataset, "bbox_file") for pipeline in pipelines):
            return _detected()
        return super().refuse_data(model, pipelines) or several(pipelines, ())

    def refuse_loader(
        self, model: Part, pipelines: List[Pipeline]
    ) -> Optional[Rejection]:
        """As for a validation, but other transforms may stand between."""
        if any(_setting(pipeline.dataset, "bbox_file") for pipeline in pipelines):
            return _detected()
        refusal = several(pipelines, ())
        for pipeline in pipelines:
            refusal = refusal or _refuse_targets(model, pipeline)
        return refusal

    def prepare(self, batch: Any, pipelines: List[Pipeline]) -> Any:
        """Nothing is moved, but boxes of a detector have no keypoints to learn from."""
        for sample in batch["data_samples"]:
            if _made_up(sample.gt_instances):
                raise UnsupportedError(_detected())
        return batch

    def shared(self, model: Any) -> List[Any]:
        """Backbone, neck and head."""
        return [*super().shared(model), model.head]


def _refuse_targets(model: Part, pipeline: Pipeline) -> Optional[Rejection]:
    """Targets are drawn after the image is brought to its size, and packed."""
    return (
        missing(
            pipeline,
            "GenerateTarget",
            "so there is nothing that the loss could compare with",
            _ADD,
        )
        or missing(
            pipeline,
            "TopdownAffine",
            "so the targets are in no frame that is known",
            f"add TopdownAffine to {WHERE}, right before GenerateTarget",
        )
        or wrong_order(
            pipeline,
            "TopdownAffine",
            "GenerateTarget",
            "targets would be drawn in the frame of the original image",
        )
        or wrong_order(
            pipeline, "GenerateTarget", "PackPoseInputs", "targets are not packed"
        )
        or _refuse_codec(model, pipeline)
    )


def _detected() -> Rejection:
    return Rejection(
        "val_dataloader.dataset.bbox_file",
        "persons come from a detector, with made-up keypoints (all of them visible, "
        "at 0, 0), and a loss would compare with those",
        "validate on the annotated boxes, with bbox_file=None",
    )


def _made_up(instances: Any) -> bool:
    """Whether keypoints are those that mmpose gives to boxes of a detector."""
    return not instances.keypoints.any() and bool(instances.keypoints_visible.all())


def _refuse_codec(model: Part, pipeline: Pipeline) -> Optional[Rejection]:
    """The codec that draws the targets has to be the one that the head reads with."""
    (generate,) = (part for part in pipeline if part.kind == "GenerateTarget")
    drawn, read = _codec(generate.source, "encoder"), None
    for owner in (part for part in model.parts if part.path == "head"):
        read = _codec(owner.source, "decoder")
    if drawn is not None and drawn == read:
        return None
    return Rejection(
        f"GenerateTarget ({WHERE})",
        f"its encoder is {drawn}, but the head decodes with {read}",
        _ADD,
    )


def _codec(owner: Any, name: str) -> Optional[Dict[str, Any]]:
    """Class and settings of one codec, None if there are several or none."""
    codec = _setting(owner, name)
    if codec is None or isinstance(codec, (list, tuple)):
        return None
    if isinstance(codec, Mapping):
        return {k: _plain(value) for k, value in codec.items() if k != "_scope_"}
    settings = {key: _plain(value) for key, value in vars(codec).items()}
    return {"type": type(codec).__name__, **settings}


def _setting(owner: Any, name: str) -> Any:
    return owner.get(name) if isinstance(owner, Mapping) else getattr(owner, name, None)


def _plain(value: Any) -> Any:
    """A setting in a form that can be compared: numpy arrays and tuples as lists."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return list(value) if isinstance(value, tuple) else value
