"""Validation loss curves for trainings with early stopping."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple

_BY_ITER = {"by_epoch": False, "max_iters": 12, "val_interval": 2}


@dataclass(frozen=True)
class Curve:
    """One training.

    Attributes:
        losses (list[float]): The ``val_loss`` of each validation.
        hook (dict): Arguments of ``EarlyStoppingHook`` except ``monitor``.
        monitor (str): Metric that the hook monitors.
        save_best (str or list): Argument of ``CheckpointHook``.
        train_cfg (dict): Length and interval. By default one epoch for each loss.
        stages (tuple[int]): Lengths at which the training is interrupted and resumed.
        loop (str): Class of the train loop, if it is not the default one.
    """

    losses: List[float]
    hook: Dict[str, Any] = field(default_factory=dict)
    monitor: str = "val_loss"
    save_best: Any = "val_loss"
    train_cfg: Dict[str, Any] = field(default_factory=dict)
    stages: Tuple[int, ...] = ()
    loop: str = ""


_RISING = [0.9, 0.6, 0.4, 0.5, 0.7, 0.8, 0.9, 1.0]
_EAGER = {"patience": 2, "min_delta": 0.0}

CURVES = {
    "rising": Curve(_RISING, _EAGER),
    "rising, default patience": Curve([0.9, 0.1, *[0.5] * 8], {}),
    "plateau within min_delta": Curve(
        [0.9, 0.88, 0.87, 0.86, 0.85, 0.84], {"patience": 3, "min_delta": 0.05}
    ),
    "just min_delta": Curve(
        [1.0, 0.75, 0.5, 0.25, 0.125, 0.0625, 0.03], {"patience": 2, "min_delta": 0.25}
    ),
    "equal": Curve([0.5] * 6, _EAGER),
    "NaN": Curve([0.9, 0.8, math.nan, 0.7], _EAGER),
    "NaN first": Curve([math.nan, 0.7], _EAGER),
    "NaN unchecked": Curve(
        [0.9, math.nan, 0.7, 0.8, 0.9], {**_EAGER, "check_finite": False}
    ),
    "inf": Curve([0.9, math.inf, 0.7], _EAGER),
    "inf unchecked": Curve(
        [0.9, math.inf, 0.7, 0.8, 0.9, 1.0], {**_EAGER, "check_finite": False}
    ),
    "threshold": Curve([0.9, 0.6, 0.3, 0.2], {"stopping_threshold": 0.4}),
    "threshold met, not passed": Curve([0.9, 0.5, 0.4], {"stopping_threshold": 0.5}),
    "never": Curve([0.9, 0.7, 0.5, 0.3], {"min_delta": 0.0}),
    "by iteration": Curve(_RISING[:6], _EAGER, train_cfg=_BY_ITER),
    "by iteration, never": Curve(
        [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], {"min_delta": 0.0}, train_cfg=_BY_ITER
    ),
    "every second epoch": Curve(
        _RISING, {**_EAGER, "patience": 1}, train_cfg={"val_interval": 2}
    ),
    "rule given": Curve([0.1, 0.9, 0.5, 0.4, 0.3], {**_EAGER, "rule": "greater"}),
    "rule inferred": Curve([0.1, 0.9, 0.5, 0.4, 0.3], _EAGER, "acc", "acc"),
    "two best": Curve(_RISING, _EAGER, save_best=["val_loss", "acc"]),
    "missing metric": Curve([0.5, 0.6, 0.7], _EAGER, "other_loss"),
    "missing metric, strict": Curve([0.5], {**_EAGER, "strict": True}, "other_loss"),
    "resumed": Curve([0.9, 0.6, 0.7, 0.8, 0.9, 1.0], _EAGER, stages=(3,)),
    "resumed by iteration": Curve(
        [0.9, 0.6, 0.7, 0.8, 0.9, 1.0], _EAGER, train_cfg=_BY_ITER, stages=(6,)
    ),
    "resumed after the stop": Curve(_RISING, _EAGER, stages=(8,)),
    "a loop derived by epoch": Curve(_RISING, _EAGER, loop="DerivedByEpoch"),
    "a loop derived by iteration": Curve(
        _RISING[:6], _EAGER, train_cfg=_BY_ITER, loop="DerivedByIter"
    ),
}
