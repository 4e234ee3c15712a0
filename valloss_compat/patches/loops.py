"""Seams of the loops: ``run`` and ``run_iter`` of ValLoop and TestLoop."""

from __future__ import annotations

from typing import Any, Callable, Tuple

from mmengine.runner import TestLoop

from valloss_compat.recorder import Recorder


def stage_of(loop: Any) -> str:
    """``'test'`` for a TestLoop, else ``'val'``, as in the name of the total."""
    return "test" if isinstance(loop, TestLoop) else "val"


def run(
    recorder: Recorder,
    original: Callable[..., Any],
    loop: Any,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """A loop runs: its losses start afresh."""
    with recorder.run(loop, stage_of(loop)):
        return original(loop, *args, **kwargs)


def run_iter(
    recorder: Recorder,
    original: Callable[..., Any],
    loop: Any,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """A loop iterates: what the model's step returns loses its loss element.

    For the length of the call ``val_step`` (``test_step`` in a TestLoop) is
    shadowed on the model instance, in ``vars(model)`` and not by way of
    ``nn.Module.__setattr__``, so that evaluator and hooks see clean results.
    """
    stage = stage_of(loop)
    iteration = recorder.begin_iteration(loop, stage)
    if iteration is None:
        return original(loop, *args, **kwargs)

    def take(result: Any) -> Any:
        return recorder.take(iteration, result)

    model = getattr(getattr(loop, "runner", None), "model", None)
    shadow = StepShadow(model, f"{stage}_step", take)
    completed = False
    try:
        returned = original(loop, *args, **kwargs)
        completed = True
        return returned
    finally:
        shadow.remove()
        recorder.end_iteration(iteration, completed)


class StepShadow:
    """Hands what a model's step returns to somebody, until it is removed.

    Args:
        model (nn.Module): The model, wrapped (DDP) or not. What has no
            instance namespace or no such step is left alone.
        name (str): ``'val_step'`` or ``'test_step'``.
        take (Callable): Gets the step's result, returns what the caller of
            the step gets instead.
    """

    __slots__ = ("_before", "_name", "_namespace", "_step")

    def __init__(self, model: Any, name: str, take: Callable[[Any], Any]) -> None:
        self._namespace = getattr(model, "__dict__", {})
        self._name = name
        # What stood on the instance, a hook's own wrapper say, as a 0- or 1-tuple.
        self._before: Tuple[Any, ...] = ()
        if name in self._namespace:
            self._before = (self._namespace[name],)
        inner = getattr(model, name, None)

        def step(*args: Any, **kwargs: Any) -> Any:
            result = inner(*args, **kwargs)  # type: ignore[misc]
            # Who kept this function past its time gets the plain result.
            return result if self._step is None else take(result)

        self._step: Any = None
        if inner is not None:
            self._step = self._namespace[name] = step

    def remove(self) -> None:
        """Put back what was there, unless somebody replaced the shadow since."""
        step, self._step = self._step, None
        if step is None or self._namespace.get(self._name) is not step:
            return
        if self._before:
            self._namespace[self._name] = self._before[0]
        else:
            del self._namespace[self._name]
