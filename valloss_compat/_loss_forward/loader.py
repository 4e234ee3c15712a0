"""Data loaders: those of a loop, and further ones that read the same data."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, List

from torch.utils.data import DataLoader, IterableDataset

from valloss_compat._libraries.pipelines import check_sampler
from valloss_compat._loss_forward.isolation import RandomState
from valloss_compat.errors import UnsupportedError


def dataloaders_of(loop: Any) -> List[Any]:
    """Return the data loaders of a loop; mmagic's MultiValLoop has several."""
    return list(getattr(loop, "dataloaders", None) or [loop.dataloader])


def number_of_batches(dataloader: Any) -> int:
    """Return the length of a data loader; 0 if its dataset has none."""
    try:
        return len(dataloader)
    except TypeError:
        return 0


def build_loader(runner: Any, config: Any) -> Any:
    """Build a data loader for the losses alone, as a Runner builds its own.

    Raises:
        UnsupportedError: If it shuffles or never ends: the losses of two validations
            could not be compared.
    """
    rejection = check_sampler(config)
    if rejection is not None:
        raise UnsupportedError(*rejection)
    with RandomState():
        return runner.build_dataloader(
            copy.deepcopy(config) if isinstance(config, Mapping) else config,
            seed=getattr(runner, "seed", None),
        )


def first_batch(dataloader: Any) -> Any:
    """Load the first batch of a data loader by another one.

    Samplers that keep something between batches are copied.

    Returns:
        The batch; None if there is none, or if the loader gives none by index.
    """
    dataset = dataloader.dataset
    if isinstance(dataset, IterableDataset) or not number_of_batches(dataloader):
        return None
    batches = dataloader.batch_sampler
    # A sampler may have the dataset as it was before the second views.
    holders = (dataloader, batches, getattr(batches, "sampler", None))
    names = ("dataset", "data_source")
    shared = [getattr(one, name, None) for one in holders for name in names]
    sampler = copy.deepcopy(batches, {id(one): one for one in shared})
    indices = next(iter(sampler or ()), None)
    if indices is None:
        return None
    return next(iter(similar_loader(dataloader, batch_sampler=[indices])))


def similar_loader(dataloader: Any, **changes: Any) -> DataLoader:
    """Return a data loader as another one, with some attributes changed.

    It has a worker, if the other has some: files that a dataset opens must not be open
    in the process that forks the workers.
    """
    similar: Any = DataLoader.__new__(DataLoader)
    # Not by its constructor: a loader as built has more than its arguments say.
    vars(similar).update(vars(dataloader))
    vars(similar).update(
        _iterator=None,
        num_workers=min(1, dataloader.num_workers),
        persistent_workers=False,
        pin_memory=False,
        generator=None,  # nothing is drawn from that of the other
    )
    vars(similar).update(changes)
    return similar
