"""Early stopping for mmengine 0.1.0 to 0.6.0, which have no such hook."""

from __future__ import annotations

import math
from typing import Any, Dict, Optional, Set, Tuple

from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop

from valloss_compat._config import type_name
from valloss_compat._recording.monitor_warnings import (
    explain_missing_metric,
    warn_in_log,
)
from valloss_compat._recording.recorder import missing_element


class EarlyStoppingHook(Hook):
    """Stops a training when the monitored metric no longer improves.

    Arguments, defaults, inferred rules and the epoch or iteration of the stop
    are the same as in mmengine 0.10.7. As in mmengine, a resumed training
    starts to count again.

    Args:
        monitor (str): Name of the metric, for example ``'val_loss'``.
        rule (str, optional): ``'less'`` if smaller values are better, ``'greater'`` if
            larger ones are. Defaults to None: as ``CheckpointHook`` infers it.
        min_delta (float): Minimum change of the metric that counts as an improvement.
        strict (bool): Whether to raise an error if the metric is missing,
            instead of a warning.
        check_finite (bool): Whether to stop when the metric is NaN or infinite.
        patience (int): Number of successive validations without an
            improvement after which the training stops.
        stopping_threshold (float, optional): Stop as soon as the metric is
            better than this value.

    Raises:
        ValueError: If the rule is unknown, or cannot be inferred from the name.
    """

    priority = "LOWEST"
    #: ``missing_metrics`` skips this hook, which warns on its own.
    warns_of_missing_metric = True

    def __init__(
        self,
        monitor: str,
        rule: Optional[str] = None,
        min_delta: float = 0.1,
        strict: bool = False,
        check_finite: bool = True,
        patience: int = 5,
        stopping_threshold: Optional[float] = None,
    ) -> None:
        if rule not in ("greater", "less", None):
            raise ValueError(f"rule is {rule!r}, but 'greater' or 'less' is expected")
        try:
            self.rule = CheckpointHook(save_best=monitor, rule=rule).rules[0]
        except ValueError:
            raise ValueError(
                f"no rule for {monitor!r} can be inferred. Fix: rule='less' or "
                "rule='greater'"
            ) from None
        self._is_better = CheckpointHook.rule_map[self.rule]
        self.monitor = monitor
        self.min_delta = min_delta if self.rule == "greater" else -min_delta
        self.strict = strict
        self.check_finite = check_finite
        self.patience = patience
        self.stopping_threshold = stopping_threshold
        self.wait_count = 0
        self.best_score = -math.inf if self.rule == "greater" else math.inf
        self._stopped: Optional[Tuple[Any, str, int]] = None
        self._already_warned: Set[str] = set()

    def before_train(self, runner: Any) -> None:
        """Check that the train loop can be stopped. A stopped loop stays stopped.

        Raises:
            TypeError: If the train loop cannot be stopped.
        """
        loop = runner.train_loop
        if not hasattr(loop, "stop_training") and not isinstance(
            loop, (EpochBasedTrainLoop, IterBasedTrainLoop)
        ):
            raise TypeError(
                f"EarlyStoppingHook cannot stop a {type_name(loop)}. Fix: derive it "
                "from EpochBasedTrainLoop or IterBasedTrainLoop, or have its run() "
                "end when its attribute `stop_training` is True"
            )
        if self._stopped is not None and self._stopped[0] is loop:
            self._stop(loop)

    def after_val_epoch(
        self, runner: Any, metrics: Optional[Dict[str, float]] = None
    ) -> None:
        """Stop the training if the metrics of a validation require it.

        Raises:
            RuntimeError: If the metric is missing and ``strict`` is True.
        """
        metrics = metrics or {}
        if self.monitor not in metrics:
            message = explain_missing_metric(
                runner, self, self.monitor, metrics, missing_element()
            )
            if self.strict:
                raise RuntimeError(message)
            if message not in self._already_warned:
                self._already_warned.add(message)
                warn_in_log(message)
            return
        reason = self._reason_to_stop(metrics[self.monitor])
        if reason:
            runner.logger.info(f"early stopping: {reason}")
            # There is no train loop to stop if `runner.val()` runs alone.
            loop = getattr(runner, "_train_loop", None)
            if isinstance(loop, BaseLoop):
                self._stop(loop)

    def after_train(self, runner: Any) -> None:
        """Restore the configured length of a stopped loop."""
        if self._stopped is not None:
            setattr(*self._stopped)

    def _reason_to_stop(self, score: float) -> str:
        """Return the reason to stop, or an empty string."""
        if self.check_finite and not math.isfinite(score):
            kind = "NaN" if math.isnan(score) else "infinite"
            return f"{self.monitor} is {kind}; its best value was {self.best_score:.3f}"
        limit = self.stopping_threshold
        if limit is not None and self._is_better(score, limit):
            self.best_score = score
            return f"{self.monitor} = {score} is {self.rule} than the limit {limit}"
        # A change of exactly min_delta is an improvement, as in mmengine.
        if self._is_better(self.best_score + self.min_delta, score):
            self.wait_count += 1
            if self.wait_count >= self.patience:
                return (
                    f"{self.monitor} did not improve in {self.wait_count} validations; "
                    f"its best value was {self.best_score:.3f}"
                )
            return ""
        self.best_score = score
        self.wait_count = 0
        return ""

    def _stop(self, loop: Any) -> None:
        """Let the loop end after this validation, as at its configured length."""
        if hasattr(loop, "stop_training"):
            loop.stop_training = True
            return
        by_iter = isinstance(loop, IterBasedTrainLoop)
        limit = "_max_iters" if by_iter else "_max_epochs"
        self._stopped = (loop, limit, getattr(loop, limit))
        setattr(loop, limit, loop.iter if by_iter else loop.epoch)
