"""Which hooks a config has, and which of them is ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Iterator, List, Tuple

#: The hook that computes losses, under whatever scope or module it is named.
VAL_LOSS_HOOK = "ValLossHook"


def class_name(entry: Any) -> str:
    """The class name of what a config entry builds, without scope or module."""
    entry_type = entry.get("type", "") if isinstance(entry, Mapping) else ""
    return str(getattr(entry_type, "__name__", entry_type)).rpartition(".")[2]


def hooks_with_paths(config: Any) -> Iterator[Tuple[str, Mapping[str, Any]]]:
    """All hooks that a Runner builds from a config, each with its place in it.

    Args:
        config (dict): A whole config.

    Yields:
        tuple[str, dict]: Those by default first. What is no config of a hook (None,
        where a default one is taken away; an object) is left out.
    """
    defaults = config.get("default_hooks") or {}
    custom = enumerate(config.get("custom_hooks") or ())
    entries = [(f"default_hooks.{name}", entry) for name, entry in defaults.items()]
    entries += [(f"custom_hooks[{index}]", entry) for index, entry in custom]
    for path, entry in entries:
        if isinstance(entry, Mapping):
            yield path, entry


def hooks(config: Any) -> List[Mapping[str, Any]]:
    """All hooks of a config, those by default first."""
    return [entry for _, entry in hooks_with_paths(config)]


def val_loss_hooks(config: Any) -> List[Mapping[str, Any]]:
    """Those hooks of a config that are a ``ValLossHook``."""
    return [entry for entry in hooks(config) if class_name(entry) == VAL_LOSS_HOOK]
