"""Check whether the model of a config or ``ValLossHook`` gives the losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Dict, Iterator, NamedTuple, Tuple

from valloss_compat import _config, _libraries
from valloss_compat._cli.doctor import check_monitor
from valloss_compat._cli.doctor.class_lookup import default_scope, registered
from valloss_compat._cli.doctor.findings import Finding, note, ok, problem
from valloss_compat._libraries.components import Pipeline, of_config
from valloss_compat._libraries.pipelines import of_validation

CHECK = "config.model"
_HOOK_CHECK = "config.val_loss_hook"
_GROUND_TRUTH_CHECK = "config.ground_truth"

#: Config keys of a wrapped model, as in mmdet's semi-supervised detectors, mmrazor's
#: algorithms and mmengine's test-time augmentation.
_WRAPPED_MODEL_KEYS = ("detector", "architecture", "module", "model", "segmentor")
#: Libraries whose models append no loss element.
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


def check_model(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Check the model, and the hook that computes its losses.

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
    models = list(_model_chain(model))
    scope = default_scope(config)
    names = ", which wraps ".join(_scoped_type(model, scope) for model in models)
    hooks = _config.val_loss_hooks(config)
    errors = [text for entry in hooks for text in _argument_errors(entry)]
    if errors:
        yield from (problem(_HOOK_CHECK, text) for text in errors)
        return
    rejections = list(map(str, _libraries.look(config).refusals))
    if hooks:
        yield from (problem(_HOOK_CHECK, text) for text in rejections)
        if not rejections:
            text = f"{_config.VAL_LOSS_HOOK} will compute the losses of {names}"
            yield ok(_HOOK_CHECK, text)
        return
    if all(_is_of_library(model, config) for model in models):
        entry = f"custom_hooks=[dict(type='{_config.VAL_LOSS_HOOK}')]"
        hook_fix = "" if rejections else f"add {entry}, or "
        text = (
            f"the model is {names}, of a library whose models append no loss element: "
            f"{hook_fix}derive a model whose forward in mode 'predict' ends its result "
            f"with {_ELEMENT}"
        )
        yield (
            problem(CHECK, text)
            if check_monitor.monitors_loss(config)
            else note(CHECK, text)
        )
        prefix = f"{_config.VAL_LOSS_HOOK} is no way out: "
        yield from (note(_HOOK_CHECK, prefix + text) for text in rejections)
    else:
        yield note(
            CHECK,
            f"the model is {names}: its forward in mode 'predict' has to end its "
            f"result with {_ELEMENT}",
        )
    yield from _check_ground_truth(config)


def _model_chain(model: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Iterate over a model, the model that it wraps, and so on."""
    while True:
        yield model
        wrapped = [
            model[key]
            for key in _WRAPPED_MODEL_KEYS
            if isinstance(model.get(key), Mapping)
        ]
        if not wrapped or "type" not in wrapped[0]:
            return
        model = wrapped[0]


def _is_of_library(model: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether the class of a model belongs to a library, not to the user.

    The scope does not tell, as user classes are registered in the library's scope. If
    the class cannot be imported, only names in the adapter's tables count.
    """
    cls = registered("MODELS", model, config)
    if cls is not None:
        return cls.__module__.split(".")[0] in _LIBRARIES
    component = of_config(model, default_scope(config))
    adapter = _libraries.adapter_for(component)
    return adapter is not None and (
        component.kind in adapter.models or component.kind in adapter.refused
    )


def _scoped_type(model: Mapping[str, Any], scope: str) -> str:
    name = str(model["type"])
    return name if "." in name else f"{model.get('_scope_', scope)}.{name}"


def _argument_errors(entry: Mapping[str, Any]) -> Iterator[str]:
    """Return the error that ``ValLossHook`` raises for its arguments, if any."""
    from valloss_compat.hooks import ValLossHook

    not_arguments = ("type", "_scope_", "priority")  # of mmengine's registry and Runner
    try:
        ValLossHook(**{key: entry[key] for key in entry if key not in not_arguments})
    except (TypeError, ValueError) as error:
        yield f"{_config.VAL_LOSS_HOOK} cannot be built as it is written: {error}"


class Requirement(NamedTuple):
    """The transforms that the losses of a library require in a pipeline.

    Attributes:
        any_of (tuple[str]): Transforms of which the pipeline needs one.
        reason (str): The consequence if it has none.
        not_before (tuple[str]): Transforms that must not come before those.
        order (str): The consequence if one does.
    """

    any_of: Tuple[str, ...]
    reason: str
    not_before: Tuple[str, ...] = ()
    order: str = ""


_NO_LABELS = "validation samples have no ground truth, and there is no loss without"
_WRONG_FRAME = (
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
_NO_TARGETS = "mmpose's heads have no targets, and their loss raises an AttributeError"

#: Library -> requirement of its losses.
_REQUIREMENTS: Dict[str, Requirement] = {
    "mmdet": Requirement(
        ("LoadAnnotations", "LoadPanopticAnnotations", "LoadTrackAnnotations"),
        _NO_LABELS,
        _RESIZES,
        _WRONG_FRAME,
    ),
    "mmyolo": Requirement(("LoadAnnotations",), _NO_LABELS, _RESIZES, _WRONG_FRAME),
    "mmrotate": Requirement(("LoadAnnotations",), _NO_LABELS, _RESIZES, _WRONG_FRAME),
    "mmocr": Requirement(
        ("LoadOCRAnnotations", "LoadKIEAnnotations"),
        _NO_LABELS,
        (*_RESIZES, "RescaleToHeight"),
        _WRONG_FRAME,
    ),
    "mmseg": Requirement(("LoadAnnotations",), _NO_LABELS),
    "mmpose": Requirement(("GenerateTarget",), _NO_TARGETS),
}


def _check_ground_truth(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Check the ground truth in the validation pipelines of a config.

    Args:
        config (dict): A whole config.

    Yields:
        Finding: Notes only, as it depends on the model whether they matter.
    """
    scope = default_scope(config)
    library = of_config(config["model"], scope).library
    if library in _REQUIREMENTS:
        for pipeline in of_validation(config, scope):
            yield from _check_pipeline(_REQUIREMENTS[library], pipeline, library)
    if library == "mmseg":
        yield from _check_padding(config["model"])


def _check_pipeline(
    needs: Requirement, pipeline: Pipeline, library: str
) -> Iterator[Finding]:
    names = [transform.kind for transform in pipeline]
    loading = [index for index, name in enumerate(names) if name in needs.any_of]
    if not loading:
        yield note(
            _GROUND_TRUTH_CHECK,
            f"the validation pipeline has no {' or '.join(needs.any_of)}: "
            f"{needs.reason}",
        )
        return
    first = loading[0]
    before = [name for name in names[:first] if name in needs.not_before]
    if before:
        yield note(
            _GROUND_TRUTH_CHECK,
            f"{before[0]} comes before {names[first]} in the validation pipeline "
            f"of {library}: {needs.order}",
        )


def _check_padding(model: Mapping[str, Any]) -> Iterator[Finding]:
    """Check for padded inputs: segmentors pad their labels in training only."""
    preprocessor = model.get("data_preprocessor") or {}
    padding = preprocessor.get("test_cfg") or {}
    sizes = [name for name in ("size", "size_divisor") if padding.get(name)]
    if sizes:
        yield note(
            _GROUND_TRUTH_CHECK,
            f"test_cfg of the data_preprocessor pads the input ({sizes[0]}="
            f"{padding[sizes[0]]}), but not the labels: a loss on them is wrong where "
            "shapes agree, and raises where not. Crop the logits, or pad a copy of the "
            "labels",
        )
