"""Rows of the oracle table for mmdet, mmseg and mmpose."""

from __future__ import annotations

from functools import partial

from downstream import frozen, shipped
from downstream.rows import Row

ROWS = tuple(
    Row(
        row.library,
        row.name,
        partial(shipped.config_of, row),
        frozen.of_config,
        shipped.build,
        partial(shipped.config_of, row, large=True),
    )
    for row in shipped.ALL
)
