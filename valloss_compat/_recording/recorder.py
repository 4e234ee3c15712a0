"""Which losses belong to which epoch: the decisions behind the wrappers.

The wrappers (``valloss_compat._patches``) only say what happens: a loop runs, an
evaluator processes or evaluates, hooks are called. An epoch belongs to an
evaluator. It starts with a loop's ``run`` or with the first batch after an
``evaluate``, and ends with ``evaluate`` or with the ``run``, so that a loop with a
``run`` of its own and several passes gets the losses of each pass.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager, suppress
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Set
from weakref import WeakKeyDictionary

from mmengine.dist import all_gather_object, get_world_size
from mmengine.evaluator import Evaluator
from mmengine.runner import TestLoop, ValLoop

from valloss_compat import options
from valloss_compat._recording import monitor_warnings
from valloss_compat._recording.accumulator import LoopLosses
from valloss_compat._recording.batch_size import batch_size_of
from valloss_compat._recording.epoch import EpochLosses
from valloss_compat._recording.loss_element import (
    explain_missing_element,
    extract_losses,
)


class Run(NamedTuple):
    """One call of a loop's ``run``."""

    loop: Any
    stage: str  #: ``'val'`` or ``'test'``.
    evaluators: List[Any]  #: Those of the loop.
    key: object  #: Stands for this run without keeping its loop alive.
    epochs: Dict[Any, EpochLosses]  #: Evaluator -> its epoch, if it is known by now.

    def reporting_evaluator(self, evaluator: Any) -> Any:
        """The evaluator whose epoch takes the losses.

        Where a loop merges the metrics of several evaluators, one ``val_loss`` comes
        with the last of them, over all: two of that name would contradict (and
        mmagic's ``MultiValLoop`` raises).
        """
        return self.evaluators[-1] if evaluator in self.evaluators else evaluator


class ThreadContext(threading.local):
    """What runs in this thread."""

    run: Any = None  #: The innermost :class:`Run` of a loop.
    iteration: Any = None  #: The call of ``run_iter``, in parity mode.
    evaluating: Any = None  #: The evaluator whose ``evaluate`` runs.
    #: The last result without its loss element. Where it is handed on, a second
    #: element in it is no loss element any more.
    extracted: Any = None
    without: Any = None  #: The last result that was evaluated and had none.
    #: What the first result of this run was in the place of a loss element; empty if
    #: it had one.
    found: Optional[str] = None


_CONTEXT = ThreadContext()


def running_loop() -> Any:
    """The innermost loop that runs in this thread; None if none does."""
    return None if _CONTEXT.run is None else _CONTEXT.run.loop


def missing_element() -> Optional[str]:
    """What the first result of this run was in the place of a loss element."""
    return _CONTEXT.found


class Recorder:
    """Keeps the losses as the contract of this package says."""

    def __init__(self, native: bool = False) -> None:
        self.describe_patches: Any = str  #: Returns a line on the patches for the log.
        self._native = native  # whether mmengine has the convention itself
        self._context = _CONTEXT
        self._epochs: WeakKeyDictionary[Any, EpochLosses] = WeakKeyDictionary()
        self._already_warned: WeakKeyDictionary[Any, Set[str]] = WeakKeyDictionary()

    @contextmanager
    def run(self, loop: Any, stage: str) -> Iterator[None]:
        """The length of a loop's ``run``, or of a nested ``super().run()``."""
        context = self._context
        outer = context.run
        try:
            try:
                context.evaluating = None  # an interrupt may have left one
                run = outer
                if run is None or run.loop is not loop:
                    run = Run(loop, stage, evaluators_of(loop), object(), {})
                    context.run = run
                    context.found = None
                if run.evaluators:
                    epoch = self._epoch_of(run.evaluators[-1])
                    epoch.start(run)
                    self._attach(loop, f"{stage}_loss", epoch)
                yield
            finally:
                context.run = outer
        finally:
            context.run = outer  # again, as an interrupt may come at that line
            if outer is None:
                context.found = None
            context.extracted = context.without = None  # they keep predictions alive

    def process(self, evaluator: Any, data_samples: Any, data_batch: Any) -> Any:
        """Accumulate the losses of a result, and return it without its loss element.

        Only what is evaluated counts, not what a hook may ask the model for.
        """
        context = self._context
        if data_samples is context.extracted:  # by a subclass's process, or by native
            return data_samples
        run = context.run
        # Most batches are of an epoch that is known and open.
        epoch = None if run is None else run.epochs.get(evaluator)
        if epoch is None or epoch.ended or epoch.run is not run.key:
            who = evaluator if run is None else run.reporting_evaluator(evaluator)
            epoch = self._epoch_of(who)
            if run is not None:
                run.epochs[evaluator] = epoch
            if epoch.ended or epoch.run is not (run and run.key):
                epoch.start(run)
        samples, losses = extract_losses(data_samples)
        if not epoch.batch_idx:
            context.found = explain_missing_element(samples) if losses is None else ""
        if losses is None:
            context.without = samples
        else:
            weight = 1
            if epoch.options.weighting == "sample":
                weight = batch_size_of(data_samples[-1], data_batch, samples)
            epoch.record(losses, weight, epoch.batch_idx)
            epoch.keeps_metrics = getattr(losses, "keeps_metrics", False)
            context.extracted, context.without = samples, None
        epoch.batch_idx += 1
        return samples

    def without_losses(self, outputs: Any) -> Any:
        """What hooks get as the outputs of a step."""
        context = self._context
        if outputs is context.without:
            context.without = None  # a model may fill this list again
            return outputs
        if outputs is context.extracted:
            return outputs
        samples, losses = extract_losses(outputs)
        if losses is not None:
            context.extracted = samples  # for a nested super().call_hook
        return samples

    @contextmanager
    def evaluation(self, evaluator: Any) -> Iterator[bool]:
        """The length of an ``evaluate``; gives False in a nested ``super()`` call."""
        context = self._context
        outer = context.evaluating
        try:
            context.evaluating = evaluator
            yield outer is not evaluator
        finally:
            context.evaluating = outer

    def report(self, evaluator: Any, metrics: Any) -> Any:
        """Add the mean losses to the metrics of an evaluator, and end its epoch.

        Several ranks exchange sums and counts in one collective, in which all take
        part: a loop's ``run`` has to evaluate on all ranks or on none, as for the
        metrics of mmengine (or ``sync_dist`` has to be False). The metrics are changed
        in place, as by native mmengine, and returned.

        Raises:
            RuntimeError: On every rank, if ranks weigh their batches differently.
        """
        run = self._context.run
        if run is not None and run.reporting_evaluator(evaluator) is not evaluator:
            return metrics
        epoch = self._epoch_of(evaluator)
        is_open = not epoch.ended and epoch.run is (run and run.key)
        sums = epoch.sums() if is_open else {}
        chosen = epoch.options if is_open else options.current()
        # Outside of any run one rank may evaluate alone, if no metric needs others.
        together = run is not None or sums or evaluator.metrics
        if chosen.sync_dist and together and get_world_size() > 1:
            gathered = all_gather_object((chosen.weighting, sums))
            weightings, sums_by_rank = zip(*gathered)
            if len(set(weightings)) > 1:
                raise RuntimeError(
                    "the ranks weigh their batches differently: weighting is "
                    f"{weightings} by rank, but one value is expected. Fix: choose "
                    "the same on every rank"
                )
            sums = epoch.merge(sums_by_rank)
        self._context.extracted = self._context.without = None
        epoch.ended, epoch.stage = True, run.stage if run else epoch.stage
        if sums:
            epoch.report(sums, metrics, type(evaluator).__name__)
        return metrics

    def accumulate(self, outputs: Any, epoch: EpochLosses) -> Any:
        """Accumulate the losses of a result that native mmengine would extract.

        Where batches count by their samples, only the evaluator can do so: it gets
        the batch.
        """
        samples, losses = extract_losses(outputs)
        if losses is None or epoch.options.weighting == "sample":
            return outputs
        run = self._context.run
        if epoch.ended or epoch.run is not (run and run.key):
            epoch.start(run)
        epoch.record(losses, 1, epoch.batch_idx)
        epoch.keeps_metrics = getattr(losses, "keeps_metrics", False)
        epoch.batch_idx += 1
        self._context.extracted, self._context.found = samples, ""
        return samples

    def reported(self, runner: Any, stage: str) -> Set[str]:
        """Names of all losses, with totals, that were reported to the loop that logs.

        Where none runs now, that is the runner's loop of this stage.
        """
        run = self._context.run
        loop = getattr(runner, f"{stage}_loop") if run is None else run.loop
        evaluators = evaluators_of(loop)
        return {name for one in evaluators for name in self._epoch_of(one).names}

    def log_patches(self, runner: Any) -> None:
        """Log that this run is patched."""
        self._log_once(runner, self.describe_patches(), logging.INFO)

    def check_hooks(self, runner: Any) -> None:
        """Log what hooks and schedulers will make of a loss in this training."""
        for is_wrong, message in monitor_warnings.check_hooks(runner):
            level = logging.WARNING if is_wrong else logging.INFO
            self._log_once(runner, message, level)

    def check_monitors(self, runner: Any, metrics: Any) -> None:
        """Warn where hooks monitor a loss that these metrics do not have."""
        if isinstance(metrics, Mapping):
            found = self._context.found
            for message in monitor_warnings.missing_metrics(runner, metrics, found):
                self._log_once(runner, message)

    def _log_once(
        self, runner: Any, message: str, level: int = logging.WARNING
    ) -> None:
        already_logged: Set[str] = set()
        with suppress(TypeError):  # a SimpleNamespace in its place cannot be a key
            already_logged = self._already_warned.setdefault(runner, set())
        if message not in already_logged:
            already_logged.add(message)
            monitor_warnings.warn_in_log(message, level)

    def _epoch_of(self, evaluator: Any) -> EpochLosses:
        epoch = self._epochs.get(evaluator)
        if epoch is None:
            epoch = self._epochs[evaluator] = EpochLosses()
        return epoch

    def _attach(self, loop: Any, name: str, losses: LoopLosses) -> None:
        """Set a loop's ``val_loss``, unless the loop keeps something else there."""
        held = getattr(loop, "__dict__", {}).get(name, losses)
        # Native ValLoop has an empty dict, and with None it could not run.
        free = isinstance(held, LoopLosses) or (
            self._native and type(held) in (dict, type(None))
        )
        if free and not hasattr(type(loop), name):
            with suppress(Exception):  # a strict __setattr__ may refuse
                setattr(loop, name, losses)


def evaluators_of(loop: Any) -> List[Any]:
    """All evaluators of a loop.

    A loop over several datasets, as mmagic's ``MultiValLoop``, has a list
    ``evaluators`` of one for each, and merges their metrics. A ``ValLoop`` has
    one; what else it may hold, it evaluates for itself.
    """
    is_single = isinstance(loop, (ValLoop, TestLoop))
    several = None if is_single else getattr(loop, "evaluators", None)
    if not isinstance(several, (list, tuple)):
        several = [getattr(loop, "evaluator", None)]
    return [known for known in several if isinstance(known, Evaluator)]
