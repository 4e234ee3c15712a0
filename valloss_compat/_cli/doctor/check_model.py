"""Where the losses of a config will come from: its model, or ``ValLossHook``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, Iterator, Optional

from valloss_compat import _config, _libraries
from valloss_compat._cli.doctor import check_monitor, pipelines
from valloss_compat._cli.doctor import val_loss_hook as hook
from valloss_compat._cli.doctor.findings import Finding, note, ok, problem
from valloss_compat._libraries import facts

CHECK = "config.model"
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


def look(
    config: Mapping[str, Any], resolve: Callable[[Any], Optional[type]]
) -> Iterator[Finding]:
    """Findings about the model, and the hook that computes its losses.

    Args:
        config (dict): A whole config.
        resolve (Callable): As of :func:`config.look`.

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
    scope = str(config.get("default_scope") or "mmengine")
    shown = ", which wraps ".join(_with_scope(part, scope) for part in models)
    found = _config.ours(config)
    wrong = [text for entry in found for text in hook.cannot_build(entry)]
    if wrong:
        yield from (problem("config.val_loss_hook", text) for text in wrong)
        return
    refusals = list(hook.refusals(config))
    if found:
        yield from (problem("config.val_loss_hook", text) for text in refusals)
        if not refusals:
            text = f"{_config.NAME} will compute the losses of {shown}"
            yield ok("config.val_loss_hook", text)
        return
    if all(_is_of_library(part, scope, resolve(part)) for part in models):
        entry = f"custom_hooks=[dict(type='{_config.NAME}')]"
        by_hook = "" if refusals else f"add {entry}, or "
        text = (
            f"the model is {shown}, of a library whose models append no loss element: "
            f"{by_hook}derive a model whose forward in mode 'predict' ends its result "
            f"with {_ELEMENT}"
        )
        yield (
            problem(CHECK, text) if check_monitor.watched(config) else note(CHECK, text)
        )
        why = f"{_config.NAME} is no way out: "
        yield from (note("config.val_loss_hook", why + text) for text in refusals)
    else:
        yield note(
            CHECK,
            f"the model is {shown}: its forward in mode 'predict' has to end its "
            f"result with {_ELEMENT}",
        )
    yield from pipelines.look(config)


def _wrapped(model: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A model, and the one that it wraps, and so on."""
    while True:
        yield model
        inner = [model[key] for key in _WRAPPED if isinstance(model.get(key), Mapping)]
        if not inner or "type" not in inner[0]:
            return
        model = inner[0]


def _is_of_library(model: Mapping[str, Any], scope: str, cls: Optional[type]) -> bool:
    """Whether a model's class is a library's own, and not one of the user's.

    Those of users are registered in the library's scope, too: where the class
    cannot be looked at, only a name that the adapters know tells.
    """
    if cls is not None:
        return cls.__module__.split(".")[0] in _LIBRARIES
    part = facts.of_config(model, scope)
    known = _libraries.adapter_for(part)
    return known is not None and (
        part.kind in known.models or part.kind in known.refused
    )


def _with_scope(model: Mapping[str, Any], scope: str) -> str:
    name = str(model["type"])
    return name if "." in name else f"{model.get('_scope_', scope)}.{name}"
