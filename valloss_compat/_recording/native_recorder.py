"""The recorder for an mmengine that has the convention itself.

Native loops take the loss element off in their own ``run_iter`` and add the
means in their own ``run``; both ask helpers, which are patched to ask here.
"""

from __future__ import annotations

from typing import Any

from valloss_compat._recording.accumulator import EpochAccumulators, means_with_total
from valloss_compat._recording.context import IterationContext, evaluator_of
from valloss_compat._recording.recorder import Recorder


class NativeRecorder(Recorder):
    """Keeps the losses as the contract says, where native loops run."""

    def end_iteration(self, iteration: IterationContext, completed: bool) -> None:
        """A loop's ``run_iter`` returned, or raised (``completed=False``)."""
        super().end_iteration(iteration, completed)
        evaluator = evaluator_of(iteration.loop)
        if not completed or iteration.used or evaluator is None:
            return
        # Native run_iter takes the losses off also where no process of ours
        # sees the result; its run reports them.
        for taken in iteration.handed:
            epoch = self._recording_epoch(evaluator, iteration)
            with self._lock:
                epoch.record(taken, iteration.data_batch)

    def update_losses(self, outputs: Any, losses: Any) -> Any:
        """Native ``run_iter`` hands over a step's result to have its losses taken.

        Args:
            outputs: What the step returned.
            losses: The loop's ``val_loss`` or ``test_loss``.

        Returns:
            ``outputs`` without its loss element, if it has one. Its losses
            are recorded when an evaluator is given this object.
        """
        iteration = self._state.iteration
        taken = self.take(iteration, outputs)
        if taken is None:
            return outputs
        if iteration is None:
            losses.record(taken.losses)
        elif all(known is not taken for known in iteration.handed):
            iteration.handed += (taken,)
        return taken.clean

    def parse_losses(self, losses: EpochAccumulators, stage: str) -> Any:
        """Native ``run`` asks for the means: nothing if they are reported already."""
        return {} if losses.reported else means_with_total(losses.sums(), stage)

    def _may_set(self, loop: Any, name: str) -> bool:
        """Whether a loop's ``val_loss`` is free, ours or native mmengine's own."""
        if super()._may_set(loop, name):
            return True
        # With None native mmengine could not run.
        known = (dict, type(None))
        return not hasattr(type(loop), name) and type(getattr(loop, name)) in known
