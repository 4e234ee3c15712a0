"""Seams of the evaluators: ``process`` and ``evaluate``."""

from __future__ import annotations

from typing import Any, Callable

from valloss_compat.recorder import Recorder


def process(
    recorder: Recorder,
    original: Callable[..., Any],
    evaluator: Any,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """An evaluator gets a result: its losses are recorded, its metrics see the rest."""
    with recorder.inside(evaluator) as outermost:
        if outermost:
            if args:
                args = (recorder.process(evaluator, args[0]), *args[1:])
            elif "data_samples" in kwargs:
                samples = recorder.process(evaluator, kwargs["data_samples"])
                kwargs["data_samples"] = samples
        return original(evaluator, *args, **kwargs)


def evaluate(
    recorder: Recorder,
    original: Callable[..., Any],
    evaluator: Any,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """An evaluator computes its metrics: the losses of the epoch come with them."""
    with recorder.inside(evaluator) as outermost:
        metrics = original(evaluator, *args, **kwargs)
        return recorder.evaluate(evaluator, metrics) if outermost else metrics
