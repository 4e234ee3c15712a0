"""Which epoch of an evaluator the losses belong to, and when one begins."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any, Optional

from valloss_compat._recording.accumulator import LossMapping
from valloss_compat._recording.context import (
    Iteration,
    ThreadState,
    Token,
    evaluators_of,
)
from valloss_compat._recording.epoch import Epoch
from valloss_compat._recording.identity import IdentityMap


class Epochs:
    """The epochs of all evaluators, and what is under way in each thread."""

    def __init__(self) -> None:
        self._state = ThreadState()
        self._epochs: IdentityMap[Epoch] = IdentityMap(Epoch)
        # An evaluator may work in several threads at a time.
        self._lock = threading.RLock()

    def _token(self, epoch: Epoch) -> Optional[Token]:
        """That of the run to which what happens now, in this thread, belongs.

        A thread without a run of its own works for the one that has the epoch.
        """
        run = self._state.run
        if run is not None:
            return run.token
        return None if epoch.run is None or epoch.run.over else epoch.run

    def _goes_on(self, epoch: Epoch) -> bool:
        """Whether what happens now, in this thread, is of this epoch."""
        return not epoch.ended and epoch.run is self._token(epoch)

    def _recording_epoch(self, evaluator: Any, iteration: Optional[Iteration]) -> Epoch:
        """The epoch that takes the losses of an evaluator; opened if it has to be."""
        runs = self._state.runs
        run = runs[-1] if runs else None
        if run is not None and len(run.evaluators) > 1:
            evaluator = self._state.home_of(evaluator)
        epoch = self._epochs[evaluator]
        if run is not None and epoch.run is run.token and not epoch.ended:
            return epoch  # each batch but the first: no more calls than it takes
        if not self._goes_on(epoch):
            with self._lock:
                if not self._goes_on(epoch):  # or another thread was quicker
                    self._begin(epoch, evaluator, iteration or run)
        return epoch

    def _begin(self, epoch: Epoch, evaluator: Any, place: Any) -> None:
        token = self._token(epoch)
        if place is not None:
            self._open(epoch, evaluator, place.loop, place.stage)
        elif token is not None:  # of another thread's
            self._open(epoch, evaluator, token.loop(), epoch.stage)
        else:
            self._open(epoch, evaluator, None, "val")

    def _open(self, epoch: Epoch, evaluator: Any, loop: Any, stage: str) -> None:
        epoch.open(self._token(epoch), stage)
        name = f"{stage}_loss"
        its_own = any(evaluator is known for known in evaluators_of(loop))
        if its_own and self._may_set(loop, name):
            with suppress(Exception):  # a __setattr__ of its own may refuse
                setattr(loop, name, epoch.meters)

    def _may_set(self, loop: Any, name: str) -> bool:
        """Whether a loop's ``val_loss`` is free or ours.

        A user's loop for an old mmengine may keep its own account by that name,
        which may begin with None.
        """
        if hasattr(type(loop), name):
            return False
        return not hasattr(loop, name) or isinstance(getattr(loop, name), LossMapping)
