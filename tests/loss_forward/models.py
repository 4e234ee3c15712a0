"""A model as a downstream library has it: it appends no loss element.

It writes into its data samples in both modes, drops out in training, has
batch statistics, and its losses are a scalar, a list and an accuracy.
"""

from __future__ import annotations

import random
import uuid
from typing import Any, ClassVar, Dict, List

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmengine.runner import runner as runner_module
from mmengine.structures import BaseDataElement
from support.tiny import silent_visualizer
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset


class Head(nn.Module):
    """Two scores a sample."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, features: Any) -> torch.Tensor:
        return self.fc(features[0])


class Backbone(nn.Module):
    """Gives a tuple of one feature."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.bn, self.drop = (
            nn.Linear(4, 4),
            nn.BatchNorm1d(4),
            nn.Dropout(0.5),
        )

    def forward(self, inputs: torch.Tensor) -> Any:
        return (self.drop(self.bn(self.fc(inputs))),)


class Classifier(BaseModel):
    """Unmodified: predictions in mode ``'predict'``, losses in mode ``'loss'``."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.backbone, self.head = Backbone(), Head()

    def forward(
        self, inputs: Any, data_samples: Any = None, mode: str = "tensor"
    ) -> Any:
        scores = self.head(self.backbone(torch.stack(list(inputs))))
        if mode == "predict":
            return self.predict(scores, data_samples)
        return self.loss(scores, data_samples)

    def predict(self, scores: Any, data_samples: Any) -> Any:
        for sample, score in zip(data_samples, scores):
            sample.pred = score  # a view of what forward returned
            sample.gt = sample.gt * 0  # no loss may see this
        return data_samples

    def loss(self, scores: Any, data_samples: Any) -> Any:
        target = torch.stack([sample.gt for sample in data_samples])
        losses = F.cross_entropy(scores, target, reduction="none")
        for sample in data_samples:
            sample.gt = sample.gt + 100  # no metric may see this
        hits = (scores.argmax(dim=1) == target).float().mean()
        parts = [scores[:, 0].pow(2), scores[:, 1].pow(2)]
        return {"loss_cls": losses, "loss_reg": parts, "acc": hits}


class Appending(Classifier):
    """Ends its predictions with a loss element."""

    def predict(self, scores: Any, data_samples: Any) -> Any:
        element = BaseDataElement(loss=self.loss(scores, data_samples))
        return [*super().predict(scores, data_samples), element]


class Points(Dataset):
    """Random points, each with its class; ``noise`` is a random augmentation."""

    metainfo: ClassVar[Dict[str, Any]] = {}

    def __init__(self, length: int = 10, noise: bool = False) -> None:
        generator = torch.Generator().manual_seed(3)
        self.points = torch.rand(length, 4, generator=generator)
        self.classes = (self.points.sum(dim=1) > 2).long()
        self.noise = noise

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> Dict[str, Any]:
        if index >= len(self):
            raise IndexError(index)
        point = self.points[index]
        if self.noise:
            drawn = random.random() + float(np.random.rand())
            point = point + drawn * torch.rand(4) / 10
        return {
            "inputs": point,
            "data_samples": BaseDataElement(gt=self.classes[index]),
        }


def collate(items: Any) -> Dict[str, List[Any]]:
    return {key: [item[key] for item in items] for key in items[0]}


def loader(batch_size: int = 4, **options: Any) -> DataLoader:
    return DataLoader(Points(**options), batch_size, collate_fn=collate)


class Predicted(BaseMetric):
    """Keeps what it is given, and means the first score."""

    default_prefix = "mean"

    def __init__(self) -> None:
        super().__init__()
        self.given: List[Any] = []

    def process(self, data_batch: Any, data_samples: Any) -> None:
        for sample in data_samples:
            self.given.append((sample["pred"].clone(), int(sample["gt"])))
            self.results.append(float(sample["pred"][0]))

    def compute_metrics(self, results: List[float]) -> Dict[str, float]:
        return {"score": sum(results) / max(len(results), 1)}


class Watch(Hook):
    """Keeps the metrics, and what else hooks get."""

    def __init__(self) -> None:
        self.metrics: List[Dict[str, Any]] = []
        self.outputs: List[Any] = []
        self.train_losses: List[float] = []

    def after_val_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        assert "val_step" not in vars(runner.model)
        self.outputs.append(kwargs["outputs"])

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        self.metrics.append(dict(metrics))

    def after_train_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        self.train_losses.append(float(kwargs["outputs"]["loss"].detach()))


def hook(**options: Any) -> Any:
    """A ``ValLossHook`` as a config gets it; its Runner calls it last."""
    return HOOKS.build({"type": "ValLossHook", **options})


def make_runner(work_dir: Any, *hooks: Any, **options: Any) -> Runner:
    """A real Runner that trains two epochs and validates after each."""
    arguments: Dict[str, Any] = {
        "model": Classifier(),
        "work_dir": str(work_dir),
        "train_dataloader": DataLoader(
            Points(12, noise=True), 4, shuffle=True, collate_fn=collate
        ),
        "train_cfg": {"by_epoch": True, "max_epochs": 2},
        "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9}},
        "val_dataloader": loader(),
        "val_evaluator": [Predicted()],
        "val_cfg": {},
        "custom_hooks": list(hooks),
        "experiment_name": uuid.uuid4().hex,
        "log_level": "ERROR",
        "default_scope": "mmengine",
        "visualizer": silent_visualizer(),
        "randomness": {"seed": 5},
    }
    arguments.update(options)
    runner_module.collect_env = dict
    return Runner(**arguments)


def expected(model: Any, dataset: Any = None, batch_size: int = 4) -> Dict[str, float]:
    """Compute the losses by hand: eval mode, own copies, batch by batch."""
    dataset = dataset or Points()
    model.eval()
    found: Dict[str, List[float]] = {"loss_cls": [], "loss_reg": [], "acc": []}
    with torch.no_grad():
        for start in range(0, len(dataset), batch_size):
            items = [
                dataset[i] for i in range(start, min(start + batch_size, len(dataset)))
            ]
            target = torch.stack([item["data_samples"].gt for item in items])
            scores = model.head(
                model.backbone(torch.stack([i["inputs"] for i in items]))
            )
            found["loss_cls"].append(float(F.cross_entropy(scores, target)))
            found["loss_reg"].append(float(scores.pow(2).mean(dim=0).sum()))
            found["acc"].append(float((scores.argmax(dim=1) == target).float().mean()))
    means = {name: sum(values) / len(values) for name, values in found.items()}
    return {**means, "val_loss": means["loss_cls"] + means["loss_reg"]}
