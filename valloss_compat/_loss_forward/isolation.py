"""What mode ``'loss'`` must leave as it was: random states, message hub, parameters."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from contextlib import ExitStack
from typing import Any, Callable, Iterable, Iterator, List, Mapping, Sequence, Tuple

import numpy as np
import torch
from mmengine.logging import MessageHub

from valloss_compat._loss_forward.content import checksum, version_of

#: Losses that draw start each batch from this seed: a validation can be compared with
#: the next one, and the same batch gives the same loss.
_SEED = 0


class Restoring(ABC):
    """A context that restores what it changes: at its end, and by ``restore()``.

    That may be called again right afterwards, and where the context was not entered. It
    changes nothing that is restored already, so that an interrupt cannot break it.
    """

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: Any) -> None:
        self.restore()

    @abstractmethod
    def restore(self) -> None:
        """Restore what was there."""


def within(contexts: Sequence[Restoring], function: Callable[[], Any]) -> Any:
    """Call a function in contexts, and return what it returns.

    An interrupt may come at any line, also where a ``with`` block ends or as a context
    restores. So everything is restored a second time.
    """
    try:
        with ExitStack() as stack:
            for context in contexts:
                stack.enter_context(context)
            return function()
    finally:
        for context in reversed(contexts):
            context.restore()


class RandomState(Restoring):
    """The random states of Python, numpy, torch and its devices, as they are now."""

    def __init__(self, devices: Iterable[torch.device] = ()) -> None:
        self._python = random.getstate()
        self._numpy = np.random.get_state()
        self._torch = [
            (module, device, module.get_rng_state(*device))
            for module, device in [(torch, ()), *_with_state(devices)]
        ]

    def restore(self) -> None:
        """Restore the random states."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        for module, device, state in self._torch:
            module.set_rng_state(state, *device)

    def same(self) -> bool:
        """Return whether no random number was drawn since."""
        return (
            random.getstate() == self._python
            and all(map(np.array_equal, np.random.get_state(), self._numpy))
            and all(torch.equal(m.get_rng_state(*d), s) for m, d, s in self._torch)
        )


def seed_all(seed: int, devices: Iterable[torch.device] = ()) -> None:
    """Seed what :class:`RandomState` restores, and no other device."""
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    for device in devices:
        for module, argument in _with_state([device]):
            state = torch.Generator(device=device).manual_seed(seed).get_state()
            module.set_rng_state(state, *argument)


class Seeded(RandomState):
    """A context that starts from one seed, and restores the random states."""

    def __init__(self, devices: Sequence[torch.device] = ()) -> None:
        super().__init__(devices)
        self._devices = devices

    def __enter__(self) -> Seeded:
        seed_all(_SEED, self._devices)
        return self


def _with_state(devices: Iterable[torch.device]) -> Iterator[Tuple[Any, ...]]:
    """Yield the modules of devices, such as ``torch.cuda``, with the device.

    Where torch has one device of a kind, its functions have no argument for it.
    """
    for device in devices:
        module: Any = getattr(torch, device.type, None)
        if hasattr(module, "get_rng_state"):
            yield module, () if device.type == "mps" else (device,)


def accelerators_of(module: Any) -> List[torch.device]:
    """Return the devices of a module's parameters and buffers, without the CPU."""
    found = {tensor.device for tensor in (*module.parameters(), *module.buffers())}
    return [device for device in found if device.type not in ("cpu", "meta")]


class MessageHubState(Restoring):
    """The entries of the current message hub, as they are now."""

    def __init__(self) -> None:
        hub = MessageHub.get_current_instance()
        # An update replaces the arrays of a buffer and never writes into them.
        buffers = map(vars, hub.log_scalars.values())
        known = (hub.runtime_info, hub.log_scalars, hub._resumed_keys)
        held: List[Any] = [*known, *buffers]
        self._before = [(entries, dict(entries)) for entries in held]

    def restore(self) -> None:
        """Restore the entries."""
        for entries, saved in self._before:
            for name in set(entries) - set(saved):
                del entries[name]
            entries.update(saved)


class ParametersKept(Restoring):
    """Raises if the parameters change, which a replica shares: never a mere warning.

    Whether a parameter is trained, and gradients that were not there before, are
    restored. Other changes are noticed by version counters; those through ``.data``,
    which no version counts, only with ``content``: checksums wait for the device.

    Raises:
        RuntimeError: At the end; with the ``model``, the ``cause`` and the paths.
    """

    def __init__(
        self,
        model: str,
        cause: str,
        parameters: Mapping[str, torch.Tensor],
        content: bool,
    ) -> None:
        self._model, self._cause, self._content = model, cause, content
        self._before = [
            (path, p, p.requires_grad, p.grad, self._marks(p), version_of(p.grad))
            for path, p in parameters.items()
        ]

    def _marks(self, parameter: torch.Tensor) -> Tuple[int, str]:
        # As text, NaN equals itself.
        content = str(checksum(parameter)) if self._content else ""
        return version_of(parameter), content

    def restore(self) -> None:
        """Restore which parameters are trained, and their gradients."""
        for _, parameter, trained, gradient, _, _ in self._before:
            if parameter.requires_grad != trained:
                parameter.requires_grad_(trained)
            if parameter.grad is not gradient:
                parameter.grad = gradient

    def __exit__(self, *error: Any) -> None:
        self.restore()
        changed = []
        for path, parameter, _, gradient, marks, version in self._before:
            if self._marks(parameter) != marks:
                changed.append(path)
            if version_of(gradient) != version:
                changed.append(f"{path}.grad")
        if changed:
            names = ", ".join(changed[:5]) + " and others" * (len(changed) > 5)
            raise RuntimeError(
                f"{self._model}: {self._cause} changed parameters in a validation "
                f"({names}), which cannot be restored. Fix: remove ValLossHook from "
                "the config, then start again or resume from the last checkpoint"
            )
