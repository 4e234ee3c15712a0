"""Descriptions of values as JSON: short, exact, equal on every release."""

from __future__ import annotations

import math
from typing import Any, Mapping

import numpy as np
import torch
from mmengine.structures import BaseDataElement


def describe(value: Any) -> str:
    """Describe type, length and contents of an argument of hooks or metrics.

    Names are sorted: before 0.7.0 a data element kept its fields in a set.
    Iterators are not consumed.
    """
    kind = type(value).__name__
    if isinstance(value, torch.Tensor):
        dtype = str(value.dtype).replace("torch.", "")
        return f"{dtype} {value.tolist()}"
    if isinstance(value, BaseDataElement):
        fields = dict(value.items())
        meta = dict(value.metainfo_items())
        return f"{kind}({_named(fields)}; meta: {_named(meta)})"
    if isinstance(value, dict):
        return f"{kind}({_named(value)})"
    if isinstance(value, (list, tuple)):
        return f"{kind}({', '.join(describe(item) for item in value)})"
    if isinstance(value, np.generic):
        return f"{kind} {value.item()!r}"
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value)
    return kind


def number(value: Any) -> int | float | str:
    """Return a metric's value; NaN and infinity, which JSON lacks, as strings."""
    if isinstance(value, int):
        return value
    as_float = float(value)
    return as_float if math.isfinite(as_float) else str(as_float)


def pairs(metrics: Mapping[str, Any]) -> list[list[Any]]:
    """Return metrics as (name, value) pairs: their order is compared too."""
    return [[name, number(value)] for name, value in metrics.items()]


def _named(items: Mapping[Any, Any]) -> str:
    return ", ".join(f"{name}={describe(items[name])}" for name in sorted(items))
