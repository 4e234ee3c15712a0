"""Compare what modules get, return and hold."""

from __future__ import annotations

import random
import types
from collections import deque
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np
import torch
from torch import nn

_SEQUENCES = (list, tuple, deque)
#: What reads the state of each kind of random number generator. numpy has `Generator`
#: from 1.17 on.
_GENERATORS: List[Tuple[Any, Callable[[Any], Any]]] = [
    (torch.Generator, torch.Generator.get_state),
    (np.random.RandomState, np.random.RandomState.get_state),
    (random.Random, random.Random.getstate),
    (getattr(np.random, "Generator", ()), lambda value: value.bit_generator.state),
]
_ATOMIC = (
    *(nn.Module, torch.Tensor, np.ndarray, set, type, types.FunctionType),
    *(kind for kind, _ in _GENERATORS),
)


def alike(one: Any, other: Any) -> bool:
    """Compare two values, down to the strides of their tensors. NaN equals itself.

    Modules and functions within them count as alike if their classes or code are the
    same: what modules hold is compared module by module. What cannot be compared is
    not alike.
    """
    # Not recursive: until Python 3.8 a RecursionError that is first raised in a
    # callback of the garbage collector aborts the interpreter.
    pairs: List[Tuple[Any, Any]] = [(one, other)]
    # Pairs are kept, so that no later object gets the id of one of them.
    compared: Dict[Tuple[int, int], Tuple[Any, Any]] = {}
    while pairs:
        one, other = pair = pairs.pop()
        ids = id(one), id(other)
        if one is other or ids in compared:
            continue
        compared[ids] = pair
        if type(one) is not type(other):
            return False
        inner, others = _parts(one), _parts(other)
        if inner is None or others is None:
            if not _equal(one, other):
                return False
        elif len(inner) != len(others):
            return False
        else:
            pairs.extend(zip(inner, others))
    return True


def _parts(value: Any) -> Optional[List[Any]]:
    """Return what a value consists of; None if it is atomic."""
    if isinstance(value, _SEQUENCES):
        return list(value)
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, _ATOMIC) or not hasattr(value, "__dict__"):
        return None
    return [vars(value)]


def _equal(one: Any, other: Any) -> bool:
    """Compare two atomic values of one type."""
    if isinstance(one, nn.Module):
        return True
    if isinstance(one, types.FunctionType):
        return one.__code__ is other.__code__
    for kind, read in _GENERATORS:
        if isinstance(one, kind):
            return alike(read(one), read(other))
    try:
        if isinstance(one, torch.Tensor):
            return _same_tensors(one, other)
        if isinstance(one, np.ndarray):
            a, b = ((x.dtype, x.shape, x.tobytes()) for x in (one, other))
            return bool(a == b and not one.dtype.hasobject)
        return bool(one == other) or bool(one != one and other != other)
    except (RuntimeError, TypeError, ValueError):  # no data, or not comparable
        return False


def _same_tensors(one: torch.Tensor, other: torch.Tensor) -> bool:
    a, b = ((x.dtype, x.device, x.shape, x.stride()) for x in (one, other))
    if a != b:
        return False
    # numpy takes half the time on a CPU; what it cannot read is unequal to it.
    equal = np.array_equal if one.device.type == "cpu" else torch.equal
    # One call, as each comparison waits for the device. NaN is rare.
    return bool(
        equal(one, other) or ((one == other) | ((one != one) & (other != other))).all()
    )


class Held:
    """What values hold, to see whether something in it is replaced or written into.

    Modules within them are not entered.
    """

    def __init__(self, *values: Any) -> None:
        self._values = values
        self._items = list(values)  # kept, so that no other object gets their ids
        entered = set()
        for value in self._items:  # grows while it is walked
            if id(value) not in entered:
                entered.add(id(value))
                self._items += _parts(value) or ()
        self._state = [(id(item), _mark(item)) for item in self._items]

    def same(self) -> bool:
        """Return whether nothing was replaced or written into since."""
        return Held(*self._values)._state == self._state


def _mark(item: Any) -> Any:
    """Return what changes with the content of an item without parts."""
    if isinstance(item, torch.Tensor):
        return version_of(item)
    if isinstance(item, np.ndarray):
        return item.tobytes()
    return frozenset(map(id, item)) if isinstance(item, set) else None


def checksum(tensor: torch.Tensor) -> Any:
    """Return a number that changes with the content; None without plain content."""
    try:
        if tensor.is_complex():
            tensor = torch.view_as_real(tensor)
        return tensor.detach().double().sum().item()
    except (RuntimeError, TypeError, ValueError, NotImplementedError):
        return None  # lazy, quantized, or without data


def version_of(tensor: Optional[torch.Tensor]) -> int:
    """Return how often a tensor was written into, as far as torch counts it."""
    try:
        return 0 if tensor is None else tensor._version
    except RuntimeError:  # inference tensors have no version
        return 0
