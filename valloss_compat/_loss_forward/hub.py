"""The message hub, as it was: what a loss logs there belongs to training."""

from __future__ import annotations

from typing import Any, Dict, Tuple

from mmengine.logging import MessageHub

_HISTORIES = ("_log_history", "_count_history")


class HubState:
    """The entries of the current message hub as they are now."""

    def __init__(self) -> None:
        self._hub = MessageHub.get_current_instance()
        self._infos = dict(self._hub.runtime_info)
        self._scalars: Dict[str, Tuple[Any, Dict[str, Any]]] = {
            # An update makes a new array; the one before stays as it is.
            key: (buffer, {name: getattr(buffer, name) for name in _HISTORIES})
            for key, buffer in self._hub.log_scalars.items()
        }

    def restore(self) -> None:
        """Go back to them."""
        for kept, there in (
            (self._infos, self._hub.runtime_info),
            (
                {k: buffer for k, (buffer, _) in self._scalars.items()},
                self._hub.log_scalars,
            ),
        ):
            for key in [key for key in there if key not in kept]:
                del there[key]
            there.update(kept)
        for buffer, histories in self._scalars.values():
            for name, history in histories.items():
                setattr(buffer, name, history)
