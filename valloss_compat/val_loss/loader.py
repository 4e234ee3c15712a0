"""Losses of a dataloader of their own: the way out where those of the val set fail."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Dict, List, Optional

import torch
from mmengine.structures import BaseDataElement
from torch.utils.data import RandomSampler

from valloss_compat import options
from valloss_compat.adapters import Refusal, UnsupportedError, facts
from valloss_compat.adapters.facts import Part, Pipeline
from valloss_compat.batch_size import KEY, batch_size_of
from valloss_compat.val_loss.rng import RandomState
from valloss_compat.val_loss.second_forward import SecondForward

#: Transforms that draw, by what their names have in them.
_RANDOM = (
    "Albu",
    "AutoAugment",
    "ColorJitter",
    "Corrupt",
    "CutOut",
    "Erasing",
    "MixUp",
    "Mosaic",
    "PhotoMetric",
    "RandAugment",
    "Random",
)


class LossLoader:
    """A dataloader that is run for its losses alone, in each validation.

    Args:
        runner (Runner): Builds it, as its other dataloaders.
        config (dict or DataLoader): As ``val_dataloader``.

    Raises:
        UnsupportedError: If it shuffles, draws or never ends: the losses of
            two validations could not be compared.
    """

    def __init__(self, runner: Any, config: Any) -> None:
        refusal = refuse_sampler(config)
        if refusal is not None:
            raise UnsupportedError(refusal)
        before = RandomState()
        self.dataloader = runner.build_dataloader(
            copy.deepcopy(config) if isinstance(config, Mapping) else config,
            seed=getattr(runner, "seed", None),
        )
        before.restore()
        refusal = refuse_pipelines(facts.pipelines_of(self.dataloader.dataset))
        if refusal is not None:
            raise UnsupportedError(refusal)

    def element(self, losses: SecondForward) -> BaseDataElement:
        """Run all of it.

        Args:
            losses (SecondForward): Gives the losses of a batch.

        Returns:
            BaseDataElement: A loss element for the whole epoch: of each named
            loss the list over the batches, or, where batches count by their
            number of samples, the mean over these, with their number.
        """
        weighted = options.current().weighting == "sample"
        found: Dict[str, List[torch.Tensor]] = {}
        weights: Dict[str, List[int]] = {}
        total = 0
        before = RandomState(losses.devices)
        try:
            for batch in self.dataloader:
                size = batch_size_of(BaseDataElement(), batch, []) if weighted else 1
                total += size
                # A dataset in memory may give the same samples again.
                for name, value in losses.losses_of(
                    losses.copy_of(batch), True
                ).items():
                    found.setdefault(name, []).append(value)
                    weights.setdefault(name, []).append(size)
        finally:
            before.restore()
        if not weighted or not total:
            return BaseDataElement(loss=found)
        return BaseDataElement(
            loss={name: _mean(values, weights[name]) for name, values in found.items()},
            metainfo={KEY: total},
        )


def _mean(values: List[torch.Tensor], weights: List[int]) -> torch.Tensor:
    weighted = [value.double() * weight for value, weight in zip(values, weights)]
    return torch.stack(weighted).sum() / sum(weights)


def refuse_sampler(config: Any) -> Optional[Refusal]:
    """Judge the order of a loss dataloader.

    Args:
        config (dict or DataLoader): As ``val_dataloader``.

    Returns:
        Refusal, optional: If it shuffles or never ends.
    """
    sampler = config.get("sampler") if isinstance(config, Mapping) else config.sampler
    if isinstance(sampler, Mapping):
        kind, shuffles = str(sampler.get("type")), sampler.get("shuffle", True)
    else:
        kind = type(sampler).__name__
        shuffles = isinstance(sampler, RandomSampler) or getattr(
            sampler, "shuffle", False
        )
    if "Infinite" in kind or shuffles:
        return Refusal(
            f"the sampler of the loss dataloader ({kind})",
            "it shuffles or never ends, so that no two validations are of the same "
            "batches",
            "sampler=dict(type='DefaultSampler', shuffle=False)",
        )
    return None


def refuse_pipelines(pipelines: List[Pipeline]) -> Optional[Refusal]:
    """Judge the transforms of a loss dataloader: one that draws is refused."""
    for transform in (part for pipeline in pipelines for part in pipeline):
        if _draws(transform):
            return Refusal(
                f"{transform.kind} in the pipeline of the loss dataloader",
                "it draws random numbers, so that no two validations are of the same "
                "images",
                "leave it out, or give it prob=0.0 or a deterministic counterpart",
            )
    return None


def _draws(transform: Part) -> bool:
    if not any(word in transform.kind for word in _RANDOM):
        return False
    return transform.get("prob", 1) not in (0, 0.0)
