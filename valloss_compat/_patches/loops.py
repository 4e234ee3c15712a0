"""Wrappers of the loops: ``run``, ``__init__`` and, in parity mode, ``run_iter``."""

from __future__ import annotations

import inspect
import types
from typing import Any, Callable, Set

from mmengine.runner import BaseLoop, TestLoop, ValLoop

from valloss_compat._patches.subclasses import derives, ensure_patched
from valloss_compat._recording.context import evaluators_of
from valloss_compat._recording.parity_recorder import ParityRecorder
from valloss_compat._recording.recorder import Recorder


def run(
    _recorder: Recorder,
    _original: Callable[..., Any],
    loop: Any,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Start an epoch: losses of an earlier one must not get into its means."""
    for evaluator in evaluators_of(loop):
        ensure_patched(type(evaluator))
    with _recorder.run(loop, stage_of(loop)):
        return _original(loop, *args, **kwargs)


def init(
    _recorder: Recorder,
    _original: Callable[..., Any],
    loop: Any,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Patch the loop's class if it was created without our ``__init_subclass__``."""
    ensure_patched(type(loop))
    return _original(loop, *args, **kwargs)


def run_iter(
    _recorder: ParityRecorder,
    _original: Callable[..., Any],
    loop: Any,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Extract within this call alone, as native mmengine does in its ``run_iter``."""
    with _recorder.iteration(loop, stage_of(loop)):
        return _original(loop, *args, **kwargs)


def stage_of(loop: Any) -> str:
    """``'test'`` for a TestLoop, else ``'val'``, as in the name of the total.

    A loop of neither kind has the stage of the place that the runner has it in.
    """
    if isinstance(loop, TestLoop):
        return "test"
    if isinstance(loop, ValLoop):
        return "val"
    is_test_loop = getattr(getattr(loop, "runner", None), "_test_loop", None) is loop
    return "test" if is_test_loop else "val"


def validates(cls: Any) -> bool:
    """Tell whether a loop that is neither a ValLoop nor a TestLoop validates.

    Args:
        cls (type): A subclass of ``BaseLoop``, as mmagic's ``MultiValLoop``.

    Returns:
        bool: True if its methods call ``val_step`` or ``test_step``, and none
        of them ``train_step``.
    """
    if derives(cls, ValLoop) or derives(cls, TestLoop):
        return False
    calls: Set[str] = set()
    for base in cls.__mro__:
        for method in vars(base).values() if base is not BaseLoop else ():
            method = getattr(method, "__func__", method)
            # Other attributes are not asked: they may answer anything.
            if isinstance(method, types.FunctionType):
                code = getattr(inspect.unwrap(method), "__code__", None)
                calls.update(getattr(code, "co_names", ()))
    return "train_step" not in calls and not calls.isdisjoint(("val_step", "test_step"))
