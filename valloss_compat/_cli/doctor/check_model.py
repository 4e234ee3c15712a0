"""Check whether the model of a config or ``ValLossHook`` gives the losses.

Both are tried on one validation batch, where the model and the data are here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Iterator, List, Optional, Sequence, Set, Tuple

from valloss_compat import _config
from valloss_compat._cli.doctor.check_hooks import Hooks
from valloss_compat._cli.doctor.class_lookup import LIBRARIES, registered
from valloss_compat._cli.doctor.report import Finding, note, ok, problem, unchecked
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

    ``others`` are classes of the user that may report losses as well.

    Returns:
        tuple[list[Finding], set[str]]: At least one finding, and the names of the
        losses with their total; None if they are not known.
    """
    model = config.get("model")
    if not isinstance(model, Mapping) or "type" not in model:
        text = "this config has no model with a type. Fix: add model=dict(type=...)"
        return [problem(CHECK, text)], None
    chain = list(_model_chain(model))
    classes = [registered("MODELS", one, config) for one in chain]
    names = ", which wraps ".join(
        _config.type_name(cls) if cls else str(one["type"])
        for one, cls in zip(chain, classes)
    )
    if hooks.val_loss_hooks:
        return list(_check_hook(config, names)), None
    text = f"the model is {names}"
    missing = unchecked if others else problem
    more = f". {' and '.join(others)} may add {TOTAL}" if others else ""
    # The scope does not tell, as user classes are registered in the library's scope.
    libraries = [
        cls.__module__ if cls else _config.names_of(one, _config.scope_of(config))[0]
        for one, cls in zip(chain, classes)
    ]
    if {library.partition(".")[0] for library in libraries} <= set(LIBRARIES):
        rejection = models.check_config(config)
        hook_fix = "" if rejection else f"add {HOOK_ENTRY}, or "
        # A class that cannot be imported may be the user's.
        report = unchecked if None in classes else missing
        report = report if hooks.monitors_loss else note
        text += (
            ", of a library whose models append no loss element. Fix: "
            f"{hook_fix}derive a model whose forward in mode 'predict' ends its "
            f"result with {FORM}{more}"
        )
        findings = [report(CHECK, text)]
        if rejection:
            text = f"{_config.VAL_LOSS_HOOK} is no fix: {rejection}"
            findings.append(note(_HOOK_CHECK, text))
        return findings, None
    if config.get("val_dataloader") is None:
        return [note(CHECK, f"{text}, and nothing validates it")], None
    try:
        losses, reason = reported_losses(config)
    except TypeError as error:
        return [problem(CHECK, f"{text}: {error}")], None
    if losses is None:
        text += (
            f": whether it returns a loss element is not checked, as {reason}. "
            f"Expected: its forward in mode 'predict' ends its result with {FORM}"
        )
        return [unchecked(CHECK, text)], None
    if losses:
        findings = [ok(CHECK, f"{text}: a batch reports {', '.join(sorted(losses))}")]
        if TOTAL not in losses and hooks.monitors_loss:
            text = f"no name of a loss of {names} contains 'loss'. Fix: rename one"
            findings.append(missing(CHECK, text + more))
        return findings, losses
    report = missing if hooks.monitors_loss else note
    return [report(CHECK, f"{text}: {reason}{more}")], losses


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


def _model_chain(model: Any) -> Iterator[Mapping[str, Any]]:
    """Iterate over a model, the model that it wraps, and so on."""
    while isinstance(model, Mapping) and "type" in model:
        yield model
        wrapped = (model.get(key) for key in _WRAPPED_MODEL_KEYS)
        model = next((one for one in wrapped if isinstance(one, Mapping)), None)
