"""Seams of the evaluators: ``process`` and ``evaluate``."""

from __future__ import annotations

from typing import Any, Callable

from valloss_compat._recording.recorder import Recorder


def process(
    recorder: Recorder,
    original: Callable[..., Any],
    evaluator: Any,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """An evaluator gets a result: its losses are recorded, its metrics see the rest."""
    outermost = recorder.enter(evaluator)
    try:
        if outermost:
            batch = kwargs.get("data_batch")
            if args:
                if len(args) > 1:
                    batch = args[1]
                args = (recorder.process(evaluator, args[0], batch), *args[1:])
            elif "data_samples" in kwargs:
                samples = recorder.process(evaluator, kwargs["data_samples"], batch)
                kwargs["data_samples"] = samples
        return original(evaluator, *args, **kwargs)
    finally:
        recorder.leave()


def evaluate(
    recorder: Recorder,
    original: Callable[..., Any],
    evaluator: Any,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """An evaluator computes its metrics: the losses of the epoch come with them."""
    outermost = recorder.enter(evaluator)
    try:
        metrics = original(evaluator, *args, **kwargs)
        return recorder.evaluate(evaluator, metrics) if outermost else metrics
    finally:
        recorder.leave()
