"""Plain data as it is at one time: what is written into it later, and back.

Plain are constants, tensors, arrays, generators of random numbers, and lists,
deques, tuples, dicts and sets, of anything: of what is not plain, it counts
which object it is.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any, Dict, List, Optional, Set, Tuple

import numpy as np
import torch

from valloss_compat._loss_forward import content
from valloss_compat._loss_forward.content import has_copy, same_bits, write

_NUMBERS = (type(None), bool, int, float, complex, str, bytes, slice, range)
_CONSTANTS = frozenset((*_NUMBERS, torch.Size, torch.device, torch.dtype))
_LISTS = (list, deque)
_DICTS = (dict, OrderedDict, defaultdict, Counter)


class Snapshot(ABC):
    """What an object holds."""

    @abstractmethod
    def put_back(self) -> Tuple[Any, bool]:
        """Make the object hold that again.

        Returns:
            tuple: The object, or a copy where it cannot be made so, and whether
            it held something else.
        """


def snapshot(value: Any, seen: Set[int]) -> Optional[Snapshot]:
    """Take what a value holds.

    Args:
        value: Anything.
        seen (set[int]): The ids of what was taken already: it is not again.

    Returns:
        Snapshot, optional: None for what cannot be written into or is not plain.
    """
    kind = type(value)
    if kind in _CONSTANTS or id(value) in seen:
        return None
    seen.add(id(value))
    if kind is torch.Tensor:
        return _Tensor(value) if has_copy(value) else None
    if kind is np.ndarray:
        return _Array(value) if _has_bytes(value) else None
    if kind in _LISTS:
        return _List(value, seen)
    if kind in _DICTS:
        return _Dict(value, seen)
    if kind is tuple:
        inner = _Items(value, seen)
        return inner if inner.inner else None
    if kind is set:
        return _Set(value)
    access = content.access(value)
    return _Generator(value, *access) if access else None


def alike(one: Any, other: Any) -> bool:
    """Whether two values are one, or hold the same plain data (NaN is NaN).

    Containers that hold themselves are alike where they look so however far one goes.
    """
    # Not by recursion. Until Python 3.8 a RecursionError is no way out: where it is
    # first raised in a callback of the garbage collector, the interpreter aborts.
    pairs: List[Tuple[Any, Any]] = [(one, other)]
    met: Set[Tuple[int, int]] = set()
    while pairs:
        one, other = pairs.pop()
        ids = id(one), id(other)
        if one is other or ids in met:
            continue
        kind = type(one)
        if kind is not type(other):
            return False
        if kind in _LISTS or kind in _DICTS or kind is tuple:
            if len(one) != len(other):
                return False
            met.add(ids)
            pairs.extend(zip(one, other))
            if kind in _DICTS:
                pairs.extend(zip(one.values(), other.values()))
        elif not _hold_the_same(one, other):
            return False
    return True


def _hold_the_same(one: Any, other: Any) -> bool:
    """Whether two values of one type do, which are no containers in an order."""
    kind = type(one)
    if kind is torch.Tensor:
        return has_copy(one) and has_copy(other) and same_bits(one, other)
    if kind is np.ndarray:
        if not _has_bytes(one) or (one.shape, one.dtype) != (other.shape, other.dtype):
            return False
        return bool(one.tobytes() == other.tobytes())
    if kind is set:
        return bool(one == other)
    if kind in _CONSTANTS or isinstance(one, np.generic):
        return bool(one == other) or bool(one != one and other != other)
    return False


def _has_bytes(array: Any) -> bool:
    """Whether its bytes say what it holds: no objects, and no gaps."""
    return not array.dtype.hasobject and array.dtype.names is None


class _Tensor(Snapshot):
    def __init__(self, value: torch.Tensor) -> None:
        self.value, self.held = value, value.detach().clone()

    def put_back(self) -> Tuple[Any, bool]:
        value, held = self.value, self.held
        if same_bits(value.detach(), held):
            return value, False
        if not write(value, held, held.device):
            value.data = held
        return value, True


class _Array(Snapshot):
    def __init__(self, value: Any) -> None:
        self.value, self.held = value, value.copy()

    def put_back(self) -> Tuple[Any, bool]:
        value, held = self.value, self.held
        if alike(value, held):
            return value, False
        unlike = (value.shape, value.dtype) != (held.shape, held.dtype)
        if unlike or not value.flags.writeable:  # a view of what was written into
            return held, True
        value[...] = held
        return value, True


class _Generator(Snapshot):
    def __init__(self, value: Any, read: Any, write: Any) -> None:
        self.value, self.read, self.write = value, read, write
        self.held = read(value)

    def put_back(self) -> Tuple[Any, bool]:
        if alike(self.read(self.value), self.held):
            return self.value, False
        self.write(self.value, self.held)
        return self.value, True


class _Items(Snapshot):
    """A tuple; what is in it may be written into."""

    def __init__(self, value: Any, seen: Set[int]) -> None:
        self.value = value
        self.items = list(self.read())
        self.inner: Dict[int, Snapshot] = {}
        if not _CONSTANTS.issuperset(map(type, self.items)):
            for index, item in enumerate(self.items):
                taken = snapshot(item, seen)
                if taken is not None:
                    self.inner[index] = taken

    def read(self) -> Any:
        return self.value

    def put_back(self) -> Tuple[Any, bool]:
        items, changed = self.put_back_items()
        if not all(map(operator.is_, items, self.value)):
            return tuple(items), True
        return self.value, changed

    def put_back_items(self) -> Tuple[List[Any], bool]:
        changed = False
        for index, taken in self.inner.items():
            self.items[index], written = taken.put_back()
            changed = changed or written
        return self.items, changed


class _List(_Items):
    """What holds items that may be others later."""

    def put_back(self) -> Tuple[Any, bool]:
        items, changed = self.put_back_items()
        now = list(self.read())
        if len(now) != len(items) or not all(map(operator.is_, now, items)):
            changed = changed or not alike(now, items)
            self.fill(items)
        return self.value, changed

    def fill(self, items: List[Any]) -> None:
        self.value.clear()
        self.value.extend(items)


class _Dict(_List):
    """A dict: its values; its keys are constants, or which objects they are."""

    def __init__(self, value: Any, seen: Set[int]) -> None:
        self.keys = list(value)
        super().__init__(value, seen)

    def read(self) -> Any:
        return self.value.values()

    def put_back(self) -> Tuple[Any, bool]:
        other = not alike(list(self.value), self.keys)
        if other:
            self.fill(self.items)
        value, changed = super().put_back()
        return value, changed or other

    def fill(self, items: List[Any]) -> None:
        self.value.clear()
        for key, item in zip(self.keys, items):
            self.value[key] = item


class _Set(Snapshot):
    def __init__(self, value: Any) -> None:
        self.value, self.held = value, set(value)

    def put_back(self) -> Tuple[Any, bool]:
        changed = self.value != self.held
        if changed:
            self.value.clear()
            self.value.update(self.held)
        return self.value, changed


#: What nn.Module keeps for itself.
_INTERNAL = frozenset(vars(torch.nn.Module()))
_REGISTERED = ("_parameters", "_buffers", "_modules")
#: A scripted module keeps its methods as attributes once they were called.
_CACHED: Any = getattr(torch._C, "ScriptMethod", ())


class Attributes:
    """The attributes of one module as they are now.

    Args:
        module (nn.Module): The module. Seen of its attributes: which object it
            is and, of plain data, what it holds.
    """

    def __init__(self, module: Any) -> None:
        self._namespace: Dict[str, Any] = vars(module)
        self._values = {k: v for k, v in self._namespace.items() if k not in _INTERNAL}
        self._held: Dict[str, Snapshot] = {}
        seen: Set[int] = set()
        for name, value in self._values.items():
            held = snapshot(value, seen)
            if held is not None:
                self._held[name] = held
        self._registered = {name: dict(self._namespace[name]) for name in _REGISTERED}

    def restore(self) -> List[str]:
        """Put back what changed.

        Returns:
            list[str]: The names of what did.
        """
        own = self._namespace
        changed = [
            name
            for name, value in own.items()
            if name not in _INTERNAL
            and name not in self._values
            and not isinstance(value, _CACHED)
        ]
        for name in changed:
            del own[name]
        for name, value in self._values.items():
            written = False
            if name in self._held:
                value, written = self._held[name].put_back()
            if written or name not in own or not alike(own[name], value):
                changed.append(name)
            if name not in own or own[name] is not value:
                own[name] = value
        for place, before in self._registered.items():
            now = own[place]
            others = [
                name
                for name in {**before, **now}
                if name not in now or now[name] is not before.get(name, now)
            ]
            changed.extend(
                name
                for name in others
                if not (name in now and name in before)
                or not alike(now[name], before[name])
            )
            if others and isinstance(now, dict):
                now.clear()
                now.update(before)
            elif others:  # those of a scripted module: they cannot come or go
                for name in others:
                    now[name] = before[name]
        return changed
