"""Which class a name in a config finds, as far as its library is here."""

from __future__ import annotations

from typing import Any


def find(registry: Any, *keys: str) -> Any:
    """Look names up in a registry of mmengine.

    Args:
        registry (Registry): Where.
        *keys (str): The names, with their scopes or without.

    Returns:
        type or Callable, optional: What the first of them finds that finds anything.
    """
    for key in keys:
        try:
            found = registry.get(key)
        except Exception:  # the library is not here, or does not import
            continue
        if found is not None:
            return found
    return None
