"""Which losses belong to which epoch: the decisions behind the seams.

The seams (``valloss_compat.patches``) only say what happens: a loop runs or
iterates, an evaluator processes or evaluates, hooks are called. The recorder
decides what that means. An epoch belongs to an evaluator: it opens when a
loop's ``run`` starts or with the first batch after an ``evaluate``, and ends
with ``evaluate``, so that a loop with a ``run`` of its own and several passes
gets the losses of each pass.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator, MutableMapping, Optional, Set, Tuple

from mmengine.dist import all_gather_object, get_world_size
from mmengine.evaluator import Evaluator

from valloss_compat import meter
from valloss_compat.convention import Losses, split
from valloss_compat.epoch import Epoch, Iteration, Run, Taken, ThreadState
from valloss_compat.identity import IdentityMap


class Recorder:
    """Keeps the losses as the contract of this package says.

    Args:
        native (bool): Whether this mmengine has the convention itself.
    """

    def __init__(self, native: bool = False) -> None:
        self._native = native
        self._state = ThreadState()
        self._epochs: IdentityMap[Epoch] = IdentityMap(Epoch)

    # What the loops report.

    @contextmanager
    def run(self, loop: Any, stage: str) -> Iterator[None]:
        """The length of a loop's ``run``; a nested ``super().run()`` is part of it."""
        runs = self._state.runs
        if runs and runs[-1].loop is loop:
            yield
            return
        runs.append(Run(loop, stage))
        try:
            self._start_run(loop, stage)
            yield
        finally:
            runs.pop()

    def _start_run(self, loop: Any, stage: str) -> None:
        evaluator = _evaluator_of(loop)
        if evaluator is not None:
            self._open(self._epochs[evaluator], evaluator, loop, stage)

    def begin_iteration(self, loop: Any, stage: str) -> Optional[Iteration]:
        """A loop's ``run_iter`` starts; None for a nested ``super().run_iter()``."""
        iterations = self._state.iterations
        if iterations and iterations[-1].loop is loop:
            return None
        iteration = Iteration(loop, stage)
        iterations.append(iteration)
        self._bind(iteration)
        return iteration

    def _bind(self, iteration: Iteration) -> None:
        """See that the losses of this iteration have an epoch to go to."""
        evaluator = _evaluator_of(iteration.loop)
        if evaluator is not None:
            self._recording_epoch(evaluator, iteration)

    def take(self, iteration: Optional[Iteration], result: Any) -> Optional[Taken]:
        """Take the loss element off a step's result, once for all who ask.

        Args:
            iteration (Iteration, optional): In which the step ran.
            result: What the step returned, or this without its loss element.

        Returns:
            Taken, optional: None where there is no loss element.
        """
        taken = None if iteration is None else iteration.find(result)
        if taken is None:
            clean, losses = self._split(result)
            if losses is not None:
                taken = Taken(result, clean, losses)
                if iteration is not None:
                    iteration.taken.append(taken)
        return taken

    def clean(self, iteration: Iteration, outputs: Any) -> Any:
        """What hooks get as the outputs of a step."""
        taken = self.take(iteration, outputs)
        return outputs if taken is None else taken.clean

    def end_iteration(self, iteration: Iteration, completed: bool) -> None:
        """A loop's ``run_iter`` returned, or raised (``completed=False``)."""
        self._state.iterations.pop()
        evaluator = _evaluator_of(iteration.loop)
        if evaluator is None or iteration.used or not (completed and self._native):
            return
        # Native run_iter takes the losses off also where no process of ours
        # sees the result; its run reports them.
        for taken in iteration.taken:
            epoch = self._recording_epoch(evaluator, iteration)
            epoch.meters.record(taken.losses, epoch.batch_idx)

    # What the evaluators report.

    @contextmanager
    def inside(self, evaluator: Any) -> Iterator[bool]:
        """The length of an evaluator's method; False for a nested ``super()`` call."""
        evaluators = self._state.evaluators
        outermost = not any(known is evaluator for known in evaluators)
        evaluators.append(evaluator)
        try:
            yield outermost
        finally:
            evaluators.pop()

    def process(self, evaluator: Any, data_samples: Any) -> Any:
        """An evaluator is given a step's result: record the losses of this one.

        Only what is evaluated counts, not what a hook may ask the model for.

        Args:
            evaluator (Evaluator): The evaluator.
            data_samples: What its ``process`` was given.

        Returns:
            ``data_samples`` without its loss element, if it has one.
        """
        iteration = self._innermost_iteration()
        taken = self.take(iteration, data_samples)
        epoch = self._recording_epoch(evaluator, iteration)
        if taken is not None:
            data_samples = taken.clean
            if iteration is not None:
                iteration.used = True
            epoch.meters.record(taken.losses, epoch.batch_idx)
        epoch.batch_idx += 1
        return data_samples

    def evaluate(self, evaluator: Any, metrics: Any) -> Any:
        """An evaluator has its metrics: add the losses and end the epoch.

        Where there are several ranks, sums and counts are exchanged in one
        collective. All ranks take part, also those without any loss, so that
        a loop's ``run`` has to evaluate on all ranks or on none, as the
        metrics of mmengine want it too.

        Args:
            evaluator (Evaluator): The evaluator.
            metrics (dict): What its ``evaluate`` returned. Changed in place,
                as native mmengine does.

        Returns:
            ``metrics``.
        """
        epoch = self._epochs[evaluator]
        going_on = self._goes_on(epoch)
        sums = epoch.meters.sums() if going_on else {}
        # Outside of any run an evaluate of one rank alone must not wait for others.
        if get_world_size() > 1 and (self._state.runs or sums):
            sums = meter.merge(all_gather_object(sums))
            if sums:
                self._recording_epoch(evaluator, None).meters.load(sums)
        epoch.ended = True
        if not sums:
            return metrics
        if not isinstance(metrics, MutableMapping):
            epoch.warn_once(
                "metrics",
                f"the losses are not reported: {type(evaluator).__name__}.evaluate "
                f"returned {type(metrics).__name__}, and a dict is needed to add "
                f"{epoch.stage}_loss to",
            )
            return metrics
        losses = meter.with_total(sums, epoch.stage)
        epoch.warn_of_losses(sums, losses, metrics)
        metrics.update(losses)
        epoch.meters.reported = True
        epoch.names.update(losses)
        return metrics

    def reported(self, loop: Any) -> Set[str]:
        """Names of all losses that a loop's evaluator reported, totals included."""
        evaluator = _evaluator_of(loop)
        return set() if evaluator is None else set(self._epochs[evaluator].names)

    # What the helpers of native mmengine report.

    def update_losses(self, outputs: Any, losses: Any) -> Any:
        """Native ``run_iter`` hands over a step's result to have its losses taken.

        Args:
            outputs: What the step returned.
            losses: The loop's ``val_loss`` or ``test_loss``.

        Returns:
            ``outputs`` without its loss element, if it has one. Its losses
            are recorded when an evaluator is given this object.
        """
        iteration = self._innermost_iteration()
        taken = self.take(iteration, outputs)
        if taken is None:
            return outputs
        if iteration is None:
            losses.record(taken.losses)
        return taken.clean

    def parse_losses(self, losses: meter.LossMeters, stage: str) -> Any:
        """Native ``run`` asks for the means: nothing if they are reported already."""
        return {} if losses.reported else meter.with_total(losses.sums(), stage)

    # Epochs.

    def _split(self, result: Any) -> Tuple[Any, Optional[Losses]]:
        return split(result)

    def _innermost_iteration(self) -> Optional[Iteration]:
        return self._state.iterations[-1] if self._state.iterations else None

    def _goes_on(self, epoch: Epoch) -> bool:
        run = self._state.runs[-1].token if self._state.runs else None
        return not epoch.ended and epoch.run is run

    def _recording_epoch(self, evaluator: Any, iteration: Optional[Iteration]) -> Epoch:
        epoch = self._epochs[evaluator]
        if not self._goes_on(epoch):
            place = iteration or (self._state.runs[-1] if self._state.runs else None)
            if place is None:
                self._open(epoch, evaluator, None, "val")
            else:
                self._open(epoch, evaluator, place.loop, place.stage)
        return epoch

    def _open(self, epoch: Epoch, evaluator: Any, loop: Any, stage: str) -> None:
        runs = self._state.runs
        epoch.open(runs[-1].token if runs else None, stage)
        name = f"{stage}_loss"
        if _evaluator_of(loop) is evaluator and self._may_set(loop, name):
            setattr(loop, name, epoch.meters)

    def _may_set(self, loop: Any, name: str) -> bool:
        """Whether a loop's ``val_loss`` is free, ours or native mmengine's own.

        A user's loop for an old mmengine may keep its own account by that name.
        """
        held = getattr(loop, name, None)
        if hasattr(type(loop), name):
            return False
        return (
            held is None
            or isinstance(held, meter.LossMapping)
            or (self._native and type(held) is dict)
        )


def _evaluator_of(loop: Any) -> Optional[Any]:
    """A loop's evaluator; None for what is none of mmengine's, a list of them, say."""
    evaluator = getattr(loop, "evaluator", None)
    return evaluator if isinstance(evaluator, Evaluator) else None
