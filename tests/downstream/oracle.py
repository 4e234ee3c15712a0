"""The expected validation loss: that of the model, on data loaded as for training.

``valloss_compat`` is not used here. A separate dataset loads the annotations before it
resizes, as a train pipeline does, but without random transforms. The model runs in eval
mode, in mode ``'loss'``, on the same batches.
"""

from __future__ import annotations

import copy
from typing import Any, Dict, List

import torch
from mmengine.runner import Runner


def losses(config: Any, model: Any, reorder: bool = True) -> Dict[str, float]:
    """Return the mean of each named loss over the batches, and their sum ``val_loss``.

    Args:
        config (Config): The config of the validation.
        model (nn.Module): The model.
        reorder (bool): Whether annotations are loaded first. Defaults to True.
    """
    loader = copy.deepcopy(config.val_dataloader)
    if reorder:
        loader.dataset.pipeline = annotations_first(loader.dataset.pipeline)
    batches = Runner.build_dataloader(loader, seed=0)
    model.eval()
    augments = getattr(model.data_preprocessor, "batch_augments", None)
    if augments is not None:  # drawn sizes, for training
        model.data_preprocessor.batch_augments = None
    sums: Dict[str, float] = {}
    for batch in batches:
        torch.manual_seed(0)
        with torch.no_grad():
            data = model.data_preprocessor(batch, training_flag(model))
            named = model(**data, mode="loss")
        total, parsed = model.parse_losses(named)
        parsed.pop("loss")
        parsed["val_loss"] = total
        for name, value in parsed.items():
            sums[name] = sums.get(name, 0.0) + float(value)
    if augments is not None:
        model.data_preprocessor.batch_augments = augments
    return {name: value / len(batches) for name, value in sums.items()}


def training_flag(model: Any) -> bool:
    """Whether to preprocess as in training: mmseg would pad to the training crop."""
    return type(model.data_preprocessor).__name__ != "SegDataPreProcessor"


def annotations_first(pipeline: List[Any]) -> List[Any]:
    """Return a pipeline with LoadAnnotations right after the image."""
    loads = [step for step in pipeline if step["type"] == "LoadAnnotations"]
    others = [step for step in pipeline if step["type"] != "LoadAnnotations"]
    return [others[0], *loads, *others[1:]]
