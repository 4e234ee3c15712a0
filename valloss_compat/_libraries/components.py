"""A model or a transform: built, or in a config.

The hook has a built model, ``doctor`` only a config. Both are checked as the same
thing, a :class:`Component`. No library is imported: classes are known by name.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, NamedTuple, Tuple


class Component(NamedTuple):
    """A model or a transform.

    Attributes:
        names (tuple[str]): ``'LIBRARY.Class'`` for its class and, of a built one, for
            each of its bases, the class first: what a config names
            ``mmdet.RetinaNet`` has that name here, wherever its module is.
    """

    names: Tuple[str, ...]

    @property
    def library(self) -> str:
        """Top-level package of its class: ``'mmdet'``."""
        return self.names[0].rpartition(".")[0]

    @property
    def kind(self) -> str:
        """Name of its class: ``'RetinaNet'``."""
        return self.names[0].rpartition(".")[2]


def component_of(source: Any, scope: str = "") -> Component:
    """Return what is known of a model or transform, built or in a config.

    ``scope`` is the ``default_scope`` of the config.
    """
    if isinstance(source, Mapping):
        kind = source.get("type", "?")
        if isinstance(kind, str):
            scope = source.get("_scope_", scope)
            library = kind.partition(".")[0] if "." in kind else scope
            return Component((f"{library}.{kind.rpartition('.')[2]}",))
        return _of_class(kind)  # mmengine's new style of config has the class
    functions = (types.FunctionType, types.BuiltinFunctionType)  # as transforms
    return _of_class(source if isinstance(source, functions) else type(source))


def _of_class(cls: Any) -> Component:
    bases = cls.__mro__ if isinstance(cls, type) else [cls]
    names = (
        f"{str(getattr(base, '__module__', '?')).partition('.')[0]}.{base.__name__}"
        for base in bases
        if base is not object
    )
    return Component(tuple(names))


def setting(owner: Any, name: str, default: Any = None) -> Any:
    """Return an entry of a config, or an attribute of an object."""
    if isinstance(owner, Mapping):
        return owner.get(name, default)
    return getattr(owner, name, default)
