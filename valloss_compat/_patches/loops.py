"""Wrappers of the loops: ``run``, ``__init__`` and, in parity mode, ``run_iter``."""

from __future__ import annotations

import inspect
import types
from typing import Any, Set

from mmengine.runner import BaseLoop, TestLoop, ValLoop

from valloss_compat._patches.patch import Args, Kwargs, Original
from valloss_compat._patches.subclasses import ensure_patched
from valloss_compat._recording.parity_recorder import ParityRecorder
from valloss_compat._recording.recorder import Recorder, evaluators_of


def run(recorder: Recorder, original: Original, args: Args, kwargs: Kwargs) -> Any:
    """Start an epoch: losses of an earlier one must not get into its means."""
    for evaluator in evaluators_of(args[0]):
        ensure_patched(type(evaluator))
    with recorder.run(args[0], stage_of(args[0])):
        try:
            return original(*args, **kwargs)
        except BaseException:  # an interrupt, too: mmengine calls no hook then
            for hook in getattr(getattr(args[0], "runner", None), "hooks", ()):
                if hasattr(hook, "after_failed_run"):  # ValLossHook
                    hook.after_failed_run()
            raise


def init(recorder: Recorder, original: Original, args: Args, kwargs: Kwargs) -> Any:
    """Patch the loop's class if it was created without our ``__init_subclass__``."""
    ensure_patched(type(args[0]))
    return original(*args, **kwargs)


def run_iter(
    recorder: ParityRecorder, original: Original, args: Args, kwargs: Kwargs
) -> Any:
    """Extract within this call alone, as native mmengine does in its ``run_iter``."""
    with recorder.iteration(args[0], stage_of(args[0])):
        return original(*args, **kwargs)


def stage_of(loop: Any) -> str:
    """``'test'`` for a TestLoop, else ``'val'``, as in the name of the total.

    A loop of neither kind has the stage of the place that the runner has it in.
    """
    if isinstance(loop, (ValLoop, TestLoop)):
        return "test" if isinstance(loop, TestLoop) else "val"
    is_test_loop = getattr(getattr(loop, "runner", None), "_test_loop", None) is loop
    return "test" if is_test_loop else "val"


def validates(cls: Any) -> bool:
    """Whether a loop of another kind validates, as mmagic's ``MultiValLoop`` does.

    It is neither a ValLoop nor a TestLoop, and its methods call ``val_step`` or
    ``test_step``, and none of them ``train_step``.
    """
    if ValLoop in cls.__mro__ or TestLoop in cls.__mro__:
        return False
    calls: Set[str] = set()
    for base in cls.__mro__:
        # A list, as another thread may patch the class meanwhile.
        for method in list(vars(base).values()) if base is not BaseLoop else ():
            method = getattr(method, "__func__", method)
            # Other attributes are not asked: they may answer anything.
            if isinstance(method, types.FunctionType):
                code = getattr(inspect.unwrap(method), "__code__", None)
                calls.update(getattr(code, "co_names", ()))
    return "train_step" not in calls and not calls.isdisjoint(("val_step", "test_step"))
