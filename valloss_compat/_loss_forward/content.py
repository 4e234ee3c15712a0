"""Values that modules get and return: copied, and compared bit for bit."""

from __future__ import annotations

import random
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np
import torch
from packaging.version import Version
from torch.nn import parameter


def tree(module: Any) -> List[Tuple[str, Any]]:
    """The path of each module within a module, and the module, itself first.

    What ``named_modules()`` gives, in a fifth of its time: that goes through a
    generator a level for each.

    Args:
        module (nn.Module): Its own path is ``''``.
    """
    found = [("", module)]
    seen = {id(module)}
    for path, outer in found:  # grows as it goes
        start = f"{path}." if path else ""
        for name, inner in outer._modules.items():
            if inner is not None and id(inner) not in seen:
                seen.add(id(inner))
                found.append((start + name, inner))
    return found


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


#: What reads a state, and what sets it.
Access = Tuple[Callable[[Any], Any], Callable[[Any, Any], None]]


def _read(generator: Any) -> Any:
    return generator.bit_generator.state


def _write(generator: Any, state: Any) -> None:
    generator.bit_generator.state = state


#: Those that everybody draws from, behind the functions of their modules.
_SHARED = (
    torch.default_generator,
    getattr(random.random, "__self__", None),
    getattr(np.random.rand, "__self__", None),
)
#: What each kind is read and set by. numpy's ``Generator`` came with numpy 1.17.
_KINDS: List[Tuple[Any, Access]] = [
    (torch.Generator, (torch.Generator.get_state, torch.Generator.set_state)),
    (
        np.random.RandomState,
        (np.random.RandomState.get_state, np.random.RandomState.set_state),
    ),
    (random.Random, (random.Random.getstate, random.Random.setstate)),
    (getattr(np.random, "Generator", ()), (_read, _write)),
]
_CPU = torch.device("cpu")


def access(value: Any) -> Optional[Access]:
    """How the state of a generator is read and set.

    Returns:
        tuple, optional: None for what is no generator, for one of a device, and
        for those that everybody draws from: ``RandomState`` is for these.
    """
    for kind, found in _KINDS:
        if isinstance(value, kind):
            shared = any(value is one for one in _SHARED)
            on_device = getattr(value, "device", _CPU).type != "cpu"
            return None if shared or on_device else found
    return None


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
