"""Check which metrics the hooks of a config monitor, and by which rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, Iterator, List, NamedTuple, Optional

from valloss_compat._cli.doctor.class_lookup import lookup
from valloss_compat._cli.doctor.findings import Finding, note, ok, problem
from valloss_compat._config import class_name, hooks

CHECK = "config.monitor"
TOTAL = "val_loss"
#: Hooks whose arguments are checked, if their class is of one of these packages.
_EARLY_STOPPING, _CHECKPOINT = "EarlyStoppingHook", "CheckpointHook"
_PACKAGES = ("mmengine", "valloss_compat")

#: Names often confused with val_loss -> why they are no metric.
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
        source (str): The hook and its argument: ``"CheckpointHook(save_best=...)"``.
        metric (str): Name of the metric.
        rule (str, optional): ``'less'`` or ``'greater'``, if the hook sets a rule.
        hook (dict): The hook's config.
        is_early_stopping (bool): Whether the hook ends the training.
        is_known (bool): Whether the class is mmengine's or this package's. Other hooks
            may only have a similar name and other arguments.
    """

    source: str
    metric: str
    rule: Optional[str]
    hook: Mapping[str, Any]
    is_early_stopping: bool
    is_known: bool


def check_monitor(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Check the monitored metrics of a config.

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
    """Whether a hook monitors a metric whose name contains ``loss``."""
    return any("loss" in monitor.metric.lower() for monitor in monitors(config))


def monitors(config: Mapping[str, Any]) -> List[Monitor]:
    """Return the monitored metrics, in the order of the hooks."""
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
    # A single rule applies to all metrics, a list has one for each.
    rules = list(rule) if isinstance(rule, (list, tuple)) else [rule]
    if len(rules) != len(metrics):  # unless it is 1, CheckpointHook raises
        rules = rules[:1] * len(metrics)
    for metric, metric_rule in zip(metrics, rules):
        source = f"{name}(save_best=...)"
        yield Monitor(source, str(metric), metric_rule, hook, False, is_known)


def _is_known_hook(hook: Mapping[str, Any], name: str) -> bool:
    """Whether a hook is the one of mmengine or this package, not a user's class."""
    if class_name(hook) != name:
        return False
    package, _, rest = str(hook.get("type")).partition(".")
    if "." in rest:  # a full class name
        return package in _PACKAGES
    from mmengine.registry import HOOKS

    cls = lookup(HOOKS, str(hook.get("type")))
    return cls is None or cls.__module__.partition(".")[0] in _PACKAGES


def _argument_errors(hook: Mapping[str, Any]) -> Iterator[str]:
    """Describe arguments that the hook rejects, or that make no sense."""
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
    # The default of other hooks is unknown.
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
    """Choose the severity of a wrong argument: a problem for known hooks only."""
    return problem if monitor.is_known else note
