"""Which class a name in a config finds, as far as its library is here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional


def lookup(registry: Any, *keys: str) -> Any:
    """Look names up in a registry of mmengine.

    Args:
        registry (Registry): Where.
        *keys (str): The names, with their scopes or without.

    Returns:
        type or Callable, optional: What the first of them finds that finds anything.
    """
    for key in keys:
        try:
            registered_object = registry.get(key)
        except Exception:  # the library is not here, or does not import
            continue
        if registered_object is not None:
            return registered_object
    return None


def registered(registry: str, entry: Any, config: Mapping[str, Any]) -> Optional[type]:
    """The class that a config entry names, loaded if it can be.

    Args:
        registry (str): Name of one of mmengine's registries.
        entry: The entry, perhaps a dict with ``type``.
        config (dict): The whole config, for its ``default_scope``.

    Returns:
        type, optional: None where the entry names none, or none is registered.
    """
    from mmengine import registry as registries

    name = entry.get("type") if isinstance(entry, Mapping) else None
    if not name:
        return None
    scope = str(entry.get("_scope_") or default_scope(config))
    # As mmengine builds it: by the scope's registry first, then by its parents.
    keys = (str(name) if "." in str(name) else f"{scope}.{name}", str(name))
    with registries.DefaultScope.overwrite_default_scope(scope):
        cls = lookup(getattr(registries, registry), *keys)
    return cls if isinstance(cls, type) else None


def default_scope(config: Mapping[str, Any]) -> str:
    """The registry scope of the entries of a config that name none."""
    return str(config.get("default_scope") or "mmengine")
