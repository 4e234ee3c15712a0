"""What a loss element is, and how it is extracted from what ``val_step`` returns.

Pure functions: nothing is patched here and no state is kept. The convention is
that of mmengine pull request 1503 (https://github.com/open-mmlab/mmengine/pull/1503),
released with 0.10.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Tuple

from mmengine.structures import BaseDataElement

_RIGHT_FORM = "BaseDataElement(loss={'loss_cls': tensor, ...})"


def is_loss_element(item: Any) -> bool:
    """Tell whether an item is a loss element.

    Args:
        item: Any object, usually the last item of a ``val_step`` result.

    Returns:
        bool: True if ``item`` is a ``BaseDataElement`` (or a subclass) whose
        only data field is ``loss``. Metainfo fields do not matter.
    """
    if type(item) is BaseDataElement:
        # What keys() is made of, which itself takes a microsecond.
        return getattr(item, "_data_fields", None) == {"loss"}
    if not isinstance(item, BaseDataElement):
        return False
    # A subclass may keep its fields elsewhere, or never have been initialised.
    own_keys = type(item).keys is not BaseDataElement.keys
    return (own_keys or "loss" in getattr(item, "_data_fields", ())) and (
        item.keys() == ["loss"]
    )


def extract_losses(result: Any) -> Tuple[Any, Any]:
    """Extract the loss element from what a model's ``val_step`` returned.

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
    if not isinstance(result, (list, tuple)) or not result:
        return result, None
    last = result[-1]
    if not is_loss_element(last):
        return result, None
    losses = last.loss
    if not isinstance(losses, Mapping):
        raise TypeError(
            "the last item of the val_step result is a loss element whose `loss` "
            f"is of type {type(losses).__name__}, but a dict of named losses is "
            f"expected: append {_RIGHT_FORM}"
        )
    return result[:-1], losses


def extract_losses_like_native(result: Any) -> Tuple[Any, Any]:
    """Extract as mmengine 0.10.5 to 0.10.7 do, errors included.

    Args:
        result: What ``val_step`` or ``test_step`` returned.

    Returns:
        tuple: ``(result, losses)`` as of :func:`extract_losses`.

    Raises:
        AttributeError: If ``loss`` is no mapping.
        KeyError, TypeError, IndexError: Where ``result`` cannot be indexed
            with ``-1`` (a dict, ``None``, a generator, an empty sequence),
            as reported in https://github.com/open-mmlab/mmengine/issues/1603.
    """
    last = result[-1]
    if not is_loss_element(last):
        return result, None
    last.loss.items()
    return result[:-1], last.loss
