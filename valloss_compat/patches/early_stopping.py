"""Seam of the registries: a config may name ``EarlyStoppingHook``.

Nothing is registered: who registers a hook of that name, before or after, has
it. Only where a registry of hooks finds none, ours is what it finds.
"""

from __future__ import annotations

from typing import Any, Callable

from mmengine.registry import HOOKS

from valloss_compat.hooks import EarlyStoppingHook

_NAME = EarlyStoppingHook.__name__


def get(
    original: Callable[..., Any], registry: Any, key: Any, *args: Any, **kwargs: Any
) -> Any:
    """A registry looks for a name."""
    found = original(registry, key, *args, **kwargs)
    if found is None and key in (_NAME, f"mmengine.{_NAME}"):
        root = registry
        while root.parent is not None:
            root = root.parent
        if root is HOOKS:
            return EarlyStoppingHook
    return found
