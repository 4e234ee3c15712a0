"""Which losses belong to which epoch: the decisions behind the wrappers.

The wrappers (``valloss_compat._patches``) only say what happens: a loop runs, an
evaluator processes or evaluates, hooks are called. An epoch belongs to an
evaluator. It starts with a loop's ``run`` or with the first batch after an
``evaluate``, and ends with ``evaluate`` or with the ``run``, so that a loop with a
``run`` of its own and several passes gets the losses of each pass.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import Any, Dict, Iterator, Mapping, Set, Tuple

from mmengine.dist import all_gather_object, get_world_size

from valloss_compat import options
from valloss_compat._recording.accumulator import LoopLosses, LossSum, merge_ranks
from valloss_compat._recording.batch_size import batch_size_of
from valloss_compat._recording.context import (
    RunContext,
    ThreadContext,
    WeakIdentityMap,
    evaluators_of,
)
from valloss_compat._recording.epoch import EpochLosses
from valloss_compat._recording.loss_element import extract_losses
from valloss_compat._recording.monitor_warnings import warn_of_missing_metrics

_NONE: Tuple[Any, Any] = (None, None)


class Recorder:
    """Keeps the losses as the contract of this package says.

    Args:
        native (bool): Whether mmengine has the convention itself.
    """

    def __init__(self, native: bool = False) -> None:
        self._native = native
        self._context = ThreadContext()
        self._epochs: WeakIdentityMap[EpochLosses] = WeakIdentityMap(EpochLosses)
        self._already_warned: WeakIdentityMap[Set[str]] = WeakIdentityMap(set)

    @contextmanager
    def run(self, loop: Any, stage: str) -> Iterator[None]:
        """The length of a loop's ``run``, or of a nested ``super().run()``."""
        context = self._context
        outer = context.run
        try:
            context.evaluating = None  # an interrupt may have left one
            run = outer
            if run is None or run.loop is not loop:
                run = context.run = RunContext(loop, stage)
            if run.evaluators:
                epoch = self._epochs[run.evaluators[-1]]
                epoch.start(run.key, stage)
                self._attach(loop, f"{stage}_loss", epoch)
            yield
        finally:
            context.run = outer
            context.extracted = None  # keeps the last predictions alive

    def process(self, evaluator: Any, data_samples: Any, data_batch: Any) -> Any:
        """Accumulate the losses of a result.

        Only what is evaluated counts, not what a hook may ask the model for.

        Args:
            evaluator (Evaluator): The evaluator.
            data_samples: The result of ``val_step``, as its ``process`` got it.
            data_batch: What it got as that; may be None.

        Returns:
            ``data_samples`` without its loss element, if it has one.
        """
        context = self._context
        if data_samples is context.extracted:  # by a subclass's process, or by native
            return data_samples
        run: Any = context.run
        # Most batches are of an epoch that is known and open.
        _, epoch = _NONE if run is None else run.epochs.get(id(evaluator), _NONE)
        if epoch is None or epoch.ended or epoch.run is not run.key:
            epoch = self._open_epoch(evaluator)
        samples, losses = extract_losses(data_samples)
        if losses is not None:
            weight = 1
            if epoch.options.weighting == "sample":
                weight = batch_size_of(data_samples[-1], data_batch, samples)
            epoch.record(losses, weight, epoch.batch_idx)
            context.extracted = samples
        epoch.batch_idx += 1
        return samples

    def without_losses(self, outputs: Any) -> Any:
        """What hooks get as the outputs of a step."""
        if outputs is self._context.extracted:
            return outputs
        samples, losses = extract_losses(outputs)
        if losses is not None:
            self._context.extracted = samples  # for a nested super().call_hook
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

        Raises:
            RuntimeError: On every rank, if ranks weigh their batches differently.
        """
        run = self._context.run
        if run is not None and run.reporting_evaluator(evaluator) is not evaluator:
            return metrics
        epoch = self._epochs[evaluator]
        is_open = self._is_open(epoch)
        sums = epoch.sums() if is_open else {}
        chosen = epoch.options if is_open else options.current()
        # Outside of any run one rank may evaluate alone, if no metric needs others.
        together = run is not None or sums or evaluator.metrics
        if chosen.sync_dist and together and get_world_size() > 1:
            sums = _over_ranks(sums, chosen.weighting)
            epoch.load(sums)
        self._context.extracted = None  # keeps the last predictions alive
        epoch.ended, epoch.stage = True, self._stage(epoch)
        if sums:
            epoch.report(sums, metrics, type(evaluator).__name__)
        return metrics

    def accumulate(self, outputs: Any, epoch: EpochLosses) -> Any:
        """Accumulate the losses of a result that native mmengine would extract.

        Args:
            outputs: The result of ``val_step``.
            epoch (EpochLosses): The loop's ``val_loss``.

        Returns:
            ``outputs`` without its loss element. Where batches count by their
            samples, unchanged: only the evaluator gets the batch.
        """
        samples, losses = extract_losses(outputs)
        if losses is None or epoch.options.weighting == "sample":
            return outputs
        run = self._context.run
        if epoch.ended or epoch.run is not (run and run.key):
            self._reopen(epoch)
        epoch.record(losses, 1, epoch.batch_idx)
        epoch.batch_idx += 1
        self._context.extracted = samples
        return samples

    def reported(self, runner: Any, stage: str) -> Set[str]:
        """Names of all losses that were reported to the loop that logs.

        Args:
            runner (Runner): Has the loop, where none runs now.
            stage (str): ``'val'`` or ``'test'``.

        Returns:
            set[str]: Totals included.
        """
        run = self._context.run
        loop = getattr(runner, f"{stage}_loop") if run is None else run.loop
        names: Set[str] = set()
        for evaluator in evaluators_of(loop):
            names |= self._epochs[evaluator].names
        return names

    def check_monitors(self, runner: Any, metrics: Any) -> None:
        """Warn where hooks monitor a loss that these metrics do not have."""
        if isinstance(metrics, Mapping):
            warn_of_missing_metrics(runner, metrics, self._already_warned[runner])

    def _open_epoch(self, evaluator: Any) -> EpochLosses:
        """The epoch that takes the losses of an evaluator now."""
        run = self._context.run
        if run is None:
            epoch = self._epochs[evaluator]
        else:
            epoch = self._epochs[run.reporting_evaluator(evaluator)]
            run.epochs[id(evaluator)] = evaluator, epoch
        self._reopen(epoch)
        return epoch

    def _reopen(self, epoch: EpochLosses) -> None:
        if not self._is_open(epoch):
            run = self._context.run
            epoch.start(None if run is None else run.key, self._stage(epoch))

    def _stage(self, epoch: EpochLosses) -> str:
        run = self._context.run
        return (epoch.stage or "val") if run is None else run.stage

    def _is_open(self, epoch: EpochLosses) -> bool:
        """Whether an epoch has not ended, and is one of the run that runs now."""
        run = self._context.run
        return not epoch.ended and epoch.run is (None if run is None else run.key)

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


def _over_ranks(sums: Dict[str, LossSum], weighting: str) -> Dict[str, LossSum]:
    """The sums over all ranks, in one collective.

    Raises:
        RuntimeError: On every rank, if ranks have another ``weighting``.
    """
    weightings, sums_by_rank = zip(*all_gather_object((weighting, sums)))
    if len(set(weightings)) > 1:
        raise RuntimeError(
            f"the ranks weigh their batches differently: weighting is {weightings} by "
            "rank, but one value is expected. Choose the same on every rank"
        )
    return merge_ranks(list(sums_by_rank))
