"""A small training whose validation loss is known in advance.

A Runner trains a model with one parameter for three epochs, validates on three
batches after each, and may stop early. Nothing is stubbed, so that the training
shows every patch of this environment.
"""

from __future__ import annotations

import glob
import os
import uuid
from typing import Any, ClassVar, Dict, List, Mapping, NamedTuple, Optional, Sequence

import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch.utils.data import DataLoader, Dataset

#: Number of samples and losses of each validation batch.
SIZES = (2, 2, 1)
LOSSES = ({"loss_cls": 0.5, "loss_box": 0.5}, {"loss_cls": 2.0}, {"loss_cls": 3.5})
#: Increase of ``loss_cls`` per epoch, so that the first epoch is the best.
RISE = 1.0


def expected_loss(epoch: int, weighting: str) -> float:
    """Return the ``val_loss`` of an epoch (from 0): the sum of the losses' means."""
    weights = SIZES if weighting == "sample" else (1, 1, 1)
    pairs = list(zip(LOSSES, weights))
    cls = sum(losses["loss_cls"] * w for losses, w in pairs) / sum(weights)
    boxes = [(losses["loss_box"], w) for losses, w in pairs if "loss_box" in losses]
    box = sum(loss * w for loss, w in boxes) / sum(w for _, w in boxes)
    return cls + box + RISE * epoch


class TrialResult(NamedTuple):
    """The result of a trial training.

    Attributes:
        metrics (list[dict]): Metrics that the hooks received, one dict per epoch.
        metric_elements (int): Number of loss elements that reached the metric.
        hook_elements (int): Number of loss elements that reached the hooks.
        samples (list[int]): Number of predictions in the metric, one per epoch.
        epochs (int): Number of epochs trained.
        best (list[str]): File names of the best checkpoints.
        error (Exception, optional): The exception that ended the training.
    """

    metrics: List[Dict[str, Any]]
    metric_elements: int
    hook_elements: int
    samples: List[int]
    epochs: int
    best: List[str]
    error: Optional[Exception]


class BuildError(Exception):
    """The constructor of the evaluator or the loop raised."""


def run_trial(
    work_dir: str,
    evaluator: Optional[type],
    loop: Optional[type],
    arguments: Mapping[str, Any],
) -> TrialResult:
    """Run the trial training.

    Args:
        work_dir (str): The Runner's work dir.
        evaluator (type, optional): Class of the evaluator. Defaults to None:
            mmengine's.
        loop (type, optional): Class of the validation loop. Defaults to None:
            mmengine's.
        arguments (dict): Further arguments of that class.

    Returns:
        TrialResult: The result, also of a training that raised.

    Raises:
        BuildError: If the evaluator or the loop cannot be built.
    """
    metric, hook, model = _Metric(), _RecordingHook(), _Model()
    data = DataLoader(_Dataset(), batch_size=2, collate_fn=_collate)
    val_cfg = {"type": loop, **arguments} if loop else {}
    try:
        val_evaluator = (
            evaluator(metrics=[metric], **arguments) if evaluator else [metric]
        )
    except Exception as raised:
        raise BuildError(f"{type(raised).__name__}: {raised}") from raised
    runner = Runner(
        model=model,
        work_dir=work_dir,
        train_dataloader=data,
        val_dataloader=data,
        train_cfg={"by_epoch": True, "max_epochs": 3, "val_interval": 1},
        val_cfg=val_cfg,
        val_evaluator=val_evaluator,
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        custom_hooks=[
            hook,
            {
                "type": "EarlyStoppingHook",
                "monitor": "val_loss",
                "rule": "less",
                "min_delta": 0.0,
                "patience": 1,
            },
        ],
        default_hooks={
            "checkpoint": {
                "type": "CheckpointHook",
                "interval": 1,
                "save_best": "val_loss",
                "rule": "less",
            }
        },
        default_scope="mmengine",
        experiment_name=uuid.uuid4().hex,
        log_level="CRITICAL",
    )
    try:
        _ = runner.val_loop  # builds it
    except Exception as raised:
        if loop is None:
            raise
        raise BuildError(f"{type(raised).__name__}: {raised}") from raised
    error: Optional[Exception] = None
    try:
        runner.train()
    except Exception as raised:
        error = raised
    checkpoints = glob.glob(os.path.join(work_dir, "**", "best_*"), recursive=True)
    return TrialResult(
        hook.metrics,
        metric.elements,
        hook.elements,
        metric.samples,
        model.epoch + 1,
        [os.path.basename(path) for path in checkpoints],
        error,
    )


def _is_loss_element(item: Any) -> bool:
    return isinstance(item, BaseDataElement) and "loss" in item


class _Dataset(Dataset):
    metainfo: ClassVar[Dict[str, Any]] = {}

    def __len__(self) -> int:
        return sum(SIZES)

    def __getitem__(self, index: int) -> Dict[str, Any]:
        return {"inputs": torch.tensor([float(index)])}


def _collate(items: Sequence[Dict[str, Any]]) -> Dict[str, List[Any]]:
    return {"inputs": [item["inputs"] for item in items]}


class _Model(BaseModel):
    """Returns the losses in ``LOSSES`` and counts its epochs."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.epoch = -1
        self.batch = 0

    def forward(self, inputs: Any, mode: str = "tensor") -> Any:
        if mode == "loss":
            return {"loss": self.weight * torch.stack(list(inputs)).mean()}
        if self.batch == 0:
            self.epoch += 1
        losses = {
            name: self.weight.detach() * 0 + value
            for name, value in LOSSES[self.batch].items()
        }
        losses["loss_cls"] += RISE * self.epoch
        self.batch = (self.batch + 1) % len(LOSSES)
        samples = [BaseDataElement(pred=number) for number in inputs]
        return [*samples, BaseDataElement(loss=losses)]


class _Metric(BaseMetric):
    default_prefix = "doctor"

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0
        self.samples: List[int] = []

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        # The evaluator converts data samples to dicts.
        self.elements += sum("loss" in sample for sample in data_samples)
        self.results.append(len(data_samples))

    def compute_metrics(self, results: List[int]) -> Dict[str, float]:
        self.samples.append(sum(results))
        return {"samples": float(sum(results))}


class _RecordingHook(Hook):
    def __init__(self) -> None:
        self.elements = 0
        self.metrics: List[Dict[str, Any]] = []

    def after_val_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        self.elements += sum(map(_is_loss_element, kwargs["outputs"]))

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        self.metrics.append(dict(metrics or {}))
