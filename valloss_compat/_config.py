"""The hooks of a config, and which of them are a ``ValLossHook``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Iterator, List, Tuple

#: Class name of the hook that computes losses, without scope or module.
VAL_LOSS_HOOK = "ValLossHook"


def class_name(entry: Any) -> str:
    """Return the class name in a config entry, without scope or module."""
    entry_type = entry.get("type", "") if isinstance(entry, Mapping) else ""
    return str(getattr(entry_type, "__name__", entry_type)).rpartition(".")[2]


def hooks_with_paths(config: Any) -> Iterator[Tuple[str, Mapping[str, Any]]]:
    """Iterate over the hooks that a Runner builds from a config.

    Args:
        config (dict): A whole config.

    Yields:
        tuple[str, dict]: Path in the config, such as ``'custom_hooks[0]'``, and entry.
        Default hooks come first. Entries that are no dict are skipped: None, which
        removes a default hook, and hook objects.
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
