"""Wrapper of the registries: a config may name the hooks of this package.

Nothing is registered: a hook of such a name that is registered, before or after,
is used. Only a registry of hooks that finds none finds the one of this package.
"""

from __future__ import annotations

import importlib
from typing import Any, Callable

from mmengine.registry import HOOKS

#: Name -> module of its class, imported when a config names it. mmengine has an
#: EarlyStoppingHook of its own from 0.7.0 on, and finds that first.
_MODULES = {
    "EarlyStoppingHook": "valloss_compat.hooks.early_stopping_hook",
    "ValLossHook": "valloss_compat.hooks.val_loss_hook",
}


def get(
    recorder: Any,
    original: Callable[..., Any],
    registry: Any,
    key: Any,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Find a hook of this package where no hook of that name is registered."""
    found = original(registry, key, *args, **kwargs)
    if found is None and isinstance(key, str):
        scope, _, name = key.rpartition(".")
        # mmengine asks the registries of other scopes in turn.
        is_ours = scope in ("", "mmengine", registry.scope)
        if is_ours and name in _MODULES and _root_of(registry) is HOOKS:
            # In the scope of a library, mmengine does not search its own hooks.
            native = original(HOOKS, name)
            return native or getattr(importlib.import_module(_MODULES[name]), name)
    return found


def _root_of(registry: Any) -> Any:
    while registry.parent is not None:
        registry = registry.parent
    return registry
