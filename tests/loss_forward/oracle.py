"""The validation loss by hand: the training loss, noise switched off by flags."""

from __future__ import annotations

import copy

import torch
from torch import nn

from loss_forward.models import Points, collate

#: Written down by hand, not taken from the package.
NOISY = (nn.Dropout, nn.BatchNorm1d)


def batches_of(dataset=None, size=4):
    """Return the batches of a dataset, the last one shorter."""
    dataset = dataset or Points()
    starts = range(0, len(dataset), size)
    return [
        collate([dataset[i] for i in range(start, min(start + size, len(dataset)))])
        for start in starts
    ]


def frozen_losses(model, batches=None, off=NOISY, seed=None):
    """Return the means over batches of the losses in frozen training mode.

    Args:
        model (nn.Module): It is copied.
        batches (list, optional): Defaults to those of a validation.
        off (tuple[type]): Classes of modules in eval mode.
        seed (int, optional): Set before each batch.
    """
    found = {}
    for batch in copy.deepcopy(batches_of() if batches is None else batches):
        one = copy.deepcopy(model).train()  # a new copy: no batch sees another one
        for module in one.modules():
            if isinstance(module, off):
                module.training = False
        if seed is not None:
            torch.manual_seed(seed)
        with torch.no_grad():
            losses = one._run_forward(one.data_preprocessor(batch, True), "loss")
        for name, value in losses.items():
            parts = value if isinstance(value, list) else [value]
            total = sum(float(part.mean()) for part in parts)
            found.setdefault(name, []).append(total)
    means = {name: sum(values) / len(values) for name, values in found.items()}
    total = sum(value for name, value in means.items() if "loss" in name)
    return {**means, "val_loss": total}
