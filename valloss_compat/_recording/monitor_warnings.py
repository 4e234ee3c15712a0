"""Warnings about monitored losses that the metrics of a validation do not have."""

from __future__ import annotations

import logging
from typing import Any, Iterable, Iterator, Set, Tuple

from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log


def warn_in_log(message: str) -> None:
    """Log a warning with the logger of the current run.

    With mmengine's logger the message is in the log file of the run. A warning of
    :mod:`warnings` is not, and with ``-W error`` it would end the training.

    Args:
        message (str): The message without the prefix ``valloss_compat:``.
    """
    print_log(f"valloss_compat: {message}", logger="current", level=logging.WARNING)


def explain_missing_metric(
    runner: Any, monitor: str, hook_name: str, metrics: Iterable[str]
) -> str:
    """Return a message about a monitored metric that is missing.

    Args:
        runner (Runner): The runner of the validation.
        monitor (str): Name of the metric.
        hook_name (str): Name of the hook that monitors it.
        metrics (Iterable[str]): Names of the metrics of the validation.

    Returns:
        str: The names of the metrics. If none of them is a loss, also the possible
        reason and a fix.
    """
    names = sorted(map(str, metrics))
    text = (
        f"{hook_name} monitors {monitor!r}, but the metrics of this validation are "
        f"{', '.join(map(repr, names)) or 'none'}"
    )
    if any("loss" in name for name in names):
        return f"{text}: monitor one of these"
    rejections = [h.has_refused for h in _hooks(runner) if hasattr(h, "has_refused")]
    if any(rejections):
        return (
            f"{text}. There is no loss among them: ValLossHook has refused to give "
            "one, for the reason and with the way out that it has logged before"
        )
    if rejections:
        return (
            f"{text}. There is no loss among them: no name in the loss element that "
            "the model or ValLossHook appended contains 'loss'. Rename one to what "
            "contains it, or monitor one of these"
        )
    return (
        f"{text}. There is no loss among them: the model appended no loss element, or "
        "no name in it contains 'loss'. For a model of mmpretrain, mmdet, mmseg or "
        "mmpose add custom_hooks=[dict(type='ValLossHook')]; end what the forward of "
        "any other returns in mode 'predict' with "
        "BaseDataElement(loss={'loss_cls': tensor, ...})"
    )


def warn_of_missing_metrics(
    runner: Any, metrics: Iterable[str], already_logged: Set[str]
) -> None:
    """Log a warning for each hook that monitors a missing loss.

    mmengine itself raises a bare ``KeyError`` or warns without a reason.

    Args:
        runner (Runner): The runner of the validation.
        metrics (Iterable[str]): Names of the metrics of the validation.
        already_logged (set[str]): Messages that are not repeated. New ones are added.
    """
    names = set(metrics)
    for hook_name, monitor in _monitored(runner):
        if "loss" in monitor and monitor not in names:
            message = explain_missing_metric(runner, monitor, hook_name, names)
            if message not in already_logged:
                already_logged.add(message)
                warn_in_log(message)


def _monitored(runner: Any) -> Iterator[Tuple[str, str]]:
    """Yield the name of each hook that monitors a metric, and the metric."""
    for hook in _hooks(runner):
        name = type(hook).__name__
        stops = any(base.__name__ == "EarlyStoppingHook" for base in type(hook).__mro__)
        # The hook of this package warns on its own.
        if stops and not hasattr(hook, "warns_of_missing_metric"):
            yield name, str(getattr(hook, "monitor", None))
        if isinstance(hook, CheckpointHook):
            for key in getattr(hook, "key_indicators", None) or ():
                yield name, key


def _hooks(runner: Any) -> Iterable[Any]:
    hooks = getattr(runner, "hooks", None)
    return hooks if isinstance(hooks, (list, tuple)) else ()  # the runner may be a mock
