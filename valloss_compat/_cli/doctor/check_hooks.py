"""Check hooks and parameter schedulers of a config: their names and what they monitor.

Those that monitor a metric are built, so that what they reject is what a training
would reject.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import Any, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

import torch
from mmengine import registry as registries

from valloss_compat import _config
from valloss_compat._cli.doctor.class_lookup import registered
from valloss_compat._cli.doctor.report import Finding, note, ok, problem, unchecked
from valloss_compat._recording import monitor_warnings as monitors
from valloss_compat._recording.monitor_warnings import TOTAL, explain_name

CHECK, MONITOR = "config.hooks", "config.monitor"
#: Found by their names without being registered.
_PACKAGE_HOOKS = ("EarlyStoppingHook", _config.VAL_LOSS_HOOK)
#: Ratios of difflib: one typo in ten letters, and EarlyStopHook for this package's.
_MIN_SIMILARITY, _MIN_SIMILARITY_OF_OWN = 0.9, 0.86
_NOT_ARGUMENTS = ("type", "_scope_", "priority", "convert_to_iter_based")
_PREFIXED = f""": only a loop that prefixes its passes reports it, such as mmdet's \
TeacherStudentValLoop. Otherwise monitor {TOTAL!r}"""
_AUTO = f""": that is the first metric, which is {TOTAL!r} only if the evaluator has \
no metrics. For the loss monitor {TOTAL!r}"""
_NAMED = f""": the loss element of the model has to have a loss of that name. The sum \
of all is {TOTAL!r}"""
_ONLY_LOGGED = f"""nothing monitors {TOTAL}: it is only logged. For early stopping add \
default_hooks=dict(early_stopping=dict(type='EarlyStoppingHook', monitor='{TOTAL}', \
min_delta=1e-4)), for the best checkpoint \
default_hooks=dict(checkpoint=dict(save_best='{TOTAL}'))"""


class Hooks(NamedTuple):
    """What was built of a config."""

    findings: List[Finding]  #: On hooks and schedulers that fail.
    monitors: List[Any]  #: Hooks and schedulers that monitor a metric.
    val_loss_hooks: List[Mapping[str, Any]]  #: The entries of this package's hook.
    monitors_loss: bool  #: Whether a loss is monitored, also by what cannot be built.


def build(
    config: Mapping[str, Any], failed_imports: Sequence[Tuple[str, str]]
) -> Hooks:
    """Look up all hooks and schedulers, and build those that monitor a metric."""
    findings: List[Finding] = []
    built: List[Any] = []
    own: List[Mapping[str, Any]] = []
    names: List[str] = []
    absent = [module for module, _ in failed_imports]
    hooks = [("HOOKS", *pair) for pair in _config.hooks_with_paths(config)]
    schedulers = [("PARAM_SCHEDULERS", *pair) for pair in _schedulers(config)]
    for registry, path, entry in hooks + schedulers:
        cls = registered(registry, entry, config)
        if cls is None:
            findings += _unknown_type(registry, path, entry, config, absent)
            continue
        if cls.__name__ == _config.VAL_LOSS_HOOK:
            if cls.__module__.partition(".")[0] != "valloss_compat":
                text = f"{path}: {monitors.explain_other_hook(cls)}"
                findings.append(problem(CHECK, text))
                continue
            own.append(entry)
        elif not monitors.may_monitor(cls):
            continue
        best = entry.get("save_best")
        given = [entry.get("monitor"), *(best if isinstance(best, list) else [best])]
        given = [name for name in given if isinstance(name, str)]
        names += given
        try:
            built.append(_build(registry, cls, entry))
        except Exception as error:
            text = f"{path} ({_config.type_name(cls)}) cannot be built"
            reasons = [f"{text}: {type(error).__name__}: {error}"]
            reasons += filter(None, map(explain_name, given))
            findings.append(problem(CHECK, "; ".join(reasons)))
    names += [metric for one in built for metric in monitors.monitored_by(one)]
    monitors_loss = any("loss" in name.lower() or explain_name(name) for name in names)
    return Hooks(findings, built, own, monitors_loss)


def _schedulers(config: Mapping[str, Any]) -> Iterator[Tuple[str, Mapping[str, Any]]]:
    """Iterate over ``param_scheduler``: one, a list, or one of these by optimizer."""
    pending = [("param_scheduler", config.get("param_scheduler"))]
    for path, entry in pending:  # grows during the iteration
        if isinstance(entry, (list, tuple)):
            pending += [(f"{path}[{n}]", item) for n, item in enumerate(entry)]
        elif isinstance(entry, Mapping) and "type" in entry:
            yield path, entry
        elif isinstance(entry, Mapping):
            pending += [(f"{path}.{key}", item) for key, item in entry.items()]


def _build(registry: str, cls: Any, entry: Mapping[str, Any]) -> Any:
    arguments = {key: entry[key] for key in entry if key not in _NOT_ARGUMENTS}
    if registry == "PARAM_SCHEDULERS":
        weight = torch.nn.Parameter(torch.ones(()))
        arguments["optimizer"] = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    return cls(**arguments)


def _unknown_type(
    registry: str,
    path: str,
    entry: Mapping[str, Any],
    config: Mapping[str, Any],
    absent: List[str],
) -> Iterator[Finding]:
    """Report a hook or scheduler whose type is not registered."""
    if "type" not in entry:
        yield problem(CHECK, f"{path} has no type. Fix: add the name of its class")
        return
    scope = _config.scope_of(config, entry)
    library = _config.scoped_name(entry, scope).partition(".")[0]
    if library != "mmengine":
        try:
            importlib.import_module(f"{library}.engine")  # registers its hooks
        except (Exception, SystemExit):
            absent = [*absent, library]
        else:
            if registered(registry, entry, config) is not None:
                return
    name = str(entry["type"])
    text = f"{path} has the type {name!r}, which is not registered"
    suggestion = _closest_name(registry, name.rpartition(".")[2], scope)
    meant = f"Did you mean {suggestion!r}?"
    if absent:
        places = " and ".join(dict.fromkeys(absent))
        hint = f". {meant}" if suggestion else ""
        yield unchecked(CHECK, f"{text}: {places} cannot be imported here{hint}")
    elif suggestion:
        yield problem(CHECK, f"{text}: the training ends with a KeyError. {meant}")
    else:
        yield unchecked(
            CHECK,
            f"{text}: the train script has to import the module that registers it. "
            "Fix: name that module in custom_imports",
        )


def _closest_name(registry: str, name: str, scope: str) -> Optional[str]:
    """Return the registered name of which a name is a typo, if there is one."""
    own = [*_PACKAGE_HOOKS] if registry == "HOOKS" else []
    # Names that need no scope come last: they override those of other libraries.
    pairs = sorted(_registered_names(registry, scope), key=lambda p: p[0] == p[1])
    names = {plain.lower(): full for plain, full in [*pairs, *zip(own, own)]}
    lower = name.lower()
    stem = _stem(lower)
    matches = difflib.get_close_matches(lower, list(names), 3, _MIN_SIMILARITY)
    own = [plain.lower() for plain in own]
    matches += difflib.get_close_matches(lower, own, 1, _MIN_SIMILARITY_OF_OWN)
    for match in matches or [other for other in names if _stem(other) == stem]:
        # Not a typo but a user's class: MyEarlyStoppingHook, EMAHook2.
        is_longer = stem != lower and stem != _stem(match) and _stem(match) in stem
        is_numbered = lower != match and lower.rstrip("0123456789") == match
        if not is_longer and not is_numbered and names[match] != name:
            return names[match]
    return None


def _stem(lower: str) -> str:
    return lower[: -len("hook")] if lower.endswith("hook") else lower


def _registered_names(registry: str, scope: str) -> Iterator[Tuple[str, str]]:
    """Iterate over registered classes: name, and name as written in a scope."""
    waiting = [getattr(registries, registry)]
    for one in waiting:  # grows during the iteration
        prefix = "" if one.scope in ("mmengine", scope) else f"{one.scope}."
        yield from ((name, prefix + name) for name in one.module_dict)
        waiting += one.children.values()


def check_monitors(
    config: Mapping[str, Any],
    hooks: Hooks,
    losses: Optional[Set[str]],
    others: Sequence[str],
) -> Iterator[Finding]:
    """Check the monitored metrics of a config, with at least one finding.

    ``losses`` are what the model reports, if that is known. ``others`` are classes of
    the user that may report more.
    """
    for source in hooks.monitors:
        for metric in monitors.monitored_by(source):
            text = f"{_config.type_name(source)} monitors {metric!r}"
            yield _check_name(config, text, metric, losses, bool(others))
        for is_wrong, text in monitors.check_hook(source):
            yield (problem if is_wrong else note)(MONITOR, text)
    if not hooks.monitors_loss:
        yield note(MONITOR, _ONLY_LOGGED)


def _check_name(
    config: Mapping[str, Any],
    text: str,
    metric: str,
    losses: Optional[Set[str]],
    more_losses: bool,
) -> Finding:
    reason = explain_name(metric)
    if "'prefix': 'val'" in str(config.get("val_evaluator")):
        reason = "" if metric.startswith("val/") else reason  # a metric of this prefix
    if metric in (losses or ()) or metric == TOTAL:
        return ok(MONITOR, text)
    if reason:
        return problem(MONITOR, f"{text}: {reason}")
    if metric.replace(".", "/").rpartition("/")[2] == TOTAL:
        text += _PREFIXED
    elif metric == "auto":
        text += _AUTO
    elif "loss" not in metric.lower():
        text += ", which is no loss"
    elif losses is None or more_losses:
        text += _NAMED
    else:
        shown = ", ".join(map(repr, sorted(losses))) or "no loss"
        return problem(MONITOR, f"{text}, but the model reports {shown}")
    return note(MONITOR, text)
