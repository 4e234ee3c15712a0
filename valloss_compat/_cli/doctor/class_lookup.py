"""Look up the classes that a config names in the registries of mmengine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional


def lookup(registry: Any, *keys: str) -> Any:
    """Return the first object that one of several names finds in a registry.

    Args:
        registry (Registry): A registry of mmengine.
        *keys (str): Names, with or without scope.

    Returns:
        type or Callable, optional: None if no name is registered.
    """
    for key in keys:
        try:
            registered_object = registry.get(key)
        except Exception:  # the library is not installed, or its import fails
            continue
        if registered_object is not None:
            return registered_object
    return None


def registered(registry: str, entry: Any, config: Mapping[str, Any]) -> Optional[type]:
    """Return the class that a config entry names.

    Args:
        registry (str): Name of a registry in ``mmengine.registry``, such as
            ``'LOOPS'``.
        entry: The entry. Only a dict with ``type`` names a class.
        config (dict): The whole config, for its ``default_scope``.

    Returns:
        type, optional: None if the entry names no class, or none is registered.
    """
    from mmengine import registry as registries

    name = entry.get("type") if isinstance(entry, Mapping) else None
    if not name:
        return None
    scope = str(entry.get("_scope_") or default_scope(config))
    # In mmengine's order: the registry of the scope first, then its parents.
    keys = (str(name) if "." in str(name) else f"{scope}.{name}", str(name))
    with registries.DefaultScope.overwrite_default_scope(scope):
        cls = lookup(getattr(registries, registry), *keys)
    return cls if isinstance(cls, type) else None


def default_scope(config: Mapping[str, Any]) -> str:
    """Return the registry scope of config entries without a scope."""
    return str(config.get("default_scope") or "mmengine")
