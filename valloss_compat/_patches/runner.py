"""Wrapper of the runners' ``call_hook``."""

from __future__ import annotations

from typing import Any, Callable

from valloss_compat._recording.recorder import Recorder


def call_hook(
    _recorder: Recorder,
    _original: Callable[..., Any],
    runner: Any,
    fn_name: str,
    **kwargs: Any,
) -> Any:
    """Hooks must not see the loss element; what they monitor may be missing."""
    if "outputs" in kwargs and fn_name in ("after_val_iter", "after_test_iter"):
        kwargs["outputs"] = _recorder.without_losses(kwargs["outputs"])
    elif fn_name == "after_val_epoch":
        _recorder.check_monitors(runner, kwargs.get("metrics"))
    return _original(runner, fn_name, **kwargs)
