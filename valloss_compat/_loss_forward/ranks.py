"""What several ranks need to wait for each other in a loss."""

from __future__ import annotations

from typing import Any

from mmengine.dist import all_gather_object, get_world_size

from valloss_compat._libraries import Refusal, UnsupportedError


def see_to_lengths(model: Any, dataloader: Any) -> None:
    """Losses that wait for other ranks need as many batches on each.

    Args:
        model (nn.Module): The model, without its wrappers.
        dataloader (DataLoader): That of its losses.

    Raises:
        UnsupportedError: If the ranks differ, on all of them.
    """
    if get_world_size() > 1 and len(set(all_gather_object(len(dataloader)))) > 1:
        raise UnsupportedError(
            Refusal(
                type(model).__name__,
                "its losses wait for all ranks, and the ranks have different "
                "numbers of validation batches",
                "sampler=dict(round_up=True) in the dataloader",
            )
        )
