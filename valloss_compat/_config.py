"""Entries of a config, and of what class they are. Nothing is imported for that."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Iterator, List, Tuple

#: Class name of the hook that computes losses, without scope or module.
VAL_LOSS_HOOK = "ValLossHook"


def class_name(entry: Any) -> str:
    """Return the class name in a config entry, without scope or module."""
    entry_type = entry.get("type", "") if isinstance(entry, Mapping) else ""
    return str(getattr(entry_type, "__name__", entry_type)).rpartition(".")[2]


def scope_of(config: Any, entry: Any = None) -> str:
    """Return the registry scope of an entry of a config, or of those without one."""
    return str(setting(entry, "_scope_") or config.get("default_scope") or "mmengine")


def scoped_name(entry: Mapping[str, Any], scope: str) -> str:
    """Return the type in a config entry with its scope, or its full name as it is."""
    name = str(entry.get("type", "?"))
    return name if "." in name else f"{entry.get('_scope_') or scope}.{name}"


def hooks_with_paths(config: Any) -> Iterator[Tuple[str, Mapping[str, Any]]]:
    """Iterate over the hooks that a Runner builds from a config, default hooks first.

    Yields:
        tuple[str, dict]: Path in the config, such as ``'custom_hooks[0]'``, and entry.
        Entries that are no dict are skipped: None, which removes a default hook, and
        hook objects.
    """
    defaults = config.get("default_hooks") or {}
    custom = enumerate(config.get("custom_hooks") or ())
    entries = [(f"default_hooks.{name}", entry) for name, entry in defaults.items()]
    entries += [(f"custom_hooks[{index}]", entry) for index, entry in custom]
    for path, entry in entries:
        if isinstance(entry, Mapping):
            yield path, entry


def hooks(config: Any) -> List[Mapping[str, Any]]:
    """Return the hooks of a config, default hooks first."""
    return [entry for _, entry in hooks_with_paths(config)]


def val_loss_hooks(config: Any) -> List[Mapping[str, Any]]:
    """Return the entries of ``ValLossHook`` in a config."""
    return [entry for entry in hooks(config) if class_name(entry) == VAL_LOSS_HOOK]


def type_name(thing: Any) -> str:
    """Return the full name of a class, or of the class of an object, for messages.

    Classes of mmengine, torch and this package are known by their names alone.
    """
    cls = thing if isinstance(thing, type) else type(thing)
    package = cls.__module__.partition(".")[0]
    if package in ("builtins", "mmengine", "torch", "valloss_compat"):
        return cls.__qualname__
    return f"{cls.__module__}.{cls.__qualname__}"


def names_of(source: Any, scope: str = "") -> Tuple[str, ...]:
    """Return ``'LIBRARY.Class'`` for the class of a model or transform.

    Of a built one, the bases of its class follow. What a config names
    ``mmdet.RetinaNet`` has that name here, wherever its module is. ``scope`` is the
    ``default_scope`` of the config.
    """
    if isinstance(source, Mapping):
        cls = source.get("type", "?")
        if isinstance(cls, str):
            name = scoped_name(source, scope)
            return (f"{name.partition('.')[0]}.{name.rpartition('.')[2]}",)
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
