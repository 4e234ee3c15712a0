"""What a config finds under the name ``ValLossHook`` while the shim is off.

A config that trains with the hook has to train without the shim as well, to
compare the two. Under ``VALLOSS_COMPAT=off`` nothing is patched, so that the
seam of the registries is not there to find the hook: this one entry is
registered in its place, where nobody has that name and mmengine is imported
already, as it is whenever a config imports this package.
"""

from __future__ import annotations

import sys
from typing import Any

_NAME = "ValLossHook"


class _StandIn:
    """Builds the hook, which is imported no earlier: its room needs all of mmengine."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """The hook itself, which says that it does nothing."""
        from valloss_compat.hooks.val_loss import ValLossHook

        return ValLossHook(*args, **kwargs)


_StandIn.__name__ = _NAME  # mmengine logs it


def register() -> None:
    """Register it where it can be done without importing anything of mmengine."""
    registry = sys.modules.get("mmengine.registry")
    hooks = getattr(registry, "HOOKS", None)
    if hooks is not None and hooks.get(_NAME) is None:
        hooks.register_module(name=_NAME, module=_StandIn)
