"""What is found on one rank is found on all: no rank waits for one that raised."""

from __future__ import annotations

from typing import Any, Callable, List, Optional

from mmengine.dist import all_gather_object

from valloss_compat._loss_forward.loader import number_of_batches
from valloss_compat.errors import UnsupportedError


def on_all_ranks(function: Callable[[], Any]) -> Any:
    """Call a function, and raise on all ranks if it rejects a model on any."""
    error, result = None, None
    try:
        result = function()
    except UnsupportedError as raised:
        error = raised
    raise_on_all_ranks(error)
    return result


def raise_on_all_ranks(error: Optional[UnsupportedError]) -> None:
    """Raise on all ranks if any has an error: its own, or the first one."""
    rejections = all_gather_object(error and tuple(error.rejection))
    for rejection in rejections:
        if rejection:
            raise error or UnsupportedError(*rejection)


def check_equal_batches(model: str, dataloaders: List[Any]) -> None:
    """Require the same number of batches on all ranks: a loss may average over them."""
    lengths = all_gather_object(list(map(number_of_batches, dataloaders)))
    if any(length != lengths[0] for length in lengths):
        raise UnsupportedError(
            model,
            "the ranks have different numbers of validation batches "
            f"({', '.join(str(sum(length)) for length in lengths)}), but mode "
            "'loss' may wait for all ranks at each batch",
            "sampler=dict(type='DefaultSampler', shuffle=False, round_up=True) in "
            "the data loader",
        )
