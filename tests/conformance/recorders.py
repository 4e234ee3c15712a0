"""Model, metric, evaluator and hook of a case, which record their calls."""

from __future__ import annotations

import itertools
import logging
from typing import Any

import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner

from .cases import Case
from .describe import describe, pairs


class Samples(torch.utils.data.Dataset):
    """Samples with their index as input."""

    def __init__(self, length: int) -> None:
        self._length = length
        self.metainfo: dict[str, Any] = {}

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"inputs": torch.tensor([float(index)])}


class Model(BaseModel):
    """A model of one weight that returns the results of the case."""

    def __init__(self, case: Case, calls: list[Any]) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self._case = case
        self._calls = calls
        self._steps = itertools.count()

    def forward(self, inputs: Any, mode: str = "tensor") -> Any:
        """Return a loss to train on, or the next result of the case."""
        if mode == "loss":
            return {"loss": self.weight * torch.stack(list(inputs)).sum()}
        self._calls.append(["step"])
        return self._case.result(next(self._steps), inputs)


class RecordingMetric(BaseMetric):
    """Records its arguments and reports fixed values."""

    default_prefix = ""

    def __init__(self, prefix: str, values: dict[str, Any], calls: list[Any]) -> None:
        super().__init__(prefix=prefix)
        self._values = values
        self._calls = calls

    def process(self, data_batch: Any, data_samples: Any) -> None:
        """Record the samples."""
        self._calls.append(["process", self.prefix, describe(data_samples)])
        self.results.append(0)

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Report the fixed values."""
        return dict(self._values)


class AnyResultEvaluator(Evaluator):
    """Takes results of any type: overrides ``process`` without ``super()``."""

    def process(self, data_samples: Any, data_batch: Any = None) -> None:
        """Pass the whole result to the metrics."""
        for metric in self.metrics:
            metric.process(data_batch, [data_samples])


class RecordingHook(Hook):
    """Records every call of a hook in validation and testing."""

    def __init__(self, trace: dict[str, Any]) -> None:
        self._calls = trace["calls"]
        self._at_start = trace["at_start"]

    def _start_iter(self, runner: Runner, batch_idx: int, batch: Any, stage: str):
        self._calls.append([f"before_{stage}_iter", batch_idx, describe(batch)])
        if batch_idx == 0:
            losses = getattr(loop_of(runner, stage), f"{stage}_loss", None)
            self._at_start.append(None if losses is None else list(losses))

    def _end_iter(self, batch_idx: int, batch: Any, outputs: Any, stage: str):
        self._calls.append(
            [f"after_{stage}_iter", batch_idx, describe(batch), describe(outputs)]
        )

    def before_val(self, runner):
        self._calls.append(["before_val"])

    def before_val_epoch(self, runner):
        self._calls.append(["before_val_epoch"])

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        self._start_iter(runner, batch_idx, data_batch, "val")

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self._end_iter(batch_idx, data_batch, outputs, "val")

    def after_val_epoch(self, runner, metrics=None):
        self._calls.append(["after_val_epoch", pairs(metrics)])

    def after_val(self, runner):
        self._calls.append(["after_val"])

    def before_test(self, runner):
        self._calls.append(["before_test"])

    def before_test_epoch(self, runner):
        self._calls.append(["before_test_epoch"])

    def before_test_iter(self, runner, batch_idx, data_batch=None):
        self._start_iter(runner, batch_idx, data_batch, "test")

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self._end_iter(batch_idx, data_batch, outputs, "test")

    def after_test_epoch(self, runner, metrics=None):
        self._calls.append(["after_test_epoch", pairs(metrics)])

    def after_test(self, runner):
        self._calls.append(["after_test"])


class PackageWarnings(logging.Handler):
    """Keeps the warnings that ``valloss_compat`` logs."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message if it is from the package."""
        message = record.getMessage()
        if "valloss_compat" in message:
            self._messages.append(message)


def loop_of(runner: Runner, stage: str) -> Any:
    """Return the validation or test loop of the runner; None if it is unused."""
    return runner._val_loop if stage == "val" else runner._test_loop
