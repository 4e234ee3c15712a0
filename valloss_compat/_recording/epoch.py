"""The losses of one evaluator's current epoch, and their report."""

from __future__ import annotations

import math
from typing import Any, Mapping, MutableMapping, Optional, Set

from valloss_compat import options
from valloss_compat._recording.accumulator import (
    EpochAccumulators,
    LossSum,
    means_with_total,
)
from valloss_compat._recording.monitor_warnings import warn_in_log


class EpochLosses(EpochAccumulators):
    """The losses of one evaluator's current epoch; ``loop.val_loss`` is one of these.

    Attributes:
        stage (str): ``'val'`` or ``'test'``, for the name of the total; empty before
            the first epoch.
        batch_idx (int): Index of the next batch.
        run (object, optional): The key of the run to which the epoch belongs.
        ended (bool): Whether ``evaluate`` was called since the last batch.
        reported (bool): Whether these losses are in the metrics already.
        names (set[str]): What was reported, in this or an earlier epoch.
        options (Options): As they were when the epoch started.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stage = ""
        self.batch_idx = 0
        self.run: Optional[object] = None
        self.ended = True
        self.reported = False
        self.names: Set[str] = set()
        self.options = options.current()
        self._warned: Set[str] = set()
        self._last: Mapping[str, float] = {}

    def start(self, run: Optional[object], stage: str) -> None:
        """Start over, within the given run of a loop (or outside of any)."""
        self.clear()
        self.stage = stage
        self.batch_idx = 0
        self.run = run
        self.options = options.current()
        self.ended = self.reported = False

    def report(self, sums: Mapping[str, LossSum], metrics: Any, who: str) -> None:
        """Add the losses to the metrics.

        Args:
            sums (Mapping): Loss name -> sum over the epoch.
            metrics: What ``evaluate`` returned; a dict is changed in place,
                as native mmengine does.
            who (str): Whose ``evaluate`` that was, for messages.
        """
        if not isinstance(metrics, MutableMapping):
            self.warn_once(
                "metrics",
                f"the losses are not reported: {who}.evaluate returned "
                f"{type(metrics).__name__}, and a dict is needed to add "
                f"{self.stage}_loss to",
            )
            return
        losses = means_with_total(sums, self.stage)
        self._warn_of_losses(sums, losses, metrics)
        metrics.update(losses)
        self._last = losses
        self.reported = True
        self.names.update(losses)

    def warn_once(self, topic: str, message: str) -> None:
        """Log a warning unless this topic had one for this evaluator."""
        if topic not in self._warned:
            self._warned.add(topic)
            warn_in_log(message)

    def _warn_of_losses(
        self,
        sums: Mapping[str, LossSum],
        losses: Mapping[str, float],
        metrics: Mapping[str, Any],
    ) -> None:
        """Log what a reader of the reported losses should know.

        Args:
            sums (Mapping): Loss name -> sum over the epoch.
            losses (Mapping): What is reported, the total included.
            metrics (Mapping): The metrics before the losses come in.
        """
        for name in losses:
            # Of an evaluator that returns one dict each time, it may be our own.
            if name in metrics and metrics[name] is not self._last.get(name):
                self.warn_once(
                    f"metric {name}",
                    f"the loss {name!r} has the name of a metric and replaces it; "
                    "give the metric a prefix or the loss another name",
                )
        for name, known in sums.items():
            if known.nan_at is not None:
                warn_in_log(
                    f"the loss {name!r} is NaN in this epoch, first in the batch "
                    f"with index {known.nan_at}"
                )
        total = f"{self.stage}_loss"
        summed = [name for name in sums if "loss" in name]
        for name in summed:
            # mmengine's total is the sum of all, the total of a parse_losses included.
            # Two that are equal may be a pair, unless one has the name of a total.
            may_be_total = len(summed) > 2 or name == "loss"
            is_half = may_be_total and _is_half(losses[name], losses[total])
            if name == total or is_half:
                self.warn_once(
                    "counted twice",
                    f"{total} counts losses twice: the loss {name!r} is the sum of the "
                    "others, or has the name of their total. Leave it out of the loss "
                    "element",
                )
        if total not in losses:
            self.warn_once(
                "total",
                f"there is no {total}: none of the loss names {sorted(sums)} "
                "contains 'loss', as mmengine's total asks for",
            )


def _is_half(mean: float, total: float) -> bool:
    is_finite = math.isfinite(total) and total != 0
    return is_finite and math.isclose(2 * mean, total, rel_tol=1e-6)
