"""What a loss element is, and how it is extracted from what ``val_step`` returns.

Pure functions: nothing is patched here and no state is kept. The convention is
that of mmengine pull request 1503 (https://github.com/open-mmlab/mmengine/pull/1503),
released with 0.10.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Tuple

from mmengine.structures import BaseDataElement

from valloss_compat._config import type_name

#: The right form, for messages.
FORM = "BaseDataElement(loss={'loss_cls': tensor, ...})"


def is_loss_element(item: Any) -> bool:
    """Whether an item is a ``BaseDataElement`` with the data field ``loss`` alone."""
    if not isinstance(item, BaseDataElement):
        return False
    fields = getattr(item, "_data_fields", ())  # none if it was never initialised
    # A property adds the field `_loss`, which keys() leaves out.
    return fields == {"loss"} or ("loss" in fields and item.keys() == ["loss"])


def extract_losses(result: Any) -> Tuple[Any, Any]:
    """Extract the loss element from what ``val_step`` or ``test_step`` returned.

    Returns:
        tuple: Where the last item of a list or tuple is a loss element, a new sequence
        without it, and the mapping of named losses. For anything else (dict, tensor,
        ``None``, generator, empty list, an element with more fields) the very same
        object, and None.

    Raises:
        TypeError: If there is a loss element whose ``loss`` is no mapping.
    """
    is_sequence = isinstance(result, (list, tuple)) and result
    if not is_sequence or not is_loss_element(result[-1]):
        return result, None
    losses = result[-1].loss
    if not isinstance(losses, Mapping):
        raise TypeError(
            f"the field `loss` of the loss element is of type {type_name(losses)}, but "
            f"a dict of named losses is expected. Fix: append {FORM}"
        )
    return result[:-1], losses


def explain_missing_element(result: Any) -> str:
    """Describe a result that :func:`extract_losses` finds no losses in.

    Users come close to the convention in many ways, and each of them is silent: a
    result may be anything.
    """
    return f"{_describe(result)}. Fix: return a list or tuple that ends with {FORM}"


def _describe(result: Any) -> str:
    if isinstance(result, Mapping):
        # Other mappings may compute their values, which is not for this package to do.
        items = dict.items(result) if isinstance(result, dict) else ()
        keys = [key for key, value in items if is_loss_element(value)]
        place = f" with the loss element under {keys[0]!r}" if keys else ""
        return f"val_step returned a dict{place}, but a list or tuple is expected"
    if is_loss_element(result):
        return "val_step returned the bare loss element, but it has to end a list"
    if not isinstance(result, (list, tuple)):
        return f"val_step returned {type_name(result)}, but a list is expected"
    if not result:
        return f"val_step returned an empty {type_name(result)}"
    places = [index for index, item in enumerate(result) if is_loss_element(item)]
    if places:
        return (
            f"the loss element is item {places[0]} of the {len(result)} that val_step "
            "returned, but it has to be the last one"
        )
    last = result[-1]
    text = f"the last item that val_step returned is of type {type_name(last)}"
    if not isinstance(last, BaseDataElement):
        return f"{text}, and not a loss element"
    fields = [
        sorted(item._data_fields) if isinstance(item, BaseDataElement) else []
        for item in result
    ]
    if len(result) > 1 and all("loss" in names for names in fields):
        return (
            f"each data sample ({type_name(last)}) has a field `loss`, but one loss "
            "element behind all of them is expected"
        )
    if "loss" in fields[-1]:
        return (
            f"{text} with the fields {', '.join(fields[-1])}, but a loss element has "
            "the field `loss` alone"
        )
    for name in ("losses", "loss"):
        if name in fields[-1]:
            return f"{text} with the field `{name}`, but the field `loss` is expected"
        if name in last.metainfo_keys():
            return f"{text} with `{name}` in its metainfo, but a field is expected"
    return f"{text}, and has no field `loss`"


def extract_losses_like_native(result: Any) -> Tuple[Any, Any]:
    """Extract as mmengine 0.10.5 to 0.10.7 do, errors included.

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
