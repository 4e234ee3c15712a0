"""Check whether a training lasts until its first validation."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any, Iterator, List, Tuple

from packaging.version import Version

from valloss_compat._cli.doctor.findings import Finding, note, problem

CHECK = "config.validation"
#: Train loop of mmengine -> argument that limits it, and its default val_interval.
_LOOPS = {
    "EpochBasedTrainLoop": ("max_epochs", 1),
    "IterBasedTrainLoop": ("max_iters", 1000),
}


def check_interval(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Check the validation interval of a config.

    Args:
        config (dict): A whole config that validates.

    Yields:
        Finding: A problem if the training ends before the first validation. Only a
        note if the train loop is not one of mmengine's.
    """
    train_cfg = config.get("train_cfg") or {}
    errors = list(_type_errors(train_cfg))
    yield from (problem(CHECK, text) for text in errors)
    class_name = str(train_cfg.get("type") or "").rpartition(".")[2]
    loop = class_name
    if loop not in _LOOPS:
        by_epoch = "max_epochs" in train_cfg or "max_iters" not in train_cfg
        loop = "EpochBasedTrainLoop" if by_epoch else "IterBasedTrainLoop"
    end_name, interval = _LOOPS[loop]
    end = train_cfg.get(end_name)
    if errors or not isinstance(end, int):
        return
    begin = train_cfg.get("val_begin", 1)
    intervals = [(0, train_cfg.get("val_interval", interval))]
    intervals += [
        (start, step) for start, step in train_cfg.get("dynamic_intervals") or ()
    ]
    first = _first_validation(begin, intervals)
    if first <= end or (begin <= end and _validates_after_end(loop)):
        return
    if class_name in ("", loop):
        finding, exception = problem, ""
    else:
        finding, exception = note, f", unless {class_name} has another idea of that"
    yield finding(
        CHECK,
        f"the first validation would be after {first}, but the training ends after "
        f"{end}: lower val_interval or val_begin of train_cfg{exception}",
    )


def _type_errors(train_cfg: Mapping[str, Any]) -> Iterator[str]:
    """Describe the values of the wrong type."""
    for name in ("val_interval", "val_begin"):
        if not isinstance(train_cfg.get(name, 1), int):
            yield (
                f"{name} of train_cfg is {train_cfg[name]!r}, but a whole number is "
                "expected"
            )
    if train_cfg.get("val_interval") == 0:
        yield "val_interval of train_cfg is 0, but at least 1 is expected"
    pairs = train_cfg.get("dynamic_intervals")
    if pairs is not None and not _are_pairs(pairs):
        yield (
            f"dynamic_intervals of train_cfg is {pairs!r:.80}, but a list of pairs is "
            "expected, each of the epoch or iteration from which on an interval holds, "
            "and that interval: [(90, 1)]"
        )


def _are_pairs(value: Any) -> bool:
    if not isinstance(value, (list, tuple)):
        return False
    if not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in value):
        return False
    numbers = list(chain.from_iterable(value))
    return all(isinstance(number, int) for number in numbers) and 0 not in numbers[1::2]


def _first_validation(begin: int, intervals: List[Tuple[int, int]]) -> int:
    """Return the epoch or iteration of the first validation of an endless training.

    Args:
        begin (int): ``val_begin``.
        intervals (list[tuple[int, int]]): Start of each interval, and the interval.
    """
    first = 0
    ends = [start for start, _ in intervals[1:]]
    for (start, interval), end in zip(intervals, [*ends, None]):
        # After an epoch, mmengine looks up the interval of the next epoch.
        earliest = max(start - 1, begin, 1)
        first = -(-earliest // abs(interval)) * abs(interval)
        if end is not None and first < end - 1:
            return first
    return first


def _validates_after_end(loop: str) -> bool:
    """Whether a train loop also validates after its last epoch or iteration.

    The loops of mmengine do since 0.10.4. A replaced ``run`` is assumed to do so.
    """
    from mmengine import __version__
    from mmengine.runner import loops

    run = getattr(loops, loop).run
    is_replaced = getattr(run, "__module__", None) != loops.__name__
    return is_replaced or Version(__version__) >= Version("0.10.4")
