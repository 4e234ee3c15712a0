"""Seam of the registries: a config may name the hooks of this package.

Nothing is registered: who registers a hook of such a name, before or after,
has it. Only where a registry of hooks finds none, ours is what it finds.
"""

from __future__ import annotations

import importlib
from typing import Any, Callable

from mmengine.registry import HOOKS

#: Name -> the room of its class, imported when a config asks for it. mmengine
#: has an EarlyStoppingHook of its own from 0.7.0 on, and finds that first.
_ROOMS = {
    "EarlyStoppingHook": "valloss_compat.hooks.early_stopping_hook",
    "ValLossHook": "valloss_compat.hooks.val_loss_hook",
}


def get(
    original: Callable[..., Any], registry: Any, key: Any, *args: Any, **kwargs: Any
) -> Any:
    """A registry looks for a name."""
    found = original(registry, key, *args, **kwargs)
    if found is None and isinstance(key, str):
        scope, _, name = key.rpartition(".")
        # Other scopes are other registries', which mmengine asks in turn.
        known = scope in ("", "mmengine", registry.scope)
        if known and name in _ROOMS and _root_of(registry) is HOOKS:
            # By a library's own scope mmengine looks past the hooks of its own.
            theirs = original(HOOKS, name)
            return theirs or getattr(importlib.import_module(_ROOMS[name]), name)
    return found


def _root_of(registry: Any) -> Any:
    while registry.parent is not None:
        registry = registry.parent
    return registry
