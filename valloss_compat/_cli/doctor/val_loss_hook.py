"""What ``ValLossHook`` itself would say of a config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Iterator

from valloss_compat import _libraries
from valloss_compat._config import NAME


def cannot_build(entry: Mapping[str, Any]) -> Iterator[str]:
    """What the hook itself says of its arguments."""
    from valloss_compat.hooks import ValLossHook

    ours = ("type", "_scope_", "priority")  # of mmengine's registry and Runner
    try:
        ValLossHook(**{key: entry[key] for key in entry if key not in ours})
    except (TypeError, ValueError) as error:
        yield f"{NAME} cannot be built as it is written: {error}"


def refusals(config: Mapping[str, Any]) -> Iterator[str]:
    """What ``ValLossHook`` would refuse, in its words."""
    for refusal in _libraries.look(config).refusals:
        yield str(refusal)
