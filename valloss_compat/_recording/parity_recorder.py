"""What native mmengine 0.10.5 to 0.10.7 do with a loss element, bug for bug.

Used in parity mode on releases that have nothing of their own. The losses
belong to the loop, are kept in mmengine's own ``HistoryBuffer``, are of this
rank alone, and are reported by the loops' own ``run`` alone.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Sequence, Tuple

import torch
from mmengine.logging import HistoryBuffer
from mmengine.utils import is_list_of

from valloss_compat._recording.accumulator import EpochAccumulators, LoopLosses
from valloss_compat._recording.context import IterationContext, RunContext
from valloss_compat._recording.loss_element import extract_losses_like_native
from valloss_compat._recording.recorder import Recorder


class ParityRecorder(Recorder):
    """Keeps the losses as native mmengine does."""

    def _split(self, result: Any) -> Tuple[Any, Any]:
        clean, losses = extract_losses_like_native(result)
        if clean is not result:
            losses.items()  # of what is no mapping an AttributeError, None included
        return clean, losses

    @contextmanager
    def run(self, loop: Any, stage: str) -> Iterator[None]:
        """The length of ``ValLoop.run`` or ``TestLoop.run`` itself."""
        _history(loop, stage).clear()
        self._state.runs.append(RunContext(loop, stage))
        try:
            yield
        finally:
            self._state.runs.pop()

    def _bind(self, iteration: IterationContext) -> None:
        """Nothing: the losses go to the loop."""

    def clean(self, outputs: Any) -> Any:
        """What hooks get: native mmengine cleans it in its own ``run_iter`` only."""
        return super().clean(outputs) if self._state.iterations else outputs

    def look(self, runner: Any, metrics: Any) -> None:
        """Nothing: native mmengine says what it says."""

    def process(self, evaluator: Any, data_samples: Any, data_batch: Any) -> Any:
        """An evaluator is given a step's result: record the losses of this one."""
        iteration = self._state.iteration
        if iteration is None:
            return data_samples
        taken = self.take(iteration, data_samples)
        if taken is None:
            return data_samples
        if not iteration.used:
            iteration.used = True
            _update(iteration, taken.losses)
        return taken.clean

    def evaluate(self, evaluator: Any, metrics: Any) -> Any:
        """The evaluator of the loop that runs has its metrics: add the losses."""
        run = self._state.run
        if run is None or run.reported or run.loop.evaluator is not evaluator:
            return metrics
        run.reported = True
        history = _history(run.loop, run.stage)
        if history:
            means = {name: buffer.mean() for name, buffer in history.items()}
            total = sum(mean for name, mean in means.items() if "loss" in name)
            means[f"{run.stage}_loss"] = total
            metrics.update(means)
        return metrics


def _history(loop: Any, stage: str) -> Dict[str, HistoryBuffer]:
    name = f"{stage}_loss"
    held = vars(loop).setdefault(name, LoopLosses())
    if isinstance(held, EpochAccumulators):  # of default mode, that was on before
        held = vars(loop)[name] = LoopLosses()
    history: Dict[str, HistoryBuffer] = held
    return history


def _update(iteration: IterationContext, losses: Any) -> None:
    history = _history(iteration.loop, iteration.stage)
    for name, value in losses.items():
        if name not in history:
            history[name] = HistoryBuffer()
        for scalar in _scalars(value):
            history[name].update(scalar.item())


def _scalars(value: Any) -> Sequence[torch.Tensor]:
    """The tensors that native mmengine sees in a value; of other types, none."""
    if isinstance(value, torch.Tensor):
        return [value]
    tensors: List[torch.Tensor] = value if is_list_of(value, torch.Tensor) else []
    return tensors
