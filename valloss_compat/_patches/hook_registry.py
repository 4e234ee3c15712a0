"""Wrapper of ``Registry.get``: configs can name the hooks of this package.

The hooks are not registered. The wrapper adds them only where a registry finds no
class, so a registered hook of the same name has priority.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mmengine.registry import HOOKS

from valloss_compat._patches.patch import Args, Kwargs, Original

#: From 0.7.0 on, mmengine has an EarlyStoppingHook, which has priority.
_NAMES = ("EarlyStoppingHook", "ValLossHook")


def get(recorder: Any, original: Original, args: Args, kwargs: Kwargs) -> Any:
    """Return a hook of this package if no class of that name is registered."""
    found = original(*args, **kwargs)
    registry, key = (*args, *kwargs.values())
    if found is None and isinstance(key, str):
        scope, _, name = key.rpartition(".")
        # mmengine passes a key of another scope on to the registry of that scope.
        in_scope = scope in ("", "mmengine", registry.scope)
        if in_scope and name in _NAMES and _root_of(registry) is HOOKS:
            # mmengine does not search its own hooks for a key with another scope.
            native = original(HOOKS, name)
            # Imported when a config names a hook: most trainings use none.
            return native or getattr(import_module("valloss_compat.hooks"), name)
    return found


def _root_of(registry: Any) -> Any:
    while registry.parent is not None:
        registry = registry.parent
    return registry
