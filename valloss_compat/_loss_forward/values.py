"""Values that modules get and return: copied, and compared bit for bit."""

from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

import torch
from packaging.version import Version

#: An integer type of the same size, to compare bits: NaN is equal to itself then.
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_PLAIN = (type(None), bool, int, float, str, torch.device, torch.dtype)
#: Whether a view may be of a type of another size: from torch 1.12 on.
_OTHER_SIZES = Version(torch.__version__) >= Version("1.12")
#: Whether it may be of another type at all: from torch 1.8 on.
_OTHER_TYPES = Version(torch.__version__) >= Version("1.8")


class Unknown(Exception):
    """Something of a kind that cannot be compared or copied for sure."""


def copy(thing: Any) -> Any:
    """Copy the containers of a value, and its tensors with :func:`clone`.

    Raises:
        Unknown: If there is anything in it that is no plain tensor, container
            or constant.
    """
    done: Dict[int, torch.Tensor] = {}

    def walk(item: Any) -> Any:
        kind = type(item)
        if kind is torch.Tensor:
            if id(item) not in done:  # one tensor in two places stays one
                done[id(item)] = clone(item)
            return done[id(item)]
        if kind in (list, tuple):
            return kind(walk(inner) for inner in item)
        if kind is dict:
            return {key: walk(value) for key, value in item.items()}
        if kind in _PLAIN:
            return item
        raise Unknown(kind)

    return walk(thing)


def same(one: Any, other: Any) -> bool:
    """Whether two values are bit for bit the same, down to their layout."""
    if type(one) is not type(other):
        return False
    if type(one) is torch.Tensor:
        try:
            return one is other or _same_tensors(one, other)
        except (RuntimeError, TypeError):  # not compared: without data, negated
            return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    return type(one) in _PLAIN and bool(one == other)


def _same_tensors(one: torch.Tensor, other: torch.Tensor) -> bool:
    for read in (_look, torch.Tensor.stride):
        if read(one) != read(other):
            return False
    if one.layout is not torch.strided or one.is_complex() or one.is_quantized:
        return False
    if not one.is_floating_point():
        return bool(torch.equal(one, other))
    ours, theirs = _words(one), _words(other)
    if ours is not None and theirs is not None:  # takes half as long
        return bool(torch.equal(ours, theirs))
    return bool(torch.equal(_bits(one), _bits(other)))


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """The bits of a tensor, an element at a time."""
    bits = _BITS[tensor.element_size()]
    if _OTHER_TYPES:
        return tensor.view(bits)
    array = tensor.detach().cpu().numpy()  # a TypeError for bfloat16
    return torch.from_numpy(array.view(str(bits).rpartition(".")[2]))


def _overlaps(tensor: torch.Tensor) -> bool:
    """Whether elements share memory, so that no copy has the same layout."""
    return any(step == 0 and n > 1 for n, step in zip(tensor.shape, tensor.stride()))


def clone(tensor: torch.Tensor) -> torch.Tensor:
    """A copy with the same strides, which kernels may choose their way by.

    Raises:
        Unknown: If there is none, or no memory for it.
    """
    if tensor.layout is not torch.strided or tensor.requires_grad or _overlaps(tensor):
        raise Unknown(tensor.layout)
    try:
        copied = torch.empty_strided(
            tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device
        )
        return copied.copy_(tensor)
    except RuntimeError as error:
        raise Unknown(tensor.dtype) from error


def _look(tensor: torch.Tensor) -> Tuple[Any, ...]:
    return (
        tensor.shape,
        tensor.dtype,
        tensor.device,
        tensor.requires_grad,
        tensor.layout,
    )


def _words(tensor: torch.Tensor) -> Optional[torch.Tensor]:
    """The bits of a strided tensor, 64 at a time; None where they do not fit."""
    size = tensor.element_size()
    if (
        not _OTHER_SIZES
        or not tensor.is_contiguous()
        or size * tensor.numel() % 8
        or size * tensor.storage_offset() % 8
    ):
        return None
    return tensor.view(-1).view(torch.int64)
