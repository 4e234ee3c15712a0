"""What hooks and schedulers monitor, and warnings where that cannot work.

``doctor`` asks the same of the hooks that it builds from a config.
"""

from __future__ import annotations

import difflib
import logging
import os
from typing import Any, Iterable, Iterator, List, Optional, Tuple

from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log

from valloss_compat._config import VAL_LOSS_HOOK, type_name
from valloss_compat._recording.loss_element import FORM

TOTAL = "val_loss"
#: The entry of a config that gives a validation loss to any model.
HOOK_ENTRY = f"default_hooks=dict(val_loss=dict(type='{VAL_LOSS_HOOK}'))"
#: Below this ratio of difflib a name such as `vae_loss` means something else.
_MIN_SIMILARITY = 0.87


def warn_in_log(message: str, level: int = logging.WARNING) -> None:
    """Log a message with the logger of the current run.

    With mmengine's logger it is in the log file of the run. A warning of
    :mod:`warnings` is not, and with ``-W error`` it would end the training.
    """
    print_log(f"valloss_compat: {message}", logger="current", level=level)


def may_monitor(thing: Any) -> bool:
    """Return whether a hook or scheduler, or one of a class, may monitor a metric.

    Others may have an attribute ``monitor`` that means anything.
    """
    cls = thing if isinstance(thing, type) else type(thing)
    stops = any(base.__name__ == "EarlyStoppingHook" for base in cls.__mro__)
    compares = stops or issubclass(cls, CheckpointHook)
    return compares or bool(getattr(thing, "need_val_args", False))


def monitored_by(thing: Any) -> List[str]:
    """Return the names of the metrics that a hook or parameter scheduler monitors."""
    if isinstance(thing, CheckpointHook):
        return list(getattr(thing, "key_indicators", None) or ())
    if not may_monitor(thing):
        return []
    monitor = getattr(thing, "monitor", None)
    return [monitor] if isinstance(monitor, str) else []


def explain_name(name: str) -> str:
    """Explain why no metric of a validation has a name; empty if one may have it."""
    scope, _, rest = name.partition("/")
    if scope == "val" and rest:
        more = f", or {TOTAL!r}" if "loss" in rest and rest != TOTAL else ""
        return f"that is the tag of {rest!r} in the log. Fix: monitor {rest!r}{more}"
    if scope == "train" and rest:
        return f"that is a tag of the training. Fix: monitor {TOTAL!r}"
    if name == "test_loss":
        return f"that is the total of a test. Fix: monitor {TOTAL!r}"
    plain = "".join(filter(str.isalpha, name.lower()))
    ratio = difflib.SequenceMatcher(None, plain, "valloss").ratio()
    is_close = ratio >= _MIN_SIMILARITY or sorted(plain) == sorted("valloss")
    if name != TOTAL and (is_close or plain == "validationloss"):
        return f"no metric has that name. Did you mean {TOTAL!r}?"
    return ""


def explain_missing_metric(
    runner: Any, source: Any, monitor: str, metrics: Iterable[str], found: Optional[str]
) -> str:
    """Explain why a metric that a hook or scheduler monitors is missing.

    ``found`` is what the model returned in the place of a loss element: empty if it
    returned one, None if that is unknown.
    """
    names = sorted(map(str, metrics))
    text = (
        f"{type_name(source)} monitors {monitor!r}, but the metrics of this validation "
        f"are {', '.join(map(repr, names)) or 'none'}"
    )
    wrong_name = explain_name(monitor)
    if wrong_name:
        return f"{text}: {wrong_name}"
    if any("loss" in name for name in names):
        return f"{text}. Fix: monitor one of these"
    hooks = [hook for hook in _hooks(runner) if type(hook).__name__ == VAL_LOSS_HOOK]
    if any(getattr(hook, "has_rejected", False) for hook in hooks):
        return f"{text}. ValLossHook rejected the model or its data, see above"
    other = next((hook for hook in hooks if not hasattr(hook, "has_rejected")), None)
    if other is not None:
        return f"{text}. {explain_other_hook(type(other))}"
    if hooks or found == "":
        return (
            f"{text}. No name in the loss element contains 'loss', so there is no "
            f"{TOTAL}. Fix: rename one"
        )
    found = found or f"the model returned no loss element. Fix: append {FORM}"
    return f"{text}. There is no loss among them: {found}, or add {HOOK_ENTRY}"


def explain_other_hook(cls: type) -> str:
    """Explain that a class named ``ValLossHook`` is not the one of this package."""
    return (
        f"{VAL_LOSS_HOOK} is {cls.__module__}.{cls.__qualname__} here, and not the "
        f"hook of valloss_compat. Fix: type='valloss_compat.hooks.{VAL_LOSS_HOOK}' "
        "(mmengine 0.7.3 and later), or rename that class"
    )


def missing_metrics(
    runner: Any, metrics: Iterable[str], found: Optional[str]
) -> Iterator[str]:
    """Explain each monitored loss that the metrics of a validation do not have.

    mmengine itself raises a bare ``KeyError`` or warns without a reason.
    """
    names = set(metrics)
    for source in (*_hooks(runner), *_schedulers(runner)):
        # The hook of this package warns on its own.
        if hasattr(source, "warns_of_missing_metric"):
            continue
        for name in monitored_by(source):
            if name not in names and ("loss" in name or explain_name(name)):
                yield explain_missing_metric(runner, source, name, names, found)


def check_hook(hook: Any) -> Iterator[Tuple[bool, str]]:
    """Check how a hook or scheduler compares a loss.

    Yields:
        tuple[bool, str]: Whether it is wrong, or only worth knowing, and the message.
    """
    monitored = monitored_by(hook)
    if not monitored:
        return
    name = type_name(hook)
    losses = [metric for metric in monitored if "loss" in metric.lower()]
    rules = getattr(hook, "rules", None) or [getattr(hook, "rule", None)]
    for metric, rule in zip(monitored, rules):
        if metric in losses and rule == "greater":
            yield (
                True,
                f"{name} of {metric!r} has rule='greater', so that the largest loss is "
                "the best. Fix: rule='less'",
            )
    delta = getattr(hook, "min_delta", 0.01)
    if not isinstance(delta, (int, float)):
        yield True, f"{name} has min_delta={delta!r}, but a number is expected"
    elif losses and abs(delta) >= 0.1:
        default = ", mmengine's default" if abs(delta) == 0.1 else ""
        yield (
            False,
            f"{name} of {losses[0]!r} has min_delta={abs(delta):g}{default}: a loss "
            "that falls by less does not count as better. Most losses need "
            "min_delta=1e-4",
        )
    elif losses and delta == 0:
        yield (
            False,
            f"{name} of {losses[0]!r} has min_delta=0: mmengine counts an equal loss "
            "as better, so that a loss that stands still never stops the training. "
            "Fix: min_delta=1e-4",
        )


def check_hooks(runner: Any) -> Iterator[Tuple[bool, str]]:
    """Check the hooks and schedulers of a training that begins, as ``check_hook``.

    ``CheckpointHook(save_best='NAME')`` keeps one best score, whatever the name is, so
    that after a resume it may be that of another metric.
    """
    for source in (*_hooks(runner), *_schedulers(runner)):
        yield from check_hook(source)
    hub = getattr(runner, "message_hub", None)
    known = getattr(hub, "runtime_info", {})
    best = str(known.get("best_ckpt") or "")
    for hook in _hooks(runner):
        names = monitored_by(hook) if isinstance(hook, CheckpointHook) else []
        if len(names) != 1 or names == ["auto"]:
            continue
        prefix = f"best_{names[0]}_".replace("/", "_")
        if best and not os.path.basename(best).startswith(prefix):
            yield (
                True,
                f"{type_name(hook)} has save_best={names[0]!r}, but the best score of "
                f"this training is {known.get('best_score')}, that of {best}. No "
                f"checkpoint is the best until {names[0]!r} is better than that. Fix: "
                f"save_best=[{names[0]!r}, 'OTHER'], as each of several names has a "
                "score of its own",
            )


def _hooks(runner: Any) -> Iterable[Any]:
    hooks = getattr(runner, "hooks", None)
    return hooks if isinstance(hooks, (list, tuple)) else ()  # the runner may be a mock


def _schedulers(runner: Any) -> Iterable[Any]:
    schedulers = getattr(runner, "param_schedulers", None)
    if isinstance(schedulers, dict):  # one list for each optimizer
        return [one for several in schedulers.values() for one in several]
    return schedulers if isinstance(schedulers, list) else ()
