"""The message hub, as it was: what a loss logs there belongs to training."""

from __future__ import annotations

import random
from typing import Any, Dict, Iterable, List, Tuple

import numpy as np
import torch
from mmengine.logging import MessageHub


class RandomState:
    """The random states of Python, numpy, torch and its devices, as they are now.

    Args:
        devices (Iterable[torch.device]): Accelerators in use. The CPU's is
            always kept.
    """

    def __init__(self, devices: Iterable[torch.device] = ()) -> None:
        self._python = random.getstate()
        self._numpy = np.random.get_state()
        self._cpu = torch.get_rng_state()
        self._devices: List[Tuple[Any, torch.device, torch.Tensor]] = []
        for device in devices:
            # torch.cuda, torch.mps, torch.npu ...: what knows the device's state.
            backend: Any = getattr(torch, device.type, None)
            if hasattr(backend, "get_rng_state"):
                state = _call(backend.get_rng_state, device)
                self._devices.append((backend, device, state))

    def restore(self) -> None:
        """Go back to it."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        torch.set_rng_state(self._cpu)
        for backend, device, state in self._devices:
            _call(backend.set_rng_state, state, device)

    def same(self) -> bool:
        """Whether nothing was drawn since."""
        now = np.random.get_state()
        return (
            random.getstate() == self._python
            and torch.equal(torch.get_rng_state(), self._cpu)
            and all(np.array_equal(a, b) for a, b in zip(now, self._numpy))
            and all(
                torch.equal(_call(backend.get_rng_state, device), state)
                for backend, device, state in self._devices
            )
        )


def accelerators_of(module: Any) -> List[torch.device]:
    """The devices of a module's parameters and buffers, without the CPU."""
    found = {tensor.device for tensor in (*module.parameters(), *module.buffers())}
    return [device for device in found if device.type not in ("cpu", "meta")]


def _call(function: Any, *args: Any) -> Any:
    """One for all devices of a kind (torch.mps) takes no device."""
    *others, device = args
    return function(*others) if device.type == "mps" else function(*args)


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
