"""Results of ``val_step`` and ``test_step`` in the cases."""

from __future__ import annotations

from typing import Any, Callable

import torch
from mmengine.structures import BaseDataElement

Result = Callable[[int, Any], Any]


class LossElement(BaseDataElement):
    """A subclass, as a library may define one."""


def predictions(step: int) -> list[Any]:
    """Two predictions: a data element and a tensor, different in every step."""
    first = BaseDataElement(metainfo={"step": step}, score=torch.tensor([0.5 + step]))
    return [first, torch.tensor([1.5 + step])]


def element(losses: Any) -> BaseDataElement:
    """A loss element."""
    return BaseDataElement(loss=losses)


def with_losses(*losses_by_step: dict[str, Any] | None) -> Result:
    """A list result with a loss element, left out in a step with None."""

    def result(step: int, inputs: Any) -> Any:
        losses = losses_by_step[step % len(losses_by_step)]
        last = [] if losses is None else [element(losses)]
        return [*predictions(step), *last]

    return result


def with_values(*values: Any) -> Result:
    """A list result with the loss ``loss`` of these values, one a step."""
    return with_losses(*({"loss": value} for value in values))


def with_numbers(*values: float) -> Result:
    """A list result with the loss ``loss`` as a 0-dim tensor, one number a step."""
    return with_values(*(torch.tensor(value) for value in values))


def in_tuple(step: int, inputs: Any) -> Any:
    """The form of mmengine's pull request 1503."""
    losses = {"loss": torch.tensor(0.5 + step)}
    return torch.stack(list(inputs)), torch.tensor([step, 1]), element(losses)


def other(make: Callable[[int], Any]) -> Result:
    """A result of another form, made from the number of the step."""
    return lambda step, inputs: make(step)


def ending_with(make: Callable[[int], Any]) -> Result:
    """A list result with a last item made from the number of the step."""
    return lambda step, inputs: [*predictions(step), make(step)]


def fp16(step: int, inputs: Any) -> Any:
    """Prediction and loss of a product, which runs in bfloat16 under autocast."""
    stacked = torch.stack(list(inputs))
    product = stacked @ stacked.t()
    return [product, element({"loss": product[-1, -1]})]
