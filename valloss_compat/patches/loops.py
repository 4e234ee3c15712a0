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
    """A model's step that hands its result to somebody, until it is removed.

    Args:
        model (nn.Module): The model, wrapped (DDP) or not. What has no
            instance namespace or no such step is left alone.
        name (str): ``'val_step'`` or ``'test_step'``.
        take (Callable): Gets the step's result, returns what the caller of
            the step gets instead.
    """

    __slots__ = ("_before", "_inner", "_model", "_name", "_take")

    def __init__(self, model: Any, name: str, take: Callable[[Any], Any]) -> None:
        namespace = getattr(model, "__dict__", {})
        self._model = model
        self._name = name
        # What stood on the instance, a hook's own wrapper say, as a 0- or 1-tuple.
        self._before: Tuple[Any, ...] = ()
        if name in namespace:
            self._before = (namespace[name],)
        self._inner = getattr(model, name, None)
        self._take: Optional[Callable[[Any], Any]] = take
        if self._inner is not None:
            namespace[name] = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The step itself; who keeps it past its time gets the plain result."""
        result = self._inner(*args, **kwargs)  # type: ignore[misc]
        return result if self._take is None else self._take(result)

    def __reduce__(self) -> Tuple[Any, ...]:
        """In a copy or a pickle of the model stands the step of that model."""
        if self._before:
            return tuple.__getitem__, (self._before, 0)
        return getattr, (self._model, self._name)

    def remove(self) -> None:
        """Put back what was there, unless somebody replaced the shadow since."""
        self._take = None
        namespace = getattr(self._model, "__dict__", {})
        if namespace.get(self._name) is not self:
            return
        if self._before:
            namespace[self._name] = self._before[0]
        else:
            del namespace[self._name]
