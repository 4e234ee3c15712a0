"""The early stopping hook of old releases, and marks that depend on the release."""

from __future__ import annotations

import mmengine.hooks
import pytest

from valloss_compat.hooks import early_stopping_hook

HAS_NATIVE_HOOK = hasattr(mmengine.hooks, "EarlyStoppingHook")
lacks_native_hook = pytest.mark.skipif(
    HAS_NATIVE_HOOK, reason="this mmengine has an EarlyStoppingHook, which is used"
)
has_native_hook = pytest.mark.skipif(
    not HAS_NATIVE_HOOK, reason="EarlyStoppingHook came with mmengine 0.7.0"
)
BackportedHook = early_stopping_hook.EarlyStoppingHook
