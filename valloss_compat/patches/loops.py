"""Seams of the loops: ``run`` and ``run_iter`` of ValLoop and TestLoop."""

from __future__ import annotations

from typing import Any, Callable, Optional, Tuple

from mmengine.runner import TestLoop

from valloss_compat.recorder import Recorder


def stage_of(loop: Any) -> str:
    """``'test'`` for a TestLoop, else ``'val'``, as in the name of the total."""
    return "test" if isinstance(loop, TestLoop) else "val"


def run(
    recorder: Recorder,
    cover: Callable[[Any], None],
    original: Callable[..., Any],
    loop: Any,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """A loop runs: its losses start afresh, its evaluator is seen to."""
    cover(getattr(loop, "evaluator", None))
    with recorder.run(loop, stage_of(loop)):
        return original(loop, *args, **kwargs)


def run_iter(
    recorder: Recorder,
    original: Callable[..., Any],
    loop: Any,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """A loop iterates: hooks are to see the step's result without its losses.

    For the length of the call ``call_hook`` is shadowed on the runner instance.
    The model is not touched: who calls ``val_step`` gets what it returns, so
    that a loop or hook which looks for the loss element itself finds it.
    """
    runner = getattr(loop, "runner", None)
    iteration = recorder.begin_iteration(loop, stage_of(loop))
    if iteration is None:
        return original(loop, *args, **kwargs)

    def clean(outputs: Any) -> Any:
        return recorder.clean(iteration, outputs)

    shadow = CallHookShadow(runner, clean)
    completed = False
    try:
        returned = original(loop, *args, **kwargs)
        completed = True
        return returned
    finally:
        shadow.remove()
        recorder.end_iteration(iteration, completed)


class CallHookShadow:
    """A runner's ``call_hook`` that cleans ``outputs``, until it is removed.

    Args:
        runner (Runner): The runner. What has no instance namespace or no
            ``call_hook`` is left alone.
        clean (Callable): Gets the outputs of a step, returns what hooks get.
    """

    __slots__ = ("_before", "_clean", "_inner", "_namespace")

    def __init__(self, runner: Any, clean: Callable[[Any], Any]) -> None:
        self._namespace = getattr(runner, "__dict__", {})
        # What stood on the instance, as a 0- or 1-tuple.
        self._before: Tuple[Any, ...] = ()
        if "call_hook" in self._namespace:
            self._before = (self._namespace["call_hook"],)
        self._inner = getattr(runner, "call_hook", None)
        self._clean: Optional[Callable[[Any], Any]] = clean
        if self._inner is not None:
            self._namespace["call_hook"] = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the hooks; who keeps this past its time calls them as before."""
        if self._clean is not None and "outputs" in kwargs:
            kwargs["outputs"] = self._clean(kwargs["outputs"])
        while isinstance(self._inner, CallHookShadow) and self._inner.removed:
            self._inner = self._inner._inner  # no chain where threads overlap
        return self._inner(*args, **kwargs)  # type: ignore[misc]

    @property
    def removed(self) -> bool:
        """Whether it calls hooks as before."""
        return self._clean is None

    def remove(self) -> None:
        """Put back what was there, unless somebody replaced the shadow since."""
        self._clean = None
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
