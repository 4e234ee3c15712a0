"""Where the losses of a config will come from: its model, or ``ValLossHook``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Dict, Iterator, NamedTuple, Tuple

from valloss_compat import _config, _libraries
from valloss_compat._cli.doctor import check_monitor
from valloss_compat._cli.doctor.findings import Finding, note, ok, problem
from valloss_compat._cli.doctor.registry import registered
from valloss_compat._libraries.components import Pipeline, of_config
from valloss_compat._libraries.pipelines import of_validation

CHECK = "config.model"
_GROUND_TRUTH = "config.ground_truth"

#: Where a model that wraps another one keeps it: mmdet's semi-supervised
#: detectors, mmrazor's algorithms, mmengine's test-time augmentation.
_WRAPPED = ("detector", "architecture", "module", "model", "segmentor")
#: Libraries none of whose own models appends a loss element.
_LIBRARIES = (
    "mmaction",
    "mmagic",
    "mmcls",
    "mmdet",
    "mmdet3d",
    "mmocr",
    "mmpose",
    "mmpretrain",
    "mmrazor",
    "mmrotate",
    "mmseg",
    "mmtrack",
    "mmyolo",
)
_ELEMENT = "BaseDataElement(loss={'loss_cls': tensor, ...})"


def look(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Findings about the model, and the hook that computes its losses.

    Args:
        config (dict): A whole config.

    Yields:
        Finding: At least one.
    """
    model = config.get("model")
    if not isinstance(model, Mapping) or "type" not in model:
        yield problem(
            CHECK, "this config has no model with a type: nothing can be told"
        )
        return
    models = list(_wrapped(model))
    scope = _scope(config)
    shown = ", which wraps ".join(_with_scope(part, scope) for part in models)
    found = _config.ours(config)
    wrong = [text for entry in found for text in cannot_build(entry)]
    if wrong:
        yield from (problem("config.val_loss_hook", text) for text in wrong)
        return
    refused = list(map(str, _libraries.look(config).refusals))
    if found:
        yield from (problem("config.val_loss_hook", text) for text in refused)
        if not refused:
            text = f"{_config.NAME} will compute the losses of {shown}"
            yield ok("config.val_loss_hook", text)
        return
    if all(_is_of_library(part, config) for part in models):
        entry = f"custom_hooks=[dict(type='{_config.NAME}')]"
        by_hook = "" if refused else f"add {entry}, or "
        text = (
            f"the model is {shown}, of a library whose models append no loss element: "
            f"{by_hook}derive a model whose forward in mode 'predict' ends its result "
            f"with {_ELEMENT}"
        )
        yield (
            problem(CHECK, text) if check_monitor.watched(config) else note(CHECK, text)
        )
        why = f"{_config.NAME} is no way out: "
        yield from (note("config.val_loss_hook", why + text) for text in refused)
    else:
        yield note(
            CHECK,
            f"the model is {shown}: its forward in mode 'predict' has to end its "
            f"result with {_ELEMENT}",
        )
    yield from check_ground_truth(config)


def _wrapped(model: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A model, and the one that it wraps, and so on."""
    while True:
        yield model
        inner = [model[key] for key in _WRAPPED if isinstance(model.get(key), Mapping)]
        if not inner or "type" not in inner[0]:
            return
        model = inner[0]


def _is_of_library(model: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether a model's class is a library's own, and not one of the user's.

    Those of users are registered in the library's scope, too: where the class
    cannot be looked at, only a name that the adapters know tells.
    """
    cls = registered("MODELS", model, config)
    if cls is not None:
        return cls.__module__.split(".")[0] in _LIBRARIES
    part = of_config(model, _scope(config))
    known = _libraries.adapter_for(part)
    return known is not None and (
        part.kind in known.models or part.kind in known.refused
    )


def _with_scope(model: Mapping[str, Any], scope: str) -> str:
    name = str(model["type"])
    return name if "." in name else f"{model.get('_scope_', scope)}.{name}"


def _scope(config: Mapping[str, Any]) -> str:
    return str(config.get("default_scope") or "mmengine")


def cannot_build(entry: Mapping[str, Any]) -> Iterator[str]:
    """What the hook itself says of its arguments."""
    from valloss_compat.hooks import ValLossHook

    ours = ("type", "_scope_", "priority")  # of mmengine's registry and Runner
    try:
        ValLossHook(**{key: entry[key] for key in entry if key not in ours})
    except (TypeError, ValueError) as error:
        yield f"{_config.NAME} cannot be built as it is written: {error}"


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
NEEDS: Dict[str, Needs] = {
    "mmdet": Needs(
        ("LoadAnnotations", "LoadPanopticAnnotations", "LoadTrackAnnotations"),
        _NO_TRUTH,
        _RESIZES,
        _FRAME,
    ),
    "mmyolo": Needs(("LoadAnnotations",), _NO_TRUTH, _RESIZES, _FRAME),
    "mmrotate": Needs(("LoadAnnotations",), _NO_TRUTH, _RESIZES, _FRAME),
    "mmocr": Needs(
        ("LoadOCRAnnotations", "LoadKIEAnnotations"),
        _NO_TRUTH,
        (*_RESIZES, "RescaleToHeight"),
        _FRAME,
    ),
    "mmseg": Needs(("LoadAnnotations",), _NO_TRUTH),
    "mmpose": Needs(("GenerateTarget",), _HEAT_MAPS),
}


def check_ground_truth(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Findings about the pipelines of a config's validation.

    Args:
        config (dict): A whole config.

    Yields:
        Finding: Notes, as only the model itself knows whether they matter.
    """
    scope = _scope(config)
    library = of_config(config["model"], scope).library
    if library in NEEDS:
        for pipeline in of_validation(config, scope):
            yield from _of_pipeline(NEEDS[library], pipeline, library)
    if library == "mmseg":
        yield from _of_padding(config["model"])


def _of_pipeline(needs: Needs, pipeline: Pipeline, library: str) -> Iterator[Finding]:
    kinds = [part.kind for part in pipeline]
    places = [kinds.index(kind) for kind in needs.any_of if kind in kinds]
    if not places:
        yield note(
            _GROUND_TRUTH,
            f"the validation pipeline has no {' or '.join(needs.any_of)}: {needs.why}",
        )
        return
    before = [kind for kind in kinds[: min(places)] if kind in needs.not_after]
    if before:
        yield note(
            _GROUND_TRUTH,
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
            _GROUND_TRUTH,
            f"test_cfg of the data_preprocessor pads the input ({named[0]}="
            f"{padding[named[0]]}), but not the labels: a loss on them is wrong where "
            "shapes agree, and raises where not. Crop the logits, or pad a copy of the "
            "labels",
        )
