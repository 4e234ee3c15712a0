"""A model or a transform: built, or in a config.

The hook has a built model, ``doctor`` only a config. Both are checked by the same
names. No library is imported.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Tuple


def names_of(source: Any, scope: str = "") -> Tuple[str, ...]:
    """Return ``'LIBRARY.Class'`` for the class of a model or transform.

    Of a built one, the bases of its class follow. What a config names
    ``mmdet.RetinaNet`` has that name here, wherever its module is. ``scope`` is the
    ``default_scope`` of the config.
    """
    if isinstance(source, Mapping):
        cls = source.get("type", "?")
        if isinstance(cls, str):
            scope = source.get("_scope_", scope)
            library = cls.partition(".")[0] if "." in cls else scope
            return (f"{library}.{cls.rpartition('.')[2]}",)
    else:
        functions = (types.FunctionType, types.BuiltinFunctionType)  # as transforms
        cls = source if isinstance(source, functions) else type(source)
    return tuple(
        f"{str(getattr(base, '__module__', '?')).partition('.')[0]}.{base.__name__}"
        for base in (cls.__mro__ if isinstance(cls, type) else [cls])
        if base is not object
    )


def kind_of(source: Any) -> str:
    """Return the name of the class of a model or transform: ``'RetinaNet'``."""
    return names_of(source)[0].rpartition(".")[2]


def setting(owner: Any, name: str, default: Any = None) -> Any:
    """Return an entry of a config, or an attribute of an object."""
    if isinstance(owner, Mapping):
        return owner.get(name, default)
    return getattr(owner, name, default)
