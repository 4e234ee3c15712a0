"""Hooks that a config can name."""

from __future__ import annotations

from typing import Any

try:
    from mmengine.hooks import EarlyStoppingHook
except ImportError:  # added in mmengine 0.7.0
    from valloss_compat.hooks.early_stopping_hook import EarlyStoppingHook

__all__ = ["EarlyStoppingHook", "ValLossHook"]


def __getattr__(name: str) -> Any:
    """Import ``ValLossHook`` on first use, because most trainings do not use it."""
    if name == "ValLossHook":
        from valloss_compat.hooks.val_loss_hook import ValLossHook

        return ValLossHook
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
