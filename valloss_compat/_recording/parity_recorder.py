"""What native mmengine 0.10.5 to 0.10.7 do with a loss element, bug for bug.

Used in parity mode on releases that have nothing of their own. The losses
belong to the loop, are kept in mmengine's own ``HistoryBuffer``, are of this
rank alone, and are reported by the loops' own ``run`` alone.
"""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Dict, Iterator, Mapping, Tuple

import torch
from mmengine.logging import HistoryBuffer
from mmengine.utils import is_list_of

from valloss_compat._recording.accumulator import EpochAccumulators, LoopLosses
from valloss_compat._recording.loss_element import extract_losses_like_native
from valloss_compat._recording.recorder import Recorder


class ParityRecorder(Recorder):
    """Keeps the losses as native mmengine does."""

    @contextmanager
    def run(self, loop: Any, stage: str) -> Iterator[None]:
        """The length of ``ValLoop.run`` or ``TestLoop.run`` itself."""
        context = self._context
        outer = context.run, context.iteration
        try:
            try:
                # An interrupt may have left some.
                context.evaluating = context.iteration = None
                _histories(loop, stage).clear()
                context.run = SimpleNamespace(loop=loop, stage=stage, done=False)
                yield
            finally:
                context.run, context.iteration = outer
        finally:  # again, as an interrupt may come at that line
            context.run, context.iteration = outer

    @contextmanager
    def iteration(self, loop: Any, stage: str) -> Iterator[None]:
        """The length of a ``run_iter``; a nested ``super()`` call is part of it."""
        context = self._context
        outer = context.iteration
        try:
            if outer is None or outer.loop is not loop:
                context.iteration = SimpleNamespace(loop=loop, stage=stage, done=False)
            yield
        finally:
            context.iteration = outer

    def process(self, evaluator: Any, data_samples: Any, data_batch: Any) -> Any:
        """Accumulate the losses of the first result of an iteration."""
        iteration = self._context.iteration
        if iteration is None:
            return data_samples
        samples, losses = extract_losses_like_native(data_samples)
        if losses is not None and not iteration.done:
            iteration.done = True
            _accumulate(losses, _histories(iteration.loop, iteration.stage))
        return samples

    def without_losses(self, outputs: Any) -> Any:
        """What hooks get: native mmengine extracts in its own ``run_iter`` only."""
        if self._context.iteration is None:
            return outputs
        return extract_losses_like_native(outputs)[0]

    def report(self, evaluator: Any, metrics: Any) -> Any:
        """Add the losses to the metrics of the loop that runs, once."""
        run: Any = self._context.run
        if run is None or run.done or run.loop.evaluator is not evaluator:
            return metrics
        run.done = True
        histories = _histories(run.loop, run.stage)
        if histories:
            metrics.update(parse_losses(histories, run.stage))
        return metrics

    def check_hooks(self, runner: Any) -> None:
        """Nothing: native mmengine does not warn."""

    def check_monitors(self, runner: Any, metrics: Any) -> None:
        """Nothing: native mmengine warns as it does."""


def update_losses(outputs: Any, losses: Dict[str, Any]) -> Tuple[Any, Dict[str, Any]]:
    """As ``_update_losses`` of mmengine 0.10.5, for loops that were written for it."""
    samples, found = extract_losses_like_native(outputs)
    if found is not None:
        _accumulate(found, losses)
    return samples, losses


def parse_losses(losses: Mapping[str, Any], stage: str) -> Dict[str, float]:
    """As ``_parse_losses`` of mmengine 0.10.5: the means and their total."""
    means = {name: history.mean() for name, history in losses.items()}
    total = sum(mean for name, mean in means.items() if "loss" in name)
    return {**means, f"{stage}_loss": total}


def _histories(loop: Any, stage: str) -> Dict[str, Any]:
    name = f"{stage}_loss"
    histories: Dict[str, Any] = vars(loop).setdefault(name, LoopLosses())
    if isinstance(histories, EpochAccumulators):  # of default mode, that was on before
        histories = vars(loop)[name] = LoopLosses()
    return histories


def _accumulate(losses: Mapping[str, Any], histories: Dict[str, Any]) -> None:
    for name, value in losses.items():
        history = histories.setdefault(name, HistoryBuffer())
        scalars = [value] if isinstance(value, torch.Tensor) else value
        # Values of other types are ignored: their history stays empty.
        for scalar in scalars if is_list_of(scalars, torch.Tensor) else ():
            history.update(scalar.item())
