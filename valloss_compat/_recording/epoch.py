"""The losses of one evaluator's current epoch, and their report."""

from __future__ import annotations

import math
from typing import Any, Mapping, MutableMapping, Set

from valloss_compat import options
from valloss_compat._recording.accumulator import (
    EpochAccumulators,
    LossSum,
    means_with_total,
)
from valloss_compat._recording.monitor_warnings import warn_in_log


class EpochLosses(EpochAccumulators):
    """The losses of one evaluator's current epoch, set as ``loop.val_loss``."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = "val"  #: Or ``'test'``, for the name of the total.
        self.start(None)
        self.ended = True
        #: Names of what was reported, in this or an earlier epoch.
        self.names: Set[str] = set()
        self._warned: Set[str] = set()
        self._last: Mapping[str, float] = {}

    def start(self, run: Any) -> None:
        """Start over, within the given ``Run`` of a loop, or outside of any."""
        self.clear()
        self.run = run and run.key
        self.stage = run.stage if run else self.stage
        self.options = options.current()  #: They hold for the whole epoch.
        self.batch_idx = 0  #: Index of the next batch.
        self.ended = False  #: Whether ``evaluate`` was called since the last batch.
        self.reported = False  #: Whether these losses are in the metrics already.
        self.keeps_metrics = False  #: Whether a metric with the name of a loss stays.

    def report(self, sums: Mapping[str, LossSum], metrics: Any, who: str) -> None:
        """Add the losses to what the ``evaluate`` of ``who`` returned, in place."""
        if not isinstance(metrics, MutableMapping):
            self.warn_once(
                "metrics",
                f"{self.stage}_loss is not reported: {who}.evaluate returned "
                f"{type(metrics).__name__}, but a dict is expected",
            )
            return
        losses = means_with_total(sums, self.stage)
        if self.keeps_metrics:
            for name in [n for n in losses if n in metrics and n not in self._last]:
                self.warn_once(
                    name, f"the loss {name!r} has the name of a metric, which is kept"
                )
                del losses[name]
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
        """Log what a reader should know of the losses (with total) and the metrics."""
        for name in losses:
            # Of an evaluator that returns one dict each time, it may be our own.
            if name in metrics and metrics[name] is not self._last.get(name):
                self.warn_once(
                    f"metric {name}",
                    f"the loss {name!r} has the name of a metric and replaces it. "
                    "Fix: give the metric a prefix or the loss another name",
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
            is_half = 0 < abs(losses[total]) < math.inf and math.isclose(
                2 * losses[name], losses[total], rel_tol=1e-6
            )
            may_be_total = len(summed) > 2 or name == "loss"
            if name == total or (is_half and may_be_total):
                self.warn_once(
                    "counted twice",
                    f"{total} counts losses twice: the loss {name!r} is the sum of the "
                    "others, or has the name of their total. Fix: leave it out of the "
                    "loss element",
                )
        if total not in losses:
            self.warn_once(
                "total",
                f"there is no {total}: it is the sum of the losses with 'loss' in the "
                f"name, and the names are {sorted(sums)}. Fix: rename one",
            )
