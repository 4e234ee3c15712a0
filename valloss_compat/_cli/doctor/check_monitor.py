"""What a config's hooks monitor, and by what rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, Iterator, List, NamedTuple, Optional

from valloss_compat._cli.doctor.findings import Finding, note, ok, problem
from valloss_compat._cli.doctor.registry import lookup
from valloss_compat._config import class_name, hooks

CHECK = "config.monitor"
TOTAL = "val_loss"
#: The hooks whose arguments are known: in each scope, or by a full name in one of
#: these packages.
_EARLY_STOPPING, _CHECKPOINT = "EarlyStoppingHook", "CheckpointHook"
_PACKAGES = ("mmengine", "valloss_compat")

#: What is sometimes monitored in its place, and why it is no metric.
_MISTAKEN_NAMES = {
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

    source: str
    metric: str
    rule: Optional[str]
    hook: Mapping[str, Any]
    is_early_stopping: bool
    is_known: bool


def check_monitor(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Findings about what is monitored.

    Args:
        config (dict): A whole config.

    Yields:
        Finding: At least one.
    """
    for hook in hooks(config):
        for text in _argument_errors(hook):
            yield problem(CHECK, f"{class_name(hook)} has {text}")
    for monitor in monitors(config):
        yield from _check_name(monitor)
        yield from _check_rule(monitor)
    if not monitors_loss(config):
        yield note(
            CHECK,
            f"no hook monitors {TOTAL}: it is logged, and nothing else. For early "
            f"stopping custom_hooks=[dict(type='EarlyStoppingHook', "
            f"monitor='{TOTAL}', min_delta=0.0)], for the best checkpoint "
            f"default_hooks=dict(checkpoint=dict(save_best='{TOTAL}'))",
        )


def monitors_loss(config: Mapping[str, Any]) -> bool:
    """Whether a hook monitors a validation loss, by whatever name."""
    return any("loss" in monitor.metric.lower() for monitor in monitors(config))


def monitors(config: Mapping[str, Any]) -> List[Monitor]:
    """What is monitored, in the order of the hooks."""
    return [monitor for hook in hooks(config) for monitor in _monitors_of(hook)]


def _monitors_of(hook: Mapping[str, Any]) -> Iterator[Monitor]:
    name = class_name(hook)
    rule = hook.get("rule")
    is_early_stopping = _is_known_hook(hook, _EARLY_STOPPING)
    is_known = is_early_stopping or _is_known_hook(hook, _CHECKPOINT)
    if is_early_stopping or (name.endswith(_EARLY_STOPPING) and "monitor" in hook):
        monitored = str(hook.get("monitor"))
        yield Monitor(f"{name}(monitor=...)", monitored, rule, hook, True, is_known)
    best = hook.get("save_best") if name.endswith(_CHECKPOINT) else None
    metrics = best if isinstance(best, (list, tuple)) else [best] if best else []
    # One rule holds for all, a list of rules has one for each.
    rules = list(rule) if isinstance(rule, (list, tuple)) else [rule]
    if len(rules) != len(metrics):  # where not 1, mmengine's own check ends the run
        rules = rules[:1] * len(metrics)
    for metric, metric_rule in zip(metrics, rules):
        source = f"{name}(save_best=...)"
        yield Monitor(source, str(metric), metric_rule, hook, False, is_known)


def _is_known_hook(hook: Mapping[str, Any], name: str) -> bool:
    """Whether a hook is the known one of a name, and not a class of somebody's own."""
    if class_name(hook) != name:
        return False
    package, _, rest = str(hook.get("type")).partition(".")
    if "." in rest:  # a module's
        return package in _PACKAGES
    from mmengine.registry import HOOKS

    cls = lookup(HOOKS, str(hook.get("type")))
    return cls is None or cls.__module__.partition(".")[0] in _PACKAGES


def _argument_errors(hook: Mapping[str, Any]) -> Iterator[str]:
    """Arguments that the hook itself refuses, or that cannot be meant."""
    is_early_stopping = _is_known_hook(hook, _EARLY_STOPPING)
    if not is_early_stopping and not _is_known_hook(hook, _CHECKPOINT):
        return
    save_best, rule = hook.get("save_best"), hook.get("rule")
    names = save_best if isinstance(save_best, list) else [save_best]
    rules = rule if isinstance(rule, list) and not is_early_stopping else [rule]
    if save_best is not None and not all(isinstance(name, str) for name in names):
        yield f"save_best={save_best!r}: expected is the name of a metric, or several"
    elif len(rules) not in (1, len(names)):
        yield (
            f"{len(rules)} rules for {len(names)} names in save_best: expected is one "
            "rule, or one for each name"
        )
    if any(value not in ("less", "greater", None) for value in rules):
        yield f"rule={rule!r}: expected is 'less' or 'greater', or no rule"
    if not is_early_stopping:
        return
    delta, patience = hook.get("min_delta", 0.1), hook.get("patience", 1)
    if not isinstance(delta, (int, float)):
        yield f"min_delta={delta!r}: a number is expected"
    if not isinstance(patience, int) or patience < 1:
        yield (
            f"patience={patience!r}: expected is how many validations without an "
            "improvement end the training, at least 1"
        )


def _check_name(monitor: Monitor) -> Iterator[Finding]:
    source, metric = monitor.source, monitor.metric
    last = metric.replace(".", "/").rpartition("/")[2]
    if monitor.is_early_stopping and "monitor" not in monitor.hook:
        yield problem(
            CHECK, f"{source} has no monitor: expected monitor='{TOTAL}', or a metric"
        )
    elif metric in _MISTAKEN_NAMES:
        yield _problem_or_note(monitor)(
            CHECK,
            f"{source} monitors {metric!r}, but {_MISTAKEN_NAMES[metric]}: "
            f"monitor '{TOTAL}'",
        )
    elif metric == TOTAL:
        yield ok(CHECK, f"{source} monitors '{TOTAL}'")
    elif last == TOTAL:
        yield note(
            CHECK,
            f"{source} monitors {metric!r}: there is one of that name where a loop "
            f"prefixes its passes, as mmdet's TeacherStudentValLoop does; else "
            f"monitor '{TOTAL}'",
        )
    elif "loss" in metric.lower():
        yield note(
            CHECK,
            f"{source} monitors {metric!r}, which is a metric only if the model's loss "
            f"element has a loss of that name; the sum of all is '{TOTAL}'",
        )
    elif metric == "auto":
        yield note(
            CHECK,
            f"{source} is 'auto': the first metric, which {TOTAL} is not where an "
            f"evaluator has metrics; for the loss say '{TOTAL}'",
        )
    else:
        yield note(CHECK, f"{source} monitors {metric!r}, which is no loss")


def _check_rule(monitor: Monitor) -> Iterator[Finding]:
    if "loss" not in monitor.metric.lower():
        return
    if monitor.rule == "greater":
        yield _problem_or_note(monitor)(
            CHECK,
            f"{monitor.source} of {monitor.metric!r} has rule='greater', by which the "
            "worst epoch is the best: say rule='less', or leave it out",
        )
    if not monitor.is_early_stopping:
        return
    # Of another hook, nobody knows the default.
    delta = monitor.hook.get("min_delta", 0.1 if monitor.is_known else 0.0)
    if isinstance(delta, (int, float)) and delta >= 0.1:
        origin = "" if "min_delta" in monitor.hook else " (the default)"
        yield note(
            CHECK,
            f"{monitor.source} has min_delta={delta}{origin}: a loss that falls by "
            "less from one validation to the next counts as not improved, and most do; "
            "min_delta=0.0 is what loss curves usually want",
        )


def _problem_or_note(monitor: Monitor) -> Callable[[str, str], Finding]:
    """What a wrong argument is, of a hook that is known and of another."""
    return problem if monitor.is_known else note
