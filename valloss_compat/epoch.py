"""What is under way: a loop's run, one of its iterations, an evaluator's epoch."""

from __future__ import annotations

import threading
from typing import Any, List, Mapping, NamedTuple, Optional, Set

from valloss_compat.convention import Losses
from valloss_compat.logs import warn_in_log
from valloss_compat.meter import LossMeters, LossSum


class Run:
    """One call of a loop's ``run``.

    Attributes:
        loop: The loop.
        stage (str): ``'val'`` or ``'test'``.
        token (object): Stands for this run without keeping the loop alive.
        reported (bool): Whether an evaluator reported the losses of this run.
    """

    __slots__ = ("loop", "reported", "stage", "token")

    def __init__(self, loop: Any, stage: str) -> None:
        self.loop = loop
        self.stage = stage
        self.token = object()
        self.reported = False


class Taken(NamedTuple):
    """A step's result whose loss element was taken off.

    Attributes:
        raw: The result as the model returned it.
        clean: The same without the loss element.
        losses (Mapping): What the loss element held.
    """

    raw: Any
    clean: Any
    losses: Losses


class Iteration:
    """One call of a loop's ``run_iter``.

    Attributes:
        loop: The loop.
        stage (str): ``'val'`` or ``'test'``.
        taken (list[Taken]): The results that had a loss element.
        used (bool): Whether an evaluator was given one of these.
    """

    __slots__ = ("loop", "stage", "taken", "used")

    def __init__(self, loop: Any, stage: str) -> None:
        self.loop = loop
        self.stage = stage
        self.taken: List[Taken] = []
        self.used = False

    def find(self, result: Any) -> Optional[Taken]:
        """What was taken off this very result, raw or clean, the latest first."""
        for taken in reversed(self.taken):
            if any(result is known for known in (taken.clean, taken.raw)):
                found: Taken = taken
                return found
        return None


class Epoch:
    """The losses that one evaluator's current epoch has seen.

    Attributes:
        meters (LossMeters): The running means.
        stage (str): ``'val'`` or ``'test'``, for the name of the total.
        batch_idx (int): Index of the next batch.
        run (object, optional): Token of the run to which the epoch belongs.
        ended (bool): Whether ``evaluate`` was called since the last batch.
        names (set[str]): What was reported, in this or an earlier epoch.
    """

    def __init__(self) -> None:
        self.meters = LossMeters()
        self.stage = "val"
        self.batch_idx = 0
        self.run: Optional[object] = None
        self.ended = True
        self.names: Set[str] = set()
        self._warned: Set[str] = set()

    def open(self, run: Optional[object], stage: str) -> None:
        """Start over, within the given run of a loop (or outside of any)."""
        self.meters = LossMeters()  # a loop may still hold those of before
        self.stage = stage
        self.batch_idx = 0
        self.run = run
        self.ended = False

    def warn_once(self, topic: str, message: str) -> None:
        """Log a warning unless this topic had one for this evaluator."""
        if topic not in self._warned:
            self._warned.add(topic)
            warn_in_log(message)

    def warn_of_losses(
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
            if name in metrics:
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
        if total not in losses:
            self.warn_once(
                "total",
                f"there is no {total}: none of the loss names {sorted(sums)} "
                "contains 'loss', as mmengine's total asks for",
            )


class ThreadState(threading.local):
    """What is under way in this thread, innermost last."""

    def __init__(self) -> None:
        self.runs: List[Run] = []
        self.iterations: List[Iteration] = []
        self.evaluators: List[Any] = []
