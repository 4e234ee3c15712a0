"""Rows of the oracle table for mmdet, mmseg and mmpose."""

from __future__ import annotations

from functools import partial

from downstream import oracle, shipped
from downstream.rows import Row

#: Detectors with a second stage that uses other regions for the loss: it runs twice.
_TWO_STAGES = ("R-CNN",)

ROWS = tuple(
    Row(
        row.library,
        row.name,
        partial(shipped.config_of, row),
        oracle.losses,
        1.5 if any(name in row.name for name in _TWO_STAGES) else 1.3,
        shipped.build,
        partial(shipped.config_of, row, large=True),
    )
    for row in shipped.ALL
)
