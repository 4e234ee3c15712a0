"""The loss of a training with frozen normalisation and without dropout.

``valloss_compat`` is not used here, and no list of classes: each probability of
dropping is 0 in the config and in the built model, and the model is in training mode
but for modules with running statistics. Gradients are on, as in a training.
"""

from __future__ import annotations

import copy
from typing import Any, Dict, List, Sequence

import torch

from downstream.oracle.model import dicts, seed, tracks


def without_drops(config: Any) -> Any:
    """A config in which nothing is dropped, mixed or resized at random."""
    config = copy.deepcopy(config)
    for inner in dicts(config):
        for name, value in inner.items():
            if "drop" in name and isinstance(value, float):
                inner[name] = 0.0
            if "drop" in name and isinstance(value, (list, tuple)):
                inner[name] = [0.0 if isinstance(v, float) else v for v in value]
    preprocessor = config.get("data_preprocessor", {})
    preprocessor.pop("blending", None)
    augments = preprocessor.get("batch_augments") or []
    if isinstance(augments, dict):
        augments = [augments]
    if augments:
        kept = [one for one in augments if _of_one_size(one)]
        preprocessor["batch_augments"] = kept or None
    if "augments" in (config.get("train_cfg") or {}):
        config.train_cfg.pop("augments")
    return config


def _of_one_size(augment: Any) -> bool:
    """Whether a resize of a batch draws no size."""
    least, largest = augment.get("random_size_range", (0, 1))
    return bool(least == largest)


def drop_nothing(model: Any) -> None:
    """Set what a class drops by default to 0 as well.

    mmseg makes no dropout of a rate of 0, but its ANNHead calls it.
    """
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if name == "dropout" and value is None:
                module.dropout = torch.nn.Identity()
            known = "drop" in name or (name == "p" and "Drop" in type(module).__name__)
            if known and isinstance(value, float):
                setattr(module, name, 0.0)


def losses(
    model: Any, batches: Sequence[Any], training: bool = True
) -> Dict[str, float]:
    """Return the mean over the batches of each loss, and their sum ``val_loss``.

    Args:
        model (nn.Module): Without drops. Its modes change.
        batches (Sequence): They are copied.
        training (bool): False gives the wrong oracle, to see that it is one.
            Defaults to True.
    """
    model.train(training)
    for module in model.modules():
        if tracks(module):
            module.eval()
    rows: List[Dict[str, float]] = []
    for batch in batches:
        fresh = copy.deepcopy(model)  # what a loss remembers is not for the next batch
        seed(0)
        rows.append(reduced(run(fresh, copy.deepcopy(batch))))
    means = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
    means["val_loss"] = sum(value for name, value in means.items() if "loss" in name)
    return means


def run(model: Any, batch: Any) -> Dict[str, Any]:
    """The losses of a batch, as ``train_step`` gets them."""
    return model._run_forward(model.data_preprocessor(batch, True), mode="loss")


def reduced(named: Dict[str, Any]) -> Dict[str, float]:
    """Numbers: of a list, the sum of the means."""
    return {
        name: float(
            value.mean()
            if isinstance(value, torch.Tensor)
            else sum(one.mean() for one in value)
        )
        for name, value in named.items()
    }
