"""Hooks that a config can name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from valloss_compat.hooks.config_check import check_config
    from valloss_compat.hooks.early_stopping_hook import EarlyStoppingHook
    from valloss_compat.hooks.val_loss_hook import ValLossHook
else:
    try:
        from mmengine.hooks import EarlyStoppingHook
    except ImportError:  # added in mmengine 0.7.0
        from valloss_compat.hooks.early_stopping_hook import EarlyStoppingHook

    def __getattr__(name: str) -> Any:
        """Import the rest on first use, because most trainings do not use it."""
        if name == "ValLossHook":
            from valloss_compat.hooks.val_loss_hook import ValLossHook

            return ValLossHook
        if name == "check_config":
            from valloss_compat.hooks.config_check import check_config

            return check_config
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["EarlyStoppingHook", "ValLossHook", "check_config"]
