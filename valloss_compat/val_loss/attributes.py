"""The Python attributes of a module: what changed, and back to what it was."""

from __future__ import annotations

import copy
from collections import deque
from typing import Any, Dict, Iterator, List

import numpy as np
import torch

from valloss_compat.val_loss.tensors import has_copy, same_bits

#: What nn.Module keeps for itself.
_INTERNAL = frozenset(vars(torch.nn.Module()))
_REGISTERED = ("_parameters", "_buffers", "_modules")
_CONSTANTS = (type(None), bool, int, float, complex, str, bytes)
_CONTAINERS = (list, tuple, dict, set, deque)


class Attributes:
    """The attributes of one module as they are now.

    Args:
        module (nn.Module): The module. Seen of its attributes: which object it
            is and, of plain data (constants, arrays and tensors, containers of
            them), what it holds.
    """

    def __init__(self, module: Any) -> None:
        self._namespace: Dict[str, Any] = vars(module)
        self._values = {k: v for k, v in self._namespace.items() if k not in _INTERNAL}
        self._held = {
            name: _copied(value)
            for name, value in self._values.items()
            if _may_change(value)
        }
        self._registered = {name: dict(self._namespace[name]) for name in _REGISTERED}

    def restore(self) -> List[str]:
        """Put back what changed.

        Returns:
            list[str]: The names of what did.
        """
        own = self._namespace
        changed = [k for k in own if k not in _INTERNAL and k not in self._values]
        for name in changed:
            del own[name]
        for name, value in self._values.items():
            replaced = name not in own or not _alike(own[name], value)
            if name not in own or own[name] is not value:
                own[name] = value
            written = name in self._held and not _alike(value, self._held[name])
            if written:
                _refill(value, self._held[name])
                if not _alike(value, self._held[name]):
                    own[name] = self._held[name]  # an array of another shape
            if replaced or written:
                changed.append(name)
        for place, before in self._registered.items():
            now = own[place]
            differing = [
                name
                for name in {**before, **now}
                if name not in now or now[name] is not before.get(name)
            ]
            if differing:
                changed.extend(differing)
                now.clear()
                now.update(before)
        return changed


def _may_change(value: Any) -> bool:
    """Whether a value is plain data that can be written into."""
    if isinstance(value, torch.Tensor):
        return _plain(value)
    try:
        return _plain(value) and not _constant(value)
    except RecursionError:  # a container that holds itself
        return False


def _constant(value: Any) -> bool:
    return type(value) in _CONSTANTS or (
        type(value) is tuple and all(map(_constant, value))
    )


def _plain(value: Any) -> bool:
    kind = type(value)
    if kind is torch.Tensor:
        return has_copy(value)
    if kind in _CONSTANTS or kind is np.ndarray:
        return True
    if kind is dict:
        return all(map(_plain, value)) and all(map(_plain, value.values()))
    return kind in _CONTAINERS and all(map(_plain, value))


def _copied(value: Any) -> Any:
    """A copy of plain data, in which what was one object is one again."""
    done: Dict[int, Any] = {}  # deepcopy's own memo: it refuses tensors of a graph
    for tensor in _tensors(value):
        done[id(tensor)] = tensor.detach().clone()
    return copy.deepcopy(value, done)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """The tensors in plain data."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for inner in (*value, *value.values()):
            yield from _tensors(inner)
    elif isinstance(value, _CONTAINERS):
        for inner in value:
            yield from _tensors(inner)


def _alike(one: Any, other: Any) -> bool:
    """Whether two values are one, or hold the same plain data (NaN is NaN)."""
    if one is other:
        return True
    kind = type(one)
    if kind is not type(other):
        return False
    if kind is torch.Tensor:
        return same_bits(one, other)
    if kind is np.ndarray:
        alike = one.dtype == other.dtype and one.shape == other.shape
        return bool(alike and one.tobytes() == other.tobytes())
    if kind is dict:
        return list(one) == list(other) and all(_alike(one[k], other[k]) for k in one)
    if kind in (list, tuple, deque):
        return len(one) == len(other) and all(map(_alike, one, other))
    if kind is set or kind in _CONSTANTS:
        return bool(one == other) or (kind is float and one != one and other != other)
    return False


def _refill(value: Any, held: Any) -> None:
    """Make an object hold again what its copy holds."""
    if isinstance(value, torch.Tensor):
        value.copy_(held) if value.shape == held.shape else value.set_(held)
    elif isinstance(value, np.ndarray):
        if (value.shape, value.dtype) == (held.shape, held.dtype):
            value[...] = held
    elif isinstance(value, (dict, set)):
        value.clear()
        value.update(held)
    elif isinstance(value, deque):
        value.clear()
        value.extend(held)
    elif isinstance(value, list):
        value[:] = held
    else:  # a tuple that holds them
        for inner, kept in zip(value, held):
            if _may_change(inner):
                _refill(inner, kept)
