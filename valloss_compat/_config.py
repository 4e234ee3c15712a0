"""Which hooks a config has, and which of them is ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Iterator, List, Tuple

#: The hook that computes losses, under whatever scope or module it is named.
NAME = "ValLossHook"


def kind(entry: Any) -> str:
    """The class name of what a config entry builds, without scope or module."""
    named = entry.get("type", "") if isinstance(entry, Mapping) else ""
    return str(getattr(named, "__name__", named)).rpartition(".")[2]


def hooks_with_paths(config: Any) -> Iterator[Tuple[str, Mapping[str, Any]]]:
    """All hooks that a Runner builds from a config, each with its place in it.

    Args:
        config (dict): A whole config.

    Yields:
        tuple[str, dict]: Those by default first. What is no config of a hook (None,
        where a default one is taken away; an object) is left out.
    """
    defaults = config.get("default_hooks") or {}
    customs = enumerate(config.get("custom_hooks") or ())
    places = [(f"default_hooks.{name}", entry) for name, entry in defaults.items()]
    places += [(f"custom_hooks[{index}]", entry) for index, entry in customs]
    for place, entry in places:
        if isinstance(entry, Mapping):
            yield place, entry


def hooks(config: Any) -> List[Mapping[str, Any]]:
    """All hooks of a config, those by default first."""
    return [entry for _, entry in hooks_with_paths(config)]


def ours(config: Any) -> List[Mapping[str, Any]]:
    """Those hooks of a config that are a ``ValLossHook``."""
    return [entry for entry in hooks(config) if kind(entry) == NAME]
