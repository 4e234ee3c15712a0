"""Wrappers of the evaluators: ``process`` and ``evaluate``."""

from __future__ import annotations

from typing import Any, Callable

from valloss_compat._recording.recorder import Recorder


def process(
    _recorder: Recorder,
    _original: Callable[..., Any],
    evaluator: Any,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Accumulate the losses of a result: metrics must not see the loss element."""
    batch = kwargs.get("data_batch")
    if "data_samples" in kwargs:
        samples = _recorder.process(evaluator, kwargs["data_samples"], batch)
        kwargs["data_samples"] = samples
    elif args:
        batch = args[1] if len(args) > 1 else batch
        args = (_recorder.process(evaluator, args[0], batch), *args[1:])
    return _original(evaluator, *args, **kwargs)


def evaluate(
    _recorder: Recorder,
    _original: Callable[..., Any],
    evaluator: Any,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Add the mean losses to the metrics, once for nested ``super()`` calls."""
    with _recorder.evaluation(evaluator) as outermost:
        metrics = _original(evaluator, *args, **kwargs)
    return _recorder.report(evaluator, metrics) if outermost else metrics
