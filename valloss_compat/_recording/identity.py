"""A map from objects to values that neither hashes nor keeps its keys."""

from __future__ import annotations

import weakref
from typing import Any, Callable, Dict, Generic, Tuple, TypeVar

Value = TypeVar("Value")


class IdentityMap(Generic[Value]):
    """Values by the identity of an object, for as long as that object lives.

    ``weakref.WeakKeyDictionary`` hashes and compares its keys, which an
    evaluator with an ``__eq__`` of its own does not survive. What allows no weak
    reference, as a ``SimpleNamespace``, has a new value each time.

    Args:
        make (Callable): Makes the value of an object that is new here.
    """

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make = make
        self._entries: Dict[int, Tuple[weakref.ReferenceType[Any], Value]] = {}

    def __getitem__(self, owner: Any) -> Value:
        key = id(owner)
        entry = self._entries.get(key)
        if entry is None:
            entries = self._entries
            try:
                gone = weakref.ref(owner, lambda _: entries.pop(key, None))
            except TypeError:
                return self._make()
            # Another thread may have been quicker.
            entry = entries.setdefault(key, (gone, self._make()))
        return entry[1]

    def __len__(self) -> int:
        return len(self._entries)
