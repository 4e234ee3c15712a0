"""Which losses belong to which epoch: the decisions behind the seams.

The seams (``valloss_compat._patches``) only say what happens: a loop runs or
iterates, an evaluator processes or evaluates, hooks are called. The recorder
decides what that means. An epoch belongs to an evaluator: it opens when a
loop's ``run`` starts or with the first batch after an ``evaluate``, and ends
with ``evaluate`` or with the ``run``, so that a loop with a ``run`` of its own
and several passes gets the losses of each pass.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from typing import Any, Iterator, Optional, Set, Tuple

from mmengine.dist import all_gather_object, get_world_size

from valloss_compat._recording.accumulator import LoopLosses, merge_ranks
from valloss_compat._recording.context import (
    ExtractedResult,
    IterationContext,
    RunContext,
    RunToken,
    ThreadContext,
    WeakIdentityMap,
    evaluator_of,
    evaluators_of,
)
from valloss_compat._recording.epoch import EpochLosses
from valloss_compat._recording.loss_element import Losses, extract_losses
from valloss_compat._recording.monitor_warnings import warn_of_missing_metrics


class Recorder:
    """Keeps the losses as the contract of this package says."""

    def __init__(self) -> None:
        self._state = ThreadContext()
        self._epochs: WeakIdentityMap[EpochLosses] = WeakIdentityMap(EpochLosses)
        # An evaluator may work in several threads at a time.
        self._lock = threading.RLock()
        self._said: WeakIdentityMap[Set[str]] = WeakIdentityMap(set)

    @contextmanager
    def run(self, loop: Any, stage: str) -> Iterator[None]:
        """The length of a loop's ``run``; a nested ``super().run()`` is part of it.

        The losses start afresh with each of them, as in native mmengine.
        """
        runs = self._state.runs
        if runs and runs[-1].loop is loop:
            # It may be the second try, after a first that raised.
            self._start_run(loop, stage)
            yield
            return
        run = RunContext(loop, stage)
        runs.append(run)
        try:
            self._start_run(loop, stage)
            yield
        finally:
            run.token.over = True
            runs.pop()

    def _start_run(self, loop: Any, stage: str) -> None:
        evaluator = self._state.reporting_evaluator(evaluator_of(loop))
        if evaluator is not None:
            self._open(self._epochs[evaluator], evaluator, loop, stage)

    def begin_iteration(
        self, loop: Any, stage: str, data_batch: Any
    ) -> Optional[IterationContext]:
        """A loop's ``run_iter`` starts; None for a nested ``super().run_iter()``."""
        iterations = self._state.iterations
        if iterations and iterations[-1].loop is loop:
            return None
        iteration = IterationContext(loop, stage, data_batch)
        iterations.append(iteration)
        self._bind(iteration)
        return iteration

    def _bind(self, iteration: IterationContext) -> None:
        """See that the losses of this iteration have an epoch to go to."""
        run = self._state.run
        if run is not None and run.loop is iteration.loop:
            iteration.in_run = True
            return  # it was seen to as the run began
        evaluator = evaluator_of(iteration.loop)
        if evaluator is not None:
            self._recording_epoch(evaluator, iteration)

    def take(
        self, iteration: Optional[IterationContext], result: Any
    ) -> Optional[ExtractedResult]:
        """Take the loss element off a step's result, once for all who ask.

        Args:
            iteration (Iteration, optional): In which the step ran.
            result: What the step returned, or this without its loss element.

        Returns:
            Taken, optional: None where there is no loss element.
        """
        taken = None
        if iteration is not None and iteration.taken:
            taken = iteration.find(result)
        if taken is None:
            clean, losses = self._split(result)
            if losses is not None:
                taken = ExtractedResult(
                    result, result[-1], clean, losses, tuple(result)
                )
                if iteration is not None:
                    iteration.taken += (taken,)
        return taken

    def clean(self, outputs: Any) -> Any:
        """What hooks get as the outputs of a step."""
        taken = self.take(self._state.iteration, outputs)
        return outputs if taken is None else taken.clean

    def look(self, runner: Any, metrics: Any) -> None:
        """Hooks get these metrics: say what they monitor and do not find."""
        if isinstance(metrics, Mapping):
            warn_of_missing_metrics(runner, metrics, self._said[runner])

    def end_iteration(self, iteration: IterationContext, completed: bool) -> None:
        """A loop's ``run_iter`` returned, or raised (``completed=False``)."""
        self._state.iterations.pop()

    # What the evaluators report.

    def enter(self, evaluator: Any) -> bool:
        """An evaluator's method starts; False for a nested ``super()`` call."""
        evaluators = self._state.evaluators
        outermost = all(known is not evaluator for known in evaluators)
        evaluators.append(evaluator)
        return outermost

    def leave(self) -> None:
        """The evaluator's method that started last returned, or raised."""
        self._state.evaluators.pop()

    def process(self, evaluator: Any, data_samples: Any, data_batch: Any) -> Any:
        """An evaluator is given a step's result: record the losses of this one.

        Only what is evaluated counts, not what a hook may ask the model for.

        Args:
            evaluator (Evaluator): The evaluator.
            data_samples: What its ``process`` was given.
            data_batch: What it was given as that; may be None.

        Returns:
            ``data_samples`` without its loss element, if it has one.
        """
        iteration = self._state.iteration
        taken = self.take(iteration, data_samples)
        epoch = self._recording_epoch(evaluator, iteration)
        if taken is not None:
            data_samples = taken.clean
            if iteration is not None:
                iteration.used = True
                if data_batch is None:
                    data_batch = iteration.data_batch
            with self._lock:
                epoch.record(taken, data_batch)
        epoch.batch_idx += 1
        return data_samples

    def evaluate(self, evaluator: Any, metrics: Any) -> Any:
        """An evaluator has its metrics: add the losses and end the epoch.

        Where there are several ranks, sums and counts are exchanged in one
        collective. All ranks take part, also those without any loss, so that
        a loop's ``run`` has to evaluate on all ranks or on none, as the
        metrics of mmengine want it too (or ``sync_dist`` has to be False).

        Args:
            evaluator (Evaluator): The evaluator.
            metrics (dict): What its ``evaluate`` returned. Changed in place,
                as native mmengine does.

        Returns:
            ``metrics``.
        """
        if self._state.reporting_evaluator(evaluator) is not evaluator:
            return metrics  # the loop's last evaluator reports for all
        epoch = self._epochs[evaluator]
        with self._lock:
            sums = epoch.meters.sums() if self._goes_on(epoch) else {}
        # Outside of any run an evaluate of one rank alone must not wait for others.
        in_a_run = self._token(epoch) is not None
        exchange = epoch.options.sync_dist and (in_a_run or sums)
        if exchange and get_world_size() > 1:
            sums = merge_ranks(all_gather_object(sums))
            if sums:
                self._recording_epoch(evaluator, None).meters.load(sums)
        epoch.ended = True
        if sums:
            epoch.report(sums, metrics, type(evaluator).__name__)
        return metrics

    def reported(self, loop: Any) -> Set[str]:
        """Names of all losses that a loop's evaluators reported, totals included."""
        names: Set[str] = set()
        for evaluator in evaluators_of(loop):
            names |= self._epochs[evaluator].names
        return names

    def _split(self, result: Any) -> Tuple[Any, Optional[Losses]]:
        return extract_losses(result)

    # Which epoch the losses belong to.

    def _token(self, epoch: EpochLosses) -> Optional[RunToken]:
        """That of the run to which what happens now, in this thread, belongs.

        A thread without a run of its own works for the one that has the epoch.
        """
        run = self._state.run
        if run is not None:
            return run.token
        return None if epoch.run is None or epoch.run.over else epoch.run

    def _goes_on(self, epoch: EpochLosses) -> bool:
        """Whether what happens now, in this thread, is of this epoch."""
        return not epoch.ended and epoch.run is self._token(epoch)

    def _recording_epoch(
        self, evaluator: Any, iteration: Optional[IterationContext]
    ) -> EpochLosses:
        """The epoch that takes the losses of an evaluator; opened if it has to be."""
        runs = self._state.runs
        run = runs[-1] if runs else None
        if run is not None and len(run.evaluators) > 1:
            evaluator = self._state.reporting_evaluator(evaluator)
        epoch = self._epochs[evaluator]
        if run is not None and epoch.run is run.token and not epoch.ended:
            return epoch  # each batch but the first: no more calls than it takes
        if not self._goes_on(epoch):
            with self._lock:
                if not self._goes_on(epoch):  # or another thread was quicker
                    self._begin(epoch, evaluator, iteration or run)
        return epoch

    def _begin(self, epoch: EpochLosses, evaluator: Any, place: Any) -> None:
        token = self._token(epoch)
        if place is not None:
            self._open(epoch, evaluator, place.loop, place.stage)
        elif token is not None:  # of another thread's
            self._open(epoch, evaluator, token.loop(), epoch.stage)
        else:
            self._open(epoch, evaluator, None, "val")

    def _open(self, epoch: EpochLosses, evaluator: Any, loop: Any, stage: str) -> None:
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
        return not hasattr(loop, name) or isinstance(getattr(loop, name), LoopLosses)
