"""What a config can name: hooks."""

try:
    from mmengine.hooks import EarlyStoppingHook
except ImportError:  # it came with mmengine 0.7.0
    from valloss_compat.hooks.early_stopping import EarlyStoppingHook

__all__ = ["EarlyStoppingHook"]
