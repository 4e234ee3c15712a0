"""Whether what hooks monitor is there, and if not, why."""

from __future__ import annotations

import logging
from typing import Any, Iterable, Iterator, Set, Tuple

from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log


def warn_in_log(message: str) -> None:
    """Write one warning to the logger of the current run.

    mmengine's logger is used, not :mod:`warnings`: the message lands in the
    log file of the run, and a user's ``-W error`` cannot end a training.

    Args:
        message (str): The text, without a prefix.
    """
    print_log(f"valloss_compat: {message}", logger="current", level=logging.WARNING)


def explain_missing_metric(
    runner: Any, monitor: str, who: str, metrics: Iterable[str]
) -> str:
    """Say that a monitored metric is missing.

    Args:
        runner (Runner): Whose validation it is.
        monitor (str): Its name.
        who (str): Which hook monitors it.
        metrics (Iterable[str]): Names of the metrics that there are.

    Returns:
        str: The names that there are and, where none of them is a loss, why
        that can be and what to do.
    """
    names = sorted(map(str, metrics))
    text = (
        f"{who} monitors {monitor!r}, but the metrics of this validation are "
        f"{', '.join(map(repr, names)) or 'none'}"
    )
    if any("loss" in name for name in names):
        return f"{text}: monitor one of these"
    ours = [h.has_refused for h in _hooks(runner) if hasattr(h, "has_refused")]
    if any(ours):
        return (
            f"{text}. There is no loss among them: ValLossHook has refused to give "
            "one, for the reason and with the way out that it has logged before"
        )
    if ours:
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
    runner: Any, metrics: Iterable[str], said: Set[str]
) -> None:
    """Log a warning for each hook that monitors a loss which is not there.

    mmengine itself raises a bare ``KeyError`` or warns without a reason.

    Args:
        runner (Runner): Whose hooks are asked.
        metrics (Iterable[str]): Names of the metrics of a validation.
        said (set[str]): The messages that were logged; those are not repeated.
    """
    names = set(metrics)
    for who, monitor in _monitored(runner):
        if "loss" in monitor and monitor not in names:
            message = explain_missing_metric(runner, monitor, who, names)
            if message not in said:
                said.add(message)
                warn_in_log(message)


def _monitored(runner: Any) -> Iterator[Tuple[str, str]]:
    for hook in _hooks(runner):
        who = type(hook).__name__
        stops = any(base.__name__ == "EarlyStoppingHook" for base in type(hook).__mro__)
        # Ours says itself what is missing.
        if stops and not hasattr(hook, "warns_of_missing_metric"):
            yield who, str(getattr(hook, "monitor", None))
        if isinstance(hook, CheckpointHook):
            for key in getattr(hook, "key_indicators", None) or ():
                yield who, key


def _hooks(runner: Any) -> Iterable[Any]:
    hooks = getattr(runner, "hooks", None)
    return hooks if isinstance(hooks, (list, tuple)) else ()  # it may be a mock
