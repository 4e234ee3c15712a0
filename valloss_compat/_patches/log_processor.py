"""Wrapper of the log processor: logs show the epoch's own losses, under own tags.

mmengine's ``LogProcessor`` smooths every key that matches ``loss`` over its
window (10 by default), which in a validation are past validations, and strips
``val/`` off the key, so that a validation loss ``loss`` is logged under the tag
of the training loss. For the length of one call it is shown other scalars; no
scalar of the message hub is changed.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any, Callable, Set

from valloss_compat._recording.recorder import Recorder


def get_log_after_epoch(
    _recorder: Recorder,
    _original: Callable[..., Any],
    processor: Any,
    runner: Any,
    batch_idx: int,
    mode: str,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Log losses of a validation or test unsmoothed, and under tags of their own."""
    names = _recorder.reported(runner, mode)
    if not names:
        return _original(processor, runner, batch_idx, mode, *args, **kwargs)
    components = names - {f"{mode}_loss"}
    if getattr(processor, "log_with_hierarchy", False):
        components = set()  # their tags keep `val/` in any case
    scalars = _shown(runner.message_hub.log_scalars, mode, names, components)
    runner = _View(runner, message_hub=_View(runner.message_hub, log_scalars=scalars))
    custom_cfg = processor.custom_cfg
    try:
        processor.custom_cfg = [
            {**entry, "data_src": f"{mode}/{entry['data_src']}"}
            if entry.get("data_src") in components
            else entry
            for entry in custom_cfg
        ]
        return _original(processor, runner, batch_idx, mode, *args, **kwargs)
    finally:
        processor.custom_cfg = custom_cfg


def _shown(
    scalars: Any, mode: str, names: Set[str], components: Set[str]
) -> OrderedDict[str, Any]:
    """The scalars that the log processor gets, in the same order."""
    # A loop with several passes puts a prefix or suffix to the names.
    any_name = "|".join(re.escape(name) for name in sorted(names))
    is_loss = re.compile(f"(?:^|[/._])(?:{any_name})(?:$|[/._])")
    shown: OrderedDict[str, Any] = OrderedDict()
    for key, buffer in scalars.items():
        if key.startswith(f"{mode}/"):
            name = key[len(mode) + 1 :]
            if is_loss.search(name):
                buffer = _View(buffer, mean=_current(buffer))
            if name in components:
                key = f"{mode}/{key}"
        shown[key] = buffer
    return shown


def _current(buffer: Any) -> Callable[..., Any]:
    """The ``mean`` of a history, of its latest value alone."""

    def mean(window_size: Any = None) -> Any:
        return buffer.current()

    return mean


class _View:
    """An object with some attributes replaced; all others are the object's own."""

    def __init__(self, whole: Any, **replaced: Any) -> None:
        vars(self).update(replaced, _whole=whole)

    def __getattr__(self, name: str) -> Any:
        if name == "_whole":  # a copy that is not filled yet
            raise AttributeError(name)
        return getattr(self._whole, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._whole, name, value)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self._whole)
