"""Generators of random numbers that a module has of its own."""

from __future__ import annotations

import random
from typing import Any, Callable, List, Optional, Tuple

import numpy as np
import torch

#: What reads a state, and what sets it.
Access = Tuple[Callable[[Any], Any], Callable[[Any, Any], None]]


def _read(generator: Any) -> Any:
    return generator.bit_generator.state


def _write(generator: Any, state: Any) -> None:
    generator.bit_generator.state = state


#: Those that everybody draws from, behind the functions of their modules.
_SHARED = (
    torch.default_generator,
    getattr(random.random, "__self__", None),
    getattr(np.random.rand, "__self__", None),
)
#: What each kind is read and set by. numpy's ``Generator`` came with numpy 1.17.
_KINDS: List[Tuple[Any, Access]] = [
    (torch.Generator, (torch.Generator.get_state, torch.Generator.set_state)),
    (
        np.random.RandomState,
        (np.random.RandomState.get_state, np.random.RandomState.set_state),
    ),
    (random.Random, (random.Random.getstate, random.Random.setstate)),
    (getattr(np.random, "Generator", ()), (_read, _write)),
]
_CPU = torch.device("cpu")


def access(value: Any) -> Optional[Access]:
    """How the state of a generator is read and set.

    Returns:
        tuple, optional: None for what is no generator, for one of a device, and
        for those that everybody draws from: ``RandomState`` is for these.
    """
    for kind, found in _KINDS:
        if isinstance(value, kind):
            shared = any(value is one for one in _SHARED)
            on_device = getattr(value, "device", _CPU).type != "cpu"
            return None if shared or on_device else found
    return None
