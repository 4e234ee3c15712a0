"""Check whether the model of a config or ``ValLossHook`` gives the losses.

Both are tried on one validation batch, where the model and the data are here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Iterator, List, Optional, Sequence, Set, Tuple

from valloss_compat import _config
from valloss_compat._cli.doctor.check_hooks import Hooks
from valloss_compat._cli.doctor.class_lookup import LIBRARIES, registered
from valloss_compat._cli.doctor.findings import Finding, note, ok, problem, unchecked
from valloss_compat._libraries import models
from valloss_compat._recording.loss_element import FORM
from valloss_compat._recording.monitor_warnings import HOOK_ENTRY, TOTAL
from valloss_compat.hooks.config_check import check_config, reported_losses

CHECK = "config.model"
_HOOK_CHECK = "config.val_loss_hook"

#: Config keys of a wrapped model, as in mmdet's semi-supervised detectors, mmrazor's
#: algorithms and mmengine's test-time augmentation.
_WRAPPED_MODEL_KEYS = ("detector", "architecture", "module", "model", "segmentor")


def check_model(
    config: Mapping[str, Any], hooks: Hooks, others: Sequence[str]
) -> Tuple[List[Finding], Optional[Set[str]]]:
    """Check the model, or the hook that computes its losses.

    Args:
        config (dict): A whole config.
        hooks (Hooks): What was built of it.
        others (Sequence[str]): Classes of the user that may report losses as well.

    Returns:
        tuple[list[Finding], set[str]]: At least one finding, and the names of the
        losses with their total; None if they are not known.
    """
    model = config.get("model")
    if not isinstance(model, Mapping) or "type" not in model:
        text = "this config has no model with a type. Fix: add model=dict(type=...)"
        return [problem(CHECK, text)], None
    chain = list(_model_chain(model))
    names = ", which wraps ".join(_name_of(one, config) for one in chain)
    if hooks.val_loss_hooks:
        return list(_check_hook(config, names)), None
    of_library = [_is_of_library(one, config) for one in chain]
    missing = unchecked if others else problem
    more = f". {' and '.join(others)} may add {TOTAL}" if others else ""
    if False not in of_library:
        rejection = models.check_config(config)
        hook_fix = "" if rejection else f"add {HOOK_ENTRY}, or "
        # A class that cannot be imported may be the user's.
        report = unchecked if None in of_library else missing
        report = report if hooks.monitors_loss else note
        text = (
            f"the model is {names}, of a library whose models append no loss element. "
            f"Fix: {hook_fix}derive a model whose forward in mode 'predict' ends its "
            f"result with {FORM}{more}"
        )
        findings = [report(CHECK, text)]
        if rejection:
            text = f"{_config.VAL_LOSS_HOOK} is no fix: {rejection}"
            findings.append(note(_HOOK_CHECK, text))
        return findings, None
    if config.get("val_dataloader") is None:
        return [note(CHECK, f"the model is {names}, and nothing validates it")], None
    try:
        losses, reason = reported_losses(config)
    except TypeError as error:
        return [problem(CHECK, f"the model is {names}: {error}")], None
    if losses is None:
        text = (
            f"the model is {names}: whether it returns a loss element is not checked, "
            f"as {reason}. Expected: its forward in mode 'predict' ends its result with"
            f" {FORM}"
        )
        return [unchecked(CHECK, text)], None
    if losses:
        shown = ", ".join(sorted(losses))
        findings = [ok(CHECK, f"the model is {names}: a batch reports {shown}")]
        if TOTAL not in losses and hooks.monitors_loss:
            text = f"no name of a loss of {names} contains 'loss'. Fix: rename one"
            findings.append(missing(CHECK, text + more))
        return findings, losses
    report = missing if hooks.monitors_loss else note
    return [report(CHECK, f"the model is {names}: {reason}{more}")], losses


def _check_hook(config: Mapping[str, Any], names: str) -> Iterator[Finding]:
    checked = check_config(config)
    if checked.repairs:
        yield note(_HOOK_CHECK, f"the loss gets {'; '.join(checked.repairs)}")
    text = f"{_config.VAL_LOSS_HOOK} computes the losses of {names}"
    if checked.verdict == "rejected":
        yield problem(_HOOK_CHECK, checked.text)
    elif checked.verdict == "accepted":
        # The text of the self-check begins with the hook and the model as well.
        yield ok(_HOOK_CHECK, f"{text}: {checked.text.split(': ', 2)[-1]}")
    else:
        yield unchecked(_HOOK_CHECK, f"{text}, not checked: {checked.text}")


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


def _is_of_library(
    model: Mapping[str, Any], config: Mapping[str, Any]
) -> Optional[bool]:
    """Return whether the class of a model belongs to a library, not to the user.

    The scope does not tell, as user classes are registered in the library's scope.

    Returns:
        bool, optional: None if the class cannot be imported, and the scope is that of
        a library.
    """
    cls = registered("MODELS", model, config)
    if cls is not None:
        return cls.__module__.split(".")[0] in LIBRARIES
    library = _config.names_of(model, _config.scope_of(config))[0].partition(".")[0]
    return None if library in LIBRARIES else False


def _name_of(model: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Full name of the class of a model; as the config has it if it is not here."""
    cls = registered("MODELS", model, config)
    return str(model["type"]) if cls is None else _config.type_name(cls)
