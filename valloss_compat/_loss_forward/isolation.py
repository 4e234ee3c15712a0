"""What mode ``'loss'`` must leave as it was: random states, message hub, parameters."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import Any, Iterable, Iterator, List, Mapping, Tuple

import numpy as np
import torch
from mmengine.logging import MessageHub

from valloss_compat._loss_forward.content import checksum, version_of

#: Losses that draw start each batch from this seed: a validation can be compared with
#: the next one, and the same batch gives the same loss.
_SEED = 0


class RandomState:
    """The random states of Python, numpy, torch and its devices, as they are now.

    At the end of a ``with`` block, they are restored.
    """

    def __init__(self, devices: Iterable[torch.device] = ()) -> None:
        self._python = random.getstate()
        self._numpy = np.random.get_state()
        self._torch = [
            (module, device, module.get_rng_state(*device))
            for module, device in [(torch, ()), *_with_state(devices)]
        ]

    def __enter__(self) -> RandomState:
        return self

    def __exit__(self, *error: Any) -> None:
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


@contextmanager
def seeded(devices: Iterable[torch.device] = ()) -> Iterator[None]:
    """Start from one seed, and restore the random states afterwards."""
    with RandomState(devices):
        seed_all(_SEED, devices)
        yield


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


@contextmanager
def message_hub_restored() -> Iterator[None]:
    """Restore the entries of the current message hub afterwards."""
    hub = MessageHub.get_current_instance()
    # An update replaces the arrays of a buffer and never writes into them.
    buffers = map(vars, hub.log_scalars.values())
    held = [hub.runtime_info, hub.log_scalars, *buffers]
    before = [(entries, dict(entries)) for entries in held]
    try:
        yield
    finally:
        for entries, saved in before:
            entries.clear()
            entries.update(saved)


@contextmanager
def parameters_kept(
    model: str, cause: str, parameters: Mapping[str, torch.Tensor], content: bool
) -> Iterator[None]:
    """Raise if the parameters change, which a replica shares: never a mere warning.

    Whether a parameter is trained, and gradients that were not there before, are
    restored. Other changes are noticed by version counters; those through ``.data``,
    which no version counts, only with ``content``: checksums wait for the device.

    Raises:
        RuntimeError: At the end; with the ``model``, the ``cause`` and the paths.
    """

    def marks(parameter: torch.Tensor) -> Tuple[int, str]:
        # As text, NaN equals itself.
        return version_of(parameter), str(checksum(parameter)) if content else ""

    before = [
        (path, p, p.requires_grad, p.grad, marks(p), version_of(p.grad))
        for path, p in parameters.items()
    ]
    try:
        yield
    finally:
        changed = []
        for path, parameter, trained, gradient, mark, version in before:
            if parameter.requires_grad != trained:
                parameter.requires_grad_(trained)
            if parameter.grad is not gradient:
                parameter.grad = gradient
            if marks(parameter) != mark:
                changed.append(path)
            if version_of(gradient) != version:
                changed.append(f"{path}.grad")
        if changed:
            names = ", ".join(changed[:5]) + " and others" * (len(changed) > 5)
            raise RuntimeError(
                f"{model}: {cause} changed parameters in a validation ({names}), "
                "which cannot be restored. Fix: remove ValLossHook from the config, "
                "then start again or resume from the last checkpoint"
            )
