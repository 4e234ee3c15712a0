"""What a config's hooks monitor, and by what rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, Iterator, List, NamedTuple, Optional

from valloss_compat._cli.doctor.findings import Finding, note, ok, problem
from valloss_compat._cli.doctor.registry import lookup
from valloss_compat._config import hooks, kind

CHECK = "config.monitor"
TOTAL = "val_loss"
#: The hooks whose arguments are known: in each scope, or by a full name in one of
#: these packages.
_STOPS, _KEEPS = "EarlyStoppingHook", "CheckpointHook"
_PACKAGES = ("mmengine", "valloss_compat")

#: What is sometimes monitored in its place, and why it is no metric.
_MISTAKEN = {
    "val/val_loss": "that is its tag in the logs",
    "val/loss": "that is a tag in the logs",
    "train/loss": "that is the tag of the training loss in the logs",
    "test_loss": "that is its name in a test",
    "loss_val": "metrics have no such name",
    "valid_loss": "metrics have no such name",
    "validation_loss": "metrics have no such name",
}


class Monitor(NamedTuple):
    """One metric that one hook monitors.

    Attributes:
        who (str): The hook and its argument: ``"CheckpointHook(save_best=...)"``.
        name (str): Of the metric.
        rule (str, optional): Which values are better, if the hook says so.
        hook (dict): The hook's config.
        stops (bool): Whether it is one that ends the training.
        known (bool): Whether it is the hook of that very name, whose arguments are
            known: of one whose name only ends so, nothing is certain.
    """

    who: str
    name: str
    rule: Optional[str]
    hook: Mapping[str, Any]
    stops: bool
    known: bool


def monitors(config: Mapping[str, Any]) -> List[Monitor]:
    """What is monitored, in the order of the hooks."""
    return [found for hook in hooks(config) for found in _of_hook(hook)]


def _is(hook: Mapping[str, Any], name: str) -> bool:
    """Whether a hook is the known one of a name, and not a class of somebody's own."""
    if kind(hook) != name:
        return False
    package, _, rest = str(hook.get("type")).partition(".")
    if "." in rest:  # a module's
        return package in _PACKAGES
    from mmengine.registry import HOOKS

    cls = lookup(HOOKS, str(hook.get("type")))
    return cls is None or cls.__module__.partition(".")[0] in _PACKAGES


def _of_hook(hook: Mapping[str, Any]) -> Iterator[Monitor]:
    name = kind(hook)
    rules = hook.get("rule")
    stops = _is(hook, _STOPS)
    known = stops or _is(hook, _KEEPS)
    if stops or (name.endswith(_STOPS) and "monitor" in hook):
        monitored = str(hook.get("monitor"))
        yield Monitor(f"{name}(monitor=...)", monitored, rules, hook, True, known)
    best = hook.get("save_best") if name.endswith(_KEEPS) else None
    names = best if isinstance(best, (list, tuple)) else [best] if best else []
    # One rule holds for all, a list of rules has one for each.
    several = list(rules) if isinstance(rules, (list, tuple)) else [rules]
    if len(several) != len(names):  # where not 1, mmengine's own check ends the run
        several = several[:1] * len(names)
    for metric, rule in zip(names, several):
        who = f"{name}(save_best=...)"
        yield Monitor(who, str(metric), rule, hook, False, known)


def watched(config: Mapping[str, Any]) -> bool:
    """Whether a hook monitors a validation loss, by whatever name."""
    return any("loss" in monitor.name.lower() for monitor in monitors(config))


def look(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Findings about what is monitored.

    Args:
        config (dict): A whole config.

    Yields:
        Finding: At least one.
    """
    for hook in hooks(config):
        for text in _values(hook):
            yield problem(CHECK, f"{kind(hook)} has {text}")
    for monitor in monitors(config):
        yield from _name(monitor)
        yield from _rule(monitor)
    if not watched(config):
        yield note(
            CHECK,
            f"no hook monitors {TOTAL}: it is logged, and nothing else. For early "
            f"stopping custom_hooks=[dict(type='EarlyStoppingHook', "
            f"monitor='{TOTAL}', min_delta=0.0)], for the best checkpoint "
            f"default_hooks=dict(checkpoint=dict(save_best='{TOTAL}'))",
        )


def _values(hook: Mapping[str, Any]) -> Iterator[str]:
    """Arguments that the hook itself refuses, or that cannot be meant."""
    stops = _is(hook, _STOPS)
    if not stops and not _is(hook, _KEEPS):
        return
    best, rule = hook.get("save_best"), hook.get("rule")
    names = best if isinstance(best, list) else [best]
    rules = rule if isinstance(rule, list) and not stops else [rule]
    if best is not None and not all(isinstance(name, str) for name in names):
        yield f"save_best={best!r}: expected is the name of a metric, or several"
    elif len(rules) not in (1, len(names)):
        yield (
            f"{len(rules)} rules for {len(names)} names in save_best: expected is one "
            "rule, or one for each name"
        )
    if any(one not in ("less", "greater", None) for one in rules):
        yield f"rule={rule!r}: expected is 'less' or 'greater', or no rule"
    if not stops:
        return
    delta, patience = hook.get("min_delta", 0.1), hook.get("patience", 1)
    if not isinstance(delta, (int, float)):
        yield f"min_delta={delta!r}: a number is expected"
    if not isinstance(patience, int) or patience < 1:
        yield (
            f"patience={patience!r}: expected is how many validations without an "
            "improvement end the training, at least 1"
        )


def _wrong(monitor: Monitor) -> Callable[[str, str], Finding]:
    """What a wrong argument is, of a hook that is known and of another."""
    return problem if monitor.known else note


def _name(monitor: Monitor) -> Iterator[Finding]:
    who, name = monitor.who, monitor.name
    last = name.replace(".", "/").rpartition("/")[2]
    if monitor.stops and "monitor" not in monitor.hook:
        yield problem(
            CHECK, f"{who} has no monitor: expected monitor='{TOTAL}', or a metric"
        )
    elif name in _MISTAKEN:
        yield _wrong(monitor)(
            CHECK,
            f"{who} monitors {name!r}, but {_MISTAKEN[name]}: monitor '{TOTAL}'",
        )
    elif name == TOTAL:
        yield ok(CHECK, f"{who} monitors '{TOTAL}'")
    elif last == TOTAL:
        yield note(
            CHECK,
            f"{who} monitors {name!r}: there is one of that name where a loop "
            f"prefixes its passes, as mmdet's TeacherStudentValLoop does; else "
            f"monitor '{TOTAL}'",
        )
    elif "loss" in name.lower():
        yield note(
            CHECK,
            f"{who} monitors {name!r}, which is a metric only if the model's loss "
            f"element has a loss of that name; the sum of all is '{TOTAL}'",
        )
    elif name == "auto":
        yield note(
            CHECK,
            f"{who} is 'auto': the first metric, which {TOTAL} is not where an "
            f"evaluator has metrics; for the loss say '{TOTAL}'",
        )
    else:
        yield note(CHECK, f"{who} monitors {name!r}, which is no loss")


def _rule(monitor: Monitor) -> Iterator[Finding]:
    if "loss" not in monitor.name.lower():
        return
    if monitor.rule == "greater":
        yield _wrong(monitor)(
            CHECK,
            f"{monitor.who} of {monitor.name!r} has rule='greater', by which the "
            "worst epoch is the best: say rule='less', or leave it out",
        )
    if not monitor.stops:
        return
    # Of another hook, nobody knows the default.
    delta = monitor.hook.get("min_delta", 0.1 if monitor.known else 0.0)
    if isinstance(delta, (int, float)) and delta >= 0.1:
        whose = "" if "min_delta" in monitor.hook else " (the default)"
        yield note(
            CHECK,
            f"{monitor.who} has min_delta={delta}{whose}: a loss that falls by less "
            "from one validation to the next counts as not improved, and most do; "
            "min_delta=0.0 is what loss curves usually want",
        )
