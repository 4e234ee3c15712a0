"""A minimal model, dataset and Runner for validations.

Imports mmengine, never valloss_compat: unpatched control scripts use it too.
"""

from __future__ import annotations

import uuid
import warnings
from typing import Any, Callable, ClassVar, Dict, List, Sequence

import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook, runtime_info_hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.runner import runner as runner_module
from mmengine.structures import BaseDataElement
from mmengine.visualization import Visualizer
from torch.utils.data import DataLoader, Dataset


def element(**losses: Any) -> BaseDataElement:
    """Return a loss element with the given named losses."""
    return BaseDataElement(loss=losses)


def sample(value: float = 0.0) -> BaseDataElement:
    """Return a prediction."""
    return BaseDataElement(pred=torch.tensor(value))


def counting(index: int, inputs: Any) -> List[BaseDataElement]:
    """Respond with the losses 1, 2, 3 ..., one a batch."""
    return [sample(), element(loss=torch.tensor(index + 1.0))]


class Digits(Dataset):
    """A dataset of ``length`` samples: the numbers 0, 1, 2 ..."""

    metainfo: ClassVar[Dict[str, Any]] = {}

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Dict[str, Any]:
        if index >= self.length:
            raise IndexError(index)
        return {"inputs": torch.tensor([float(index)])}


class Model(BaseModel):
    """Returns given results from ``val_step`` and ``test_step``.

    Args:
        respond (Callable): ``respond(index, inputs)`` gives the result of the
            index-th call.
    """

    def __init__(self, respond: Callable[[int, Any], Any]) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.respond = respond
        self.calls = 0

    def forward(self, inputs: Any, mode: str = "tensor") -> Any:
        if mode == "loss":
            return {"loss": self.weight * torch.stack(list(inputs)).mean()}
        self.calls += 1
        return self.respond(self.calls - 1, inputs)


class Seen(BaseMetric):
    """Records the samples it gets and reports their number as ``n/seen``."""

    default_prefix = "n"

    def __init__(self) -> None:
        super().__init__()
        self.samples: List[Any] = []

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        self.samples.append(list(data_samples))
        self.results.append(len(self.samples[-1]))

    def compute_metrics(self, results: List[int]) -> Dict[str, float]:
        return {"seen": float(sum(results))}


class Spy(Hook):
    """Records the outputs and metrics that hooks get."""

    def __init__(self) -> None:
        self.outputs: List[Any] = []
        self.metrics: List[Dict[str, float]] = []

    def after_val_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        self.outputs.append(kwargs["outputs"])

    def after_test_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        self.outputs.append(kwargs["outputs"])

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        self.metrics.append(dict(metrics))

    def after_test_epoch(self, runner: Any, metrics: Any = None) -> None:
        self.metrics.append(dict(metrics))


def collate(items: Sequence[Dict[str, Any]]) -> Dict[str, List[Any]]:
    """Collate as mmengine's ``pseudo_collate``: ``{'inputs': [...]}``."""
    return {key: [item[key] for item in items] for key in items[0]}


def loader(length: int, batch_size: int = 1) -> Any:
    """A DataLoader over the numbers 0, 1, 2 ..."""
    return DataLoader(Digits(length), batch_size=batch_size, collate_fn=collate)


def silent_visualizer() -> Visualizer:
    """Return one visualizer for all runs: each new one draws figures."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 0.1.0 warns that nothing is saved
        return Visualizer.get_instance("tiny")


def make_runner(
    work_dir: Any,
    respond: Callable[[int, Any], Any],
    length: int = 2,
    batch_size: int = 1,
    **options: Any,
) -> Runner:
    """Build a Runner that can validate and test.

    Args:
        work_dir: The directory for its logs.
        respond (Callable): As for :class:`Model`.
        length (int): Number of samples. Defaults to 2.
        batch_size (int): Defaults to 1.
        **options: Replace or add arguments of the Runner; ``metric`` is the
            metric of both evaluators, ``runner_class`` its class.
    """
    metric = options.pop("metric", None)
    runner_class = options.pop("runner_class", Runner)
    arguments: Dict[str, Any] = {
        "model": Model(respond),
        "work_dir": str(work_dir),
        "val_dataloader": loader(length, batch_size),
        "val_evaluator": [metric or Seen()],
        "val_cfg": {},
        "test_dataloader": loader(length, batch_size),
        "test_evaluator": [metric or Seen()],
        "test_cfg": {},
        "experiment_name": uuid.uuid4().hex,
        "log_level": "ERROR",
        "default_scope": "mmengine",
        "visualizer": silent_visualizer(),
    }
    arguments.update(options)
    # These start compilers and git to find versions, which is slow.
    runner_module.collect_env = dict
    runtime_info_hook.get_git_hash = runner_module.get_git_hash = str
    return runner_class(**arguments)
