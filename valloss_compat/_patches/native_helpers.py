"""Wrappers of the helpers of native mmengine in ``runner/loops.py``.

Before 0.10.5 there are none, and the wrappers call those of ``parity_recorder``:
loops that were written for the helpers import them on any release.
"""

from __future__ import annotations

from typing import Any, Callable

from valloss_compat._recording.accumulator import means_with_total
from valloss_compat._recording.epoch import EpochLosses
from valloss_compat._recording.loss_element import extract_losses
from valloss_compat._recording.recorder import Recorder


def update_losses(
    _recorder: Recorder, _original: Callable[..., Any], outputs: Any, losses: Any
) -> Any:
    """Accumulate where the loop's ``val_loss`` is one of this package.

    A loop with a dict of its own gets the original, but only where there is a loss
    element: it indexes ``outputs`` whatever that is
    (https://github.com/open-mmlab/mmengine/issues/1603).
    """
    if isinstance(losses, EpochLosses):
        return _recorder.accumulate(outputs, losses), losses
    if extract_losses(outputs)[1] is None:
        return outputs, losses
    return _original(outputs, losses)


def parse_losses(
    _recorder: Recorder, _original: Callable[..., Any], losses: Any, stage: str
) -> Any:
    """Report nothing twice: the losses may be in the metrics of the evaluator."""
    if isinstance(losses, EpochLosses):
        return {} if losses.reported else means_with_total(losses.sums(), stage)
    return _original(losses, stage)
