"""What in a validation pipeline makes a model's own loss wrong, or impossible.

These are for a model that appends its loss element itself. Most of it comes
without an error: metrics want ground truth in the frame of the original image,
a loss wants it in that of the input.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Dict, Iterator, NamedTuple, Sequence, Tuple

from valloss_compat._cli.doctor.findings import Finding, note
from valloss_compat._libraries.facts import Pipeline, of_config
from valloss_compat._libraries.pipelines import of_validation

CHECK = "config.ground_truth"


class Needs(NamedTuple):
    """What a library's losses need of the pipeline.

    Attributes:
        any_of (tuple[str]): Transforms one of which has to be there.
        why (str): What happens without.
        not_after (tuple[str]): Transforms that must not come before those.
        then (str): What happens if one does.
    """

    any_of: Tuple[str, ...]
    why: str
    not_after: Tuple[str, ...] = ()
    then: str = ""


_NO_TRUTH = "validation samples have no ground truth, and there is no loss without"
_FRAME = (
    "ground truth stays in the frame of the original image, and a loss against the "
    "resized input is wrong without an error. Leave the order, which the metrics rely "
    "on: ValLossHook rescales a copy by scale_factor, and so has a model of your own to"
)
_RESIZES = (
    "FixScaleResize",
    "FixShapeResize",
    "LetterResize",
    "Resize",
    "ResizeShortestEdge",
    "YOLOv5KeepRatioResize",
)
_HEAT_MAPS = "mmpose's heads have no targets, and their loss raises an AttributeError"

#: Library -> what its losses need.
NEEDS: Dict[str, Sequence[Needs]] = {
    "mmdet": [
        Needs(
            ("LoadAnnotations", "LoadPanopticAnnotations", "LoadTrackAnnotations"),
            _NO_TRUTH,
            _RESIZES,
            _FRAME,
        )
    ],
    "mmyolo": [Needs(("LoadAnnotations",), _NO_TRUTH, _RESIZES, _FRAME)],
    "mmrotate": [Needs(("LoadAnnotations",), _NO_TRUTH, _RESIZES, _FRAME)],
    "mmocr": [
        Needs(
            ("LoadOCRAnnotations", "LoadKIEAnnotations"),
            _NO_TRUTH,
            (*_RESIZES, "RescaleToHeight"),
            _FRAME,
        )
    ],
    "mmseg": [Needs(("LoadAnnotations",), _NO_TRUTH)],
    "mmpose": [Needs(("GenerateTarget",), _HEAT_MAPS)],
}


def look(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Findings about the pipelines of a config's validation.

    Args:
        config (dict): A whole config.

    Yields:
        Finding: Notes, as only the model itself knows whether they matter.
    """
    scope = str(config.get("default_scope") or "mmengine")
    library = of_config(config["model"], scope).library
    for needs in NEEDS.get(library, ()):
        for pipeline in of_validation(config, scope):
            yield from _of_pipeline(needs, pipeline, library)
    if library == "mmseg":
        yield from _of_padding(config["model"])


def _of_pipeline(needs: Needs, pipeline: Pipeline, library: str) -> Iterator[Finding]:
    kinds = [part.kind for part in pipeline]
    places = [kinds.index(kind) for kind in needs.any_of if kind in kinds]
    if not places:
        yield note(
            CHECK,
            f"the validation pipeline has no {' or '.join(needs.any_of)}: {needs.why}",
        )
        return
    before = [kind for kind in kinds[: min(places)] if kind in needs.not_after]
    if before:
        yield note(
            CHECK,
            f"{before[0]} comes before {kinds[min(places)]} in the validation pipeline "
            f"of {library}: {needs.then}",
        )


def _of_padding(model: Mapping[str, Any]) -> Iterator[Finding]:
    """Segmentors pad labels in training only; their input in a test as well."""
    preprocessor = model.get("data_preprocessor") or {}
    padding = preprocessor.get("test_cfg") or {}
    named = [name for name in ("size", "size_divisor") if padding.get(name)]
    if named:
        yield note(
            CHECK,
            f"test_cfg of the data_preprocessor pads the input ({named[0]}="
            f"{padding[named[0]]}), but not the labels: a loss on them is wrong where "
            "shapes agree, and raises where not. Crop the logits, or pad a copy of the "
            "labels",
        )
