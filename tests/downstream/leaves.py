"""The state of any object, as plain values that can be compared."""

from __future__ import annotations

import hashlib
import types
from typing import Any, Dict, Iterable, Set, Tuple

import numpy as np
import torch
from mmengine.utils import ManagerMixin

_PLAIN = (str, bytes, bool, int, float, complex, np.generic, type(None))
_NO_STATE = (type, types.FunctionType, types.ModuleType, ManagerMixin)


def leaves(value: Any) -> Dict[str, Any]:
    """What is in an object: attributes and items, at any depth, as path -> value.

    Of a tensor or array it is a hash of the bytes; of a parameter also its gradient.
    """
    found: Dict[str, Any] = {}
    _add(value, "", found, set())
    return found


def _add(value: Any, path: str, found: Dict[str, Any], parents: Set[int]) -> None:
    if isinstance(value, _PLAIN):
        found[path] = repr(value)
        return
    found[path] = type(value).__name__
    if isinstance(value, (set, frozenset)):
        found[path] = sorted(map(repr, value))
    elif isinstance(value, np.ndarray) and value.dtype != object:
        digest = hashlib.sha1(value.tobytes()).hexdigest()
        found[path] = (str(value.dtype), value.shape, digest)
    elif id(value) not in parents:
        for name, item in _items(value):
            _add(item, f"{path}.{name}", found, parents | {id(value)})


def _items(value: Any) -> Iterable[Tuple[Any, Any]]:
    if isinstance(value, torch.Tensor):
        yield "data", value.detach().numpy()
        yield "grad", value.grad if value.is_leaf else None
    elif isinstance(value, dict):
        for number, (key, item) in enumerate(value.items()):
            yield key if isinstance(key, (str, int)) else number, item
    elif isinstance(value, (list, tuple)) or hasattr(value, "popleft"):
        yield from enumerate(value)
    elif isinstance(value, np.ndarray):
        yield from enumerate(value.tolist())
    elif not isinstance(value, _NO_STATE):
        yield from getattr(value, "__dict__", {}).items()
