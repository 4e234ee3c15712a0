"""Seams of the loops: ``run`` and ``run_iter`` of ValLoop and TestLoop."""

from __future__ import annotations

import inspect
import types
from typing import Any, Callable, Optional, Set, Tuple

from mmengine.runner import BaseLoop, TestLoop, ValLoop

from valloss_compat._patches.subclasses import derives
from valloss_compat._recording.context import evaluators_of
from valloss_compat._recording.recorder import Recorder


def stage_of(loop: Any) -> str:
    """``'test'`` for a TestLoop, else ``'val'``, as in the name of the total.

    A loop of neither kind is of the stage in whose place the runner has it.
    """
    if isinstance(loop, TestLoop):
        return "test"
    if isinstance(loop, ValLoop):
        return "val"
    in_its_place = getattr(getattr(loop, "runner", None), "_test_loop", None) is loop
    return "test" if in_its_place else "val"


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
            # Nothing is asked of other attributes: they may answer anything.
            if isinstance(method, types.FunctionType):
                code = getattr(inspect.unwrap(method), "__code__", None)
                calls.update(getattr(code, "co_names", ()))
    return "train_step" not in calls and not calls.isdisjoint(("val_step", "test_step"))


def built(
    cover: Callable[[Any], None],
    original: Callable[..., Any],
    loop: Any,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """A loop is built: its class is seen to, should it have been made past us."""
    cover(loop)
    return original(loop, *args, **kwargs)


def run(
    recorder: Recorder,
    cover: Callable[[Any], None],
    original: Callable[..., Any],
    loop: Any,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """A loop runs: its losses start afresh, its evaluators are seen to."""
    for evaluator in evaluators_of(loop):
        cover(evaluator)
    shadow = shadow_call_hook(loop, recorder)
    try:
        with recorder.run(loop, stage_of(loop)):
            return original(loop, *args, **kwargs)
    finally:
        if shadow is not None:
            shadow.remove()


def run_iter(
    recorder: Recorder,
    original: Callable[..., Any],
    loop: Any,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """A loop iterates: who asks for the losses of a result, asks for this one.

    The model is not touched: who calls ``val_step`` gets what it returns, so
    that a loop or hook which looks for the loss element itself finds it.
    """
    batch = args[1] if len(args) > 1 else kwargs.get("data_batch")
    iteration = recorder.begin_iteration(loop, stage_of(loop), batch)
    if iteration is None:
        return original(loop, *args, **kwargs)
    shadow = None if iteration.in_run else shadow_call_hook(loop, recorder)
    completed = False
    try:
        returned = original(loop, *args, **kwargs)
        completed = True
        return returned
    finally:
        if shadow is not None:
            shadow.remove()
        recorder.end_iteration(iteration, completed)


def shadow_call_hook(loop: Any, recorder: Recorder) -> Optional[CallHookShadow]:
    """See that hooks get the results of steps without their losses.

    For the length of a ``run``, or of a ``run_iter`` outside of any,
    ``call_hook`` is shadowed on the runner instance.

    Returns:
        CallHookShadow, optional: To be removed; None where one is on already.
    """
    runner = getattr(loop, "runner", None)
    there = getattr(runner, "__dict__", {}).get("call_hook")
    if type(there) is CallHookShadow and not there.removed:
        return None
    return CallHookShadow(runner, recorder)


class CallHookShadow:
    """A runner's ``call_hook`` whose arguments a recorder sees to, until removed.

    Args:
        runner (Runner): The runner. What has no instance namespace or no
            ``call_hook`` is left alone.
        recorder (Recorder): Cleans the outputs of steps, looks at metrics.
    """

    __slots__ = ("_before", "_inner", "_namespace", "_recorder", "_runner")

    def __init__(self, runner: Any, recorder: Recorder) -> None:
        self._namespace = getattr(runner, "__dict__", {})
        # What stood on the instance, as a 0- or 1-tuple.
        self._before: Tuple[Any, ...] = ()
        if "call_hook" in self._namespace:
            self._before = (self._namespace["call_hook"],)
        self._inner = getattr(runner, "call_hook", None)
        self._runner = runner
        self._recorder: Optional[Recorder] = recorder
        if self._inner is not None:
            self._namespace["call_hook"] = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the hooks; who keeps this past its time calls them as before."""
        if self._recorder is not None:
            if "outputs" in kwargs:
                kwargs["outputs"] = self._recorder.clean(kwargs["outputs"])
            elif "metrics" in kwargs and "after_val_epoch" in args:
                self._recorder.look(self._runner, kwargs["metrics"])
        inner = self._inner
        while type(inner) is CallHookShadow and inner.removed:
            inner = self._inner = inner._inner  # no chain where threads overlap
        return inner(*args, **kwargs)  # type: ignore[misc]

    def __getattr__(self, name: str) -> Any:
        """What the method has that it stands for, its ``__name__`` among others."""
        if name == "__signature__":
            return inspect.signature(self._inner)  # type: ignore[arg-type]
        # The slots of a copy that is not filled yet; what makes it look a function.
        if name in (*self.__slots__, "__code__"):
            raise AttributeError(name)
        return getattr(self._inner, name)

    @property
    def removed(self) -> bool:
        """Whether it calls hooks as before."""
        return self._recorder is None

    def remove(self) -> None:
        """Put back what was there, unless somebody replaced the shadow since."""
        self._recorder = None
        if self._namespace.get("call_hook") is not self:
            return
        # Another loop's shadow (of another thread) may have been removed before.
        before = self._before
        while before and isinstance(before[0], CallHookShadow) and before[0].removed:
            before = before[0]._before
        if before:
            self._namespace["call_hook"] = before[0]
        else:
            del self._namespace["call_hook"]
