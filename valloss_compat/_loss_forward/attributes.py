"""The Python attributes of a module: what changed, and back to what it was."""

from __future__ import annotations

from typing import Any, Dict, List, Set

import torch

from valloss_compat._loss_forward.snapshot import Snapshot, alike, snapshot

#: What nn.Module keeps for itself.
_INTERNAL = frozenset(vars(torch.nn.Module()))
_REGISTERED = ("_parameters", "_buffers", "_modules")
#: A scripted module keeps its methods as attributes once they were called.
_CACHED: Any = getattr(torch._C, "ScriptMethod", ())


class Attributes:
    """The attributes of one module as they are now.

    Args:
        module (nn.Module): The module. Seen of its attributes: which object it
            is and, of plain data, what it holds.
    """

    def __init__(self, module: Any) -> None:
        self._namespace: Dict[str, Any] = vars(module)
        self._values = {k: v for k, v in self._namespace.items() if k not in _INTERNAL}
        self._held: Dict[str, Snapshot] = {}
        seen: Set[int] = set()
        for name, value in self._values.items():
            held = snapshot(value, seen)
            if held is not None:
                self._held[name] = held
        self._registered = {name: dict(self._namespace[name]) for name in _REGISTERED}

    def restore(self) -> List[str]:
        """Put back what changed.

        Returns:
            list[str]: The names of what did.
        """
        own = self._namespace
        changed = [
            name
            for name, value in own.items()
            if name not in _INTERNAL
            and name not in self._values
            and not isinstance(value, _CACHED)
        ]
        for name in changed:
            del own[name]
        for name, value in self._values.items():
            written = False
            if name in self._held:
                value, written = self._held[name].put_back()
            if written or name not in own or not alike(own[name], value):
                changed.append(name)
            if name not in own or own[name] is not value:
                own[name] = value
        for place, before in self._registered.items():
            now = own[place]
            others = [
                name
                for name in {**before, **now}
                if name not in now or now[name] is not before.get(name, now)
            ]
            changed.extend(
                name
                for name in others
                if not (name in now and name in before)
                or not alike(now[name], before[name])
            )
            if others and isinstance(now, dict):
                now.clear()
                now.update(before)
            elif others:  # those of a scripted module: they cannot come or go
                for name in others:
                    now[name] = before[name]
        return changed
