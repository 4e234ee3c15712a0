"""What is found on one rank is found on all: no rank waits for one that raised."""

from __future__ import annotations

from typing import Any, Callable, Optional

from mmengine.dist import all_gather_object

from valloss_compat.errors import UnsupportedError


def on_all_ranks(function: Callable[[], Any]) -> Any:
    """Call a function, and raise on all ranks if it rejects a model on any."""
    error, result = None, None
    try:
        result = function()
    except UnsupportedError as raised:
        error = raised
    raise_on_all_ranks(error)
    return result


def raise_on_all_ranks(error: Optional[UnsupportedError]) -> None:
    """Raise on all ranks if any has an error: its own, or the first one."""
    rejections = all_gather_object(error and tuple(error.rejection))
    for rejection in rejections:
        if rejection:
            raise error or UnsupportedError(*rejection)
