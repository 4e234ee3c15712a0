"""Losses of a dataloader of their own: the way out where those of the val set fail."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from typing import Any, Collection, Dict, List

import numpy as np
import torch
from mmengine.structures import BaseDataElement

from valloss_compat import options
from valloss_compat._libraries import components
from valloss_compat._libraries.pipelines import judge_loader, refuse_sampler
from valloss_compat._loss_forward.forward import SecondForward
from valloss_compat._loss_forward.isolation import RandomState
from valloss_compat._recording.accumulator import LossSum
from valloss_compat._recording.batch_size import KEY, batch_size_of
from valloss_compat.errors import UnsupportedError

#: Whatever draws in the loader after all draws the same in each validation.
_SEED = 0


class LossLoader:
    """A dataloader that is run for its losses alone, in each validation.

    Args:
        runner (Runner): Builds it, as its other dataloaders.
        config (dict or DataLoader): As ``val_dataloader``.

    Raises:
        UnsupportedError: If it shuffles or never ends: the losses of two
            validations could not be compared.
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
        self._pipelines = components.pipelines_of(self.dataloader.dataset)
        self._prepare = False

    def judge(self, losses: SecondForward, trust: Collection[str]) -> None:
        """See that its transforms do not draw, and suit the model.

        Args:
            losses (SecondForward): Of the model.
            trust (Collection[str]): Full names of transforms that the user
                answers for, among others.

        Raises:
            UnsupportedError: If they do not.
        """
        refusal, self._prepare = judge_loader(
            losses.adapter, components.of_model(losses.model), self._pipelines, trust
        )
        if refusal is not None:
            raise UnsupportedError(refusal)

    def element(self, losses: SecondForward) -> BaseDataElement:
        """Run all of it.

        Args:
            losses (SecondForward): Gives the losses of a batch.

        Returns:
            BaseDataElement: A loss element for the whole epoch: of each named
            loss its sum and weight over the batches; in mode ``'parity'`` the list
            over the batches, of which native mmengine makes a mean.
        """
        chosen = options.current()
        weighted = chosen.weighting == "sample"
        found: Dict[str, List[torch.Tensor]] = {}
        weights: Dict[str, List[int]] = {}
        total = 0
        before = RandomState(losses.devices)
        try:
            _seed()
            for batch in self.dataloader:
                size = batch_size_of(BaseDataElement(), batch, []) if weighted else 1
                total += size
                # A dataset in memory may give the same samples again.
                batch = losses.copy_of(batch)
                if self._prepare:
                    batch = losses.adapter.prepare(batch, self._pipelines)
                for name, value in losses.losses_of(batch, True).items():
                    found.setdefault(name, []).append(value)
                    weights.setdefault(name, []).append(size)
        finally:
            before.restore()
        if chosen.mode == "parity" or not total:
            return BaseDataElement(loss=found)
        return BaseDataElement(
            loss={name: _sum(values, weights[name]) for name, values in found.items()},
            metainfo={KEY: total},
        )


def _sum(values: List[torch.Tensor], weights: List[int]) -> LossSum:
    weighted = [value.item() * weight for value, weight in zip(values, weights)]
    return LossSum(sum(weighted), sum(weights))


def _seed() -> None:
    """Seed what datasets draw from, and so the workers, which torch's seeds."""
    random.seed(_SEED)
    np.random.seed(_SEED)
    # Not torch.manual_seed: devices that the model is not on are nobody's to seed.
    torch.default_generator.manual_seed(_SEED)
