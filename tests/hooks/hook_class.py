"""Whose EarlyStoppingHook runs: mmengine's where it has one, else ours."""

from __future__ import annotations

import mmengine.hooks
import pytest

from valloss_compat.hooks import early_stopping_hook

HAS_THE_HOOK = hasattr(mmengine.hooks, "EarlyStoppingHook")
lacks_the_hook = pytest.mark.skipif(
    HAS_THE_HOOK, reason="this mmengine has the hook itself, and theirs runs"
)
has_the_hook = pytest.mark.skipif(
    not HAS_THE_HOOK, reason="EarlyStoppingHook came with mmengine 0.7.0"
)
Ours = early_stopping_hook.EarlyStoppingHook
