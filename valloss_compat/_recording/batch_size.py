"""The number of samples in a batch, for ``weighting='sample'``.

The first of these sources that gives a number is used. The number is never
guessed.

1. The loss element: ``BaseDataElement(loss=..., metainfo=dict(batch_size=n))``.
2. The batch of the dataloader, if all its fields that have a size agree. The
   fields are the arguments of ``forward``: the values of a dict, the items of a
   list or tuple, or a single tensor. The size of a tensor or array is its first
   dimension, the size of a list or tuple is its length, and a dict has the
   sizes of its values. Nested lists (views of test-time augmentation), strings,
   numbers and single data elements have no size. The items of a list of dicts
   are samples. If the items of a list can be samples as well as fields, the
   list is not used.
3. The result of ``val_step`` without its loss element, if it is a list or tuple
   of data elements, one for each sample.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any, Set

from mmengine.structures import BaseDataElement
from mmengine.utils import is_seq_of

KEY = "batch_size"


def batch_size_of(element: Any, data_batch: Any, clean: Any) -> int:
    """Find the number of samples in a batch.

    From the loss element, the batch of the dataloader (None if it is unknown) and the
    result of ``val_step`` without the loss element.

    Raises:
        TypeError: If ``batch_size`` of the loss element is no positive int.
        ValueError: If no source gives the number.
    """
    size = element.metainfo.get(KEY)
    if size is not None:
        if not isinstance(size, numbers.Integral) or size < 1:
            raise TypeError(
                f"the loss element's metainfo {KEY!r} is {size!r}, but a positive "
                "int is expected, the number of samples in this batch"
            )
        return int(size)
    sizes = _sizes_of_fields(data_batch)
    if len(sizes) != 1 and clean and is_seq_of(clean, BaseDataElement):
        sizes = {len(clean)}
    if len(sizes) == 1:
        return sizes.pop()
    raise ValueError(
        "weighting='sample' needs the number of samples in each batch, but neither "
        f"the batch ({_describe(data_batch)}) nor the result ({_describe(clean)}) "
        f"has it. Fix: append BaseDataElement(loss=..., metainfo=dict({KEY}=n)), or "
        "choose weighting='batch'"
    )


def _sizes_of_fields(batch: Any) -> Set[int]:
    """Return the different sizes of the fields of a batch."""
    fields: Any = [batch]
    if isinstance(batch, Mapping):
        fields = batch.values()
    elif isinstance(batch, (list, tuple)):
        if batch and all(isinstance(item, Mapping) for item in batch):
            return {len(batch)}  # the items are samples
        # Tensors of one shape can be single images, and tuples can be pairs of an
        # image and its label.
        may_be_pairs = all(isinstance(item, (list, tuple)) for item in batch)
        if may_be_pairs or len({getattr(i, "shape", id(i)) for i in batch}) == 1:
            return set()
        fields = batch
    return {size for field in fields for size in _sizes(field)} - {0}


def _sizes(field: Any) -> Set[int]:
    if isinstance(field, Mapping):
        return _sizes_of_fields(field)
    if isinstance(field, (list, tuple)):
        nested = any(isinstance(item, (list, tuple)) for item in field)
        return set() if nested else {len(field)}
    shape = getattr(field, "shape", ())  # of a tensor or a numpy array
    return {int(shape[0])} if isinstance(shape, tuple) and shape else set()


def _describe(value: Any, fields_too: bool = True) -> str:
    """Describe types and sizes of a value, for the error message."""
    name = type(value).__name__
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return f"{name} of shape {tuple(shape)}"
    if not isinstance(value, (list, tuple, Mapping)):
        return name
    if not fields_too:
        return f"{name} of {len(value)}"
    fields = [_describe(item, fields_too=False) for item in value]
    if isinstance(value, Mapping):
        fields = [f"{key}: {_describe(value[key], fields_too=False)}" for key in value]
    shown = ", ".join(fields[:4]) + (", ..." if len(fields) > 4 else "")
    return f"{name} of {shown or 'nothing'}"
