"""Seams of native mmengine: the two helpers of its own in ``runner/loops.py``."""

from __future__ import annotations

from typing import Any, Callable

from valloss_compat._recording.accumulator import EpochAccumulators
from valloss_compat._recording.loss_element import extract_losses
from valloss_compat._recording.native_recorder import NativeRecorder


def update_losses(
    recorder: NativeRecorder, original: Callable[..., Any], outputs: Any, losses: Any
) -> Any:
    """Native ``run_iter`` takes the losses off: for meters of ours, we do.

    A loop that keeps its own account gets the original, but only where there
    is a loss element: it indexes ``outputs`` whatever that is
    (https://github.com/open-mmlab/mmengine/issues/1603).
    """
    if isinstance(losses, EpochAccumulators):
        return recorder.update_losses(outputs, losses), losses
    if extract_losses(outputs)[1] is None:
        return outputs, losses
    return original(outputs, losses)


def parse_losses(
    recorder: NativeRecorder, original: Callable[..., Any], losses: Any, stage: str
) -> Any:
    """Native ``run`` adds the losses to the metrics: ours are in them already."""
    if isinstance(losses, EpochAccumulators):
        return recorder.parse_losses(losses, stage)
    return original(losses, stage)
