"""What ``ValLossHook`` reports: the metrics of a Runner that only validates."""

from __future__ import annotations

import copy
from typing import Any, Dict, Sequence

from mmengine.dataset import pseudo_collate
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner
from support.tiny import silent_visualizer
from torch.utils.data import Dataset

from downstream.oracle.model import progress
from downstream.oracle.table import Model

#: What :class:`Count` reports.
COUNT = "own/predictions"


class Packed(Dataset):
    """Packed samples, copied each time: some losses write into their batch."""

    def __init__(self, samples: Sequence[Any]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Any:
        return copy.deepcopy(self.samples[index])


class Count(BaseMetric):
    """A metric of no library: the number of predictions."""

    default_prefix = "own"

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        self.results.extend(1 for _ in data_samples)

    def compute_metrics(self, results: Sequence[int]) -> Dict[str, float]:
        return {"predictions": float(len(results))}


class Progress(Hook):
    """Losses that read the epoch find one: the middle of a training."""

    priority = "VERY_HIGH"

    def before_run(self, runner: Any) -> None:
        progress(runner.message_hub)

    before_val = before_run


def losses(
    model: Any, samples: Sequence[Any], row: Model, folder: Any, hook: bool = True
) -> Dict[str, float]:
    """Validate, and return the metrics."""
    runner = Runner(
        model=model,
        work_dir=str(folder),
        val_dataloader={
            "dataset": Packed(samples),
            "batch_size": row.batch,
            "num_workers": 0,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "collate_fn": pseudo_collate,
        },
        val_cfg={},
        val_evaluator=Evaluator(Count()),
        default_hooks={"logger": None, "checkpoint": None},
        custom_hooks=[Progress(), *([{"type": "ValLossHook"}] if hook else [])],
        default_scope=row.library,
        visualizer=silent_visualizer(),
        log_level="ERROR",
        randomness={"seed": 0},
    )
    return dict(runner.val())
