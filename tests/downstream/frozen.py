"""The training loss of a model without its noise, computed without the package.

Frozen training mode: the model is in training mode, but normalisation and what drops
something are in eval mode, and the preprocessor mixes no images.
"""

from __future__ import annotations

import copy
import random
from typing import Any, Dict, Iterable, List

import numpy as np
import torch
from mmengine.runner import Runner
from torch.nn.modules.batchnorm import _NormBase

#: Parts of the names of classes that drop something: DropPath, Dropout2d and so on.
_DROPS = ("drop", "stochasticdepth")


def freeze(model: Any) -> Any:
    """Put a model into frozen training mode, and return it."""
    model.train()
    for module in model.modules():
        name = type(module).__name__.lower()
        # Attention drops by a function, if it is in training mode.
        silent = (_NormBase, torch.nn.MultiheadAttention)
        if isinstance(module, silent) or any(part in name for part in _DROPS):
            module.eval()
    preprocessor = getattr(model, "data_preprocessor", None)
    if getattr(preprocessor, "batch_augments", None) is not None:
        preprocessor.batch_augments = None
    return model


def seed() -> None:
    """Seed all random numbers of a CPU."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


def losses(model: Any, batches: Iterable[Any]) -> Dict[str, float]:
    """Return the mean of each named loss over the batches, and their sum ``val_loss``.

    Args:
        model (BaseModel): It is copied for each batch: none sees the state of another.
        batches (Iterable): What a data loader gives.
    """
    sums: Dict[str, float] = {}
    number = 0
    for batch in batches:
        one = freeze(copy.deepcopy(model))
        seed()
        with torch.no_grad():
            data = one.data_preprocessor(copy.deepcopy(batch), True)
            for sample in (
                data.get("data_samples") or () if isinstance(data, dict) else ()
            ):
                if hasattr(sample, "set_gt_score") and "gt_score" in sample:
                    # Mixup and CutMix make numbers of one-hot labels.
                    sample.set_gt_score(sample.gt_score.float())
            named = one._run_forward(data, mode="loss")
        total, parsed = one.parse_losses(named)
        parsed.pop("loss")
        for name, value in {**parsed, "val_loss": total}.items():
            sums[name] = sums.get(name, 0.0) + float(value)
        number += 1
    return {name: value / number for name, value in sums.items()}


def of_config(config: Any, model: Any, reorder: bool = True) -> Dict[str, float]:
    """Return the losses on the validation data, loaded as for a training.

    Args:
        config (Config): Its ``val_dataloader`` is read.
        model (BaseModel): As of :func:`losses`.
        reorder (bool): Whether annotations are loaded first. Defaults to True.
    """
    loader = copy.deepcopy(config.val_dataloader)
    if reorder:
        loader.dataset.pipeline = annotations_first(loader.dataset.pipeline)
    return losses(model, Runner.build_dataloader(loader, seed=0))


def annotations_first(pipeline: List[Any]) -> List[Any]:
    """Return a pipeline with LoadAnnotations right after the image."""
    loads = [step for step in pipeline if step["type"] == "LoadAnnotations"]
    others = [step for step in pipeline if step["type"] != "LoadAnnotations"]
    return [others[0], *loads, *others[1:]]
