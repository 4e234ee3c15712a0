"""What a loss element is, and how it is extract_losses off what ``val_step`` returns.

Pure functions: nothing is patched here and no state is kept. The convention is
that of mmengine pull request 1503 (https://github.com/open-mmlab/mmengine/pull/1503),
released with 0.10.5.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any, Optional, Tuple

from mmengine.structures import BaseDataElement

#: Loss name (str) -> value, as the model gave it.
Losses = typing.Mapping[Any, Any]

_ONLY_LOSS = {"loss"}
_ALL_BUT_LAST = slice(
    None, -1
)  # made once: a twentieth of the time of extract_losses()
_NOT_TOLD = ("loss", "and more")
_RIGHT_FORM = "BaseDataElement(loss={'loss_cls': tensor, ...})"


def is_loss_element(item: Any) -> bool:
    """Tell whether an item is a loss element.

    Args:
        item: Any object, usually the last item of a ``val_step`` result.

    Returns:
        bool: True if ``item`` is a ``BaseDataElement`` (or a subclass) whose
        only data field is ``loss``. Metainfo fields do not matter.
    """
    kind = type(item)
    if kind is not BaseDataElement:
        if not isinstance(item, BaseDataElement):
            return False
        if kind.keys is not BaseDataElement.keys:
            return bool(item.keys() == ["loss"])
    # What keys() is made of, looked at first: keys() itself takes a microsecond.
    fields = getattr(item, "_data_fields", _NOT_TOLD)
    if "loss" not in fields:
        return False
    if kind is BaseDataElement and len(fields) == 1:
        return True  # it has no property that keys() would leave out
    return bool(item.keys() == ["loss"])


def extract_losses(result: Any) -> Tuple[Any, Optional[Losses]]:
    """Split the loss element off what a model's ``val_step`` returned.

    Args:
        result: What ``val_step`` or ``test_step`` returned. Never changed.

    Returns:
        tuple: ``(result, losses)``. Where the last item of a list or tuple is
        a loss element, ``result`` is a new sequence without it and ``losses``
        the mapping of named losses. Anything else (dict, tensor, ``None``,
        generator, empty list, an element with more fields) comes back as the
        very same object with ``losses=None``.

    Raises:
        TypeError: If there is a loss element whose ``loss`` is no mapping.
    """
    # Most results are this, each time: known at a glance, without a call.
    if type(result) is list and result:
        last = result[-1]
        if type(last) is BaseDataElement:
            try:
                if last._data_fields != _ONLY_LOSS:
                    return result, None
                losses = last.loss
                if type(losses) is dict:
                    return result[_ALL_BUT_LAST], losses
            except AttributeError:  # one that was never initialised
                return result, None
    if not isinstance(result, (list, tuple)) or not result:
        return result, None
    last = result[-1]
    if not is_loss_element(last):
        return result, None
    losses = last.loss
    if type(losses) is not dict and not isinstance(losses, Mapping):
        raise TypeError(
            "the last item of the val_step result is a loss element whose `loss` "
            f"is of type {type(losses).__name__}, but a dict of named losses is "
            f"expected: append {_RIGHT_FORM}"
        )
    return result[:-1], losses


def extract_losses_like_native(result: Any) -> Tuple[Any, Any]:
    """Split as mmengine 0.10.5 to 0.10.7 do, errors included.

    Args:
        result: What ``val_step`` or ``test_step`` returned.

    Returns:
        tuple: ``(result, losses)`` as of :func:`extract_losses`, but ``losses`` is
        handed on whatever its type.

    Raises:
        KeyError, TypeError, IndexError: Where ``result`` cannot be indexed
            with ``-1`` (a dict, ``None``, a generator, an empty sequence),
            as reported in https://github.com/open-mmlab/mmengine/issues/1603.
    """
    last = result[-1]
    if not is_loss_element(last):
        return result, None
    return result[:-1], last.loss
