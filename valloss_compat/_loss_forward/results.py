"""What a ``val_step`` returned: whether a loss element is to be appended to it."""

from __future__ import annotations

from typing import Any

from valloss_compat._libraries import Refusal, UnsupportedError
from valloss_compat._recording.loss_element import is_loss_element


def already_there(result: Any, name: str, another: bool) -> str:
    """See that an element can be appended, and is not there already.

    Args:
        result: What ``val_step`` returned.
        name (str): Of the model's class.
        another (bool): Whether another ``ValLossHook`` of the run is at work.

    Returns:
        str: Whose element is there; empty where there is none.

    Raises:
        UnsupportedError: If the result is no list.
    """
    if not isinstance(result, (list, tuple)):
        raise UnsupportedError(
            Refusal(
                name,
                f"its val_step returned a {type(result).__name__}, and a loss "
                "element can be appended to a list only",
                "have forward return a list in mode 'predict'",
            )
        )
    if not result or not is_loss_element(result[-1]):
        return ""
    if another:
        return (
            "there is more than one ValLossHook in this training (one of them of a "
            "base config, perhaps): the first reports the losses by its own options, "
            "and this one does nothing. Leave one in custom_hooks"
        )
    return f"ValLossHook is not needed: {name} appends its loss element itself"
