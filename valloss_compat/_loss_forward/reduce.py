"""Named losses to one number each, as a training reduces them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Dict

import torch

from valloss_compat._libraries import Refusal, UnsupportedError


def reduce_losses(losses: Any, model: str) -> Dict[str, torch.Tensor]:
    """Reduce what mode ``'loss'`` returned, by the rule of ``parse_losses``.

    A tensor counts by its mean, a list of tensors by the sum of their means.
    The total is left to the convention, which adds it itself: what
    ``BaseModel.parse_losses`` returns has it among the losses already.

    Args:
        losses: What ``forward`` returned.
        model (str): Whose, for messages.

    Returns:
        dict: Name -> tensor without shape. Names without ``loss`` (accuracies)
        are reported, but are no part of the total.

    Raises:
        UnsupportedError: If a training could not reduce it either.
    """
    if not isinstance(losses, Mapping):
        raise _refused(model, f"mode 'loss' returned a {type(losses).__name__}")
    reduced: Dict[str, Any] = {}
    for name, value in losses.items():
        if isinstance(value, torch.Tensor):
            reduced[name] = _mean(value)
        elif not isinstance(value, (list, tuple)) or not all(
            isinstance(item, torch.Tensor) for item in value
        ):
            raise _refused(model, f"the loss {name!r} is a {type(value).__name__}")
        elif value:
            reduced[name] = sum(map(_mean, value))  # in a training's order
    return reduced


def _mean(value: torch.Tensor) -> torch.Tensor:
    value = value.detach()
    return value.mean() if value.is_floating_point() else value.float().mean()


def _refused(model: str, what: str) -> UnsupportedError:
    return UnsupportedError(
        Refusal(
            model,
            f"{what}, but a dict of tensors and lists of tensors is expected",
            "return one from forward in mode 'loss'",
        )
    )
