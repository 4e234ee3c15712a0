"""The tensors of a model: which can be kept, and whether one is what it was."""

from __future__ import annotations

import torch
from torch.nn import parameter

#: The parameters and buffers of a lazy module before its first call (torch 1.8).
_LAZY = tuple(
    getattr(parameter, name)
    for name in ("UninitializedParameter", "UninitializedBuffer")
    if hasattr(parameter, name)
)


def has_copy(tensor: torch.Tensor) -> bool:
    """Whether a tensor can be copied and its copy compared with it.

    Not without data (on the meta device, or a lazy module's), and not if sparse,
    nested or quantized: not all releases of torch copy and compare these.
    """
    return (
        tensor.layout is torch.strided
        and tensor.device.type != "meta"
        and not isinstance(tensor, _LAZY)
        and not getattr(tensor, "is_nested", False)
        and not tensor.is_quantized
    )


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors are equal, NaN included."""
    if (one.shape, one.dtype, one.device) != (other.shape, other.dtype, other.device):
        return False
    if one.is_complex():  # torch 1.6 does not compare them
        one, other = (torch.stack([each.real, each.imag]) for each in (one, other))
    if one.is_floating_point() and one.element_size() == 1:
        # Float8: torch compares it nowhere, or not on all devices.
        return bool(torch.equal(one.view(torch.uint8), other.view(torch.uint8)))
    if torch.equal(one, other):
        return True
    return one.is_floating_point() and bool(
        ((one == other) | ((one != one) & (other != other))).all()
    )


def write(tensor: torch.Tensor, held: torch.Tensor, device: torch.device) -> bool:
    """Make a tensor hold again what its copy holds, in its memory.

    Args:
        tensor (torch.Tensor): The tensor; of its memory there may be views.
        held (torch.Tensor): The copy.
        device (torch.device): Where the tensor was.

    Returns:
        bool: False where it is another memory now, or shared by its elements.
    """
    now = (tensor.shape, tensor.dtype, tensor.device)
    if now != (held.shape, held.dtype, device):
        return False
    try:
        tensor.copy_(held)
    except RuntimeError:  # expanded
        return False
    return True
