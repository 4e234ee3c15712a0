"""Generators of random numbers that a module has of its own."""

from __future__ import annotations

import random
from typing import Any, Callable, Optional, Tuple

import numpy as np
import torch

#: The generators behind the functions of ``random`` and ``numpy.random``.
_OF_PYTHON = getattr(random.random, "__self__", None)
_OF_NUMPY = getattr(np.random.rand, "__self__", None)
#: It came with numpy 1.17.
_NEW: Any = getattr(np.random, "Generator", ())

#: What reads a state, and what sets it.
Access = Tuple[Callable[[Any], Any], Callable[[Any, Any], None]]


def access(value: Any) -> Optional[Access]:
    """How the state of a generator is read and set.

    Returns:
        tuple, optional: None for what is no generator, for one of a device, and
        for those that everybody draws from: ``RandomState`` is for these.
    """
    if isinstance(value, torch.Generator):
        if value is torch.default_generator or value.device.type != "cpu":
            return None
        return torch.Generator.get_state, torch.Generator.set_state
    if isinstance(value, np.random.RandomState):
        if value is _OF_NUMPY:
            return None
        return np.random.RandomState.get_state, np.random.RandomState.set_state
    if isinstance(value, random.Random):
        if value is _OF_PYTHON:
            return None
        return random.Random.getstate, random.Random.setstate
    if isinstance(value, _NEW):
        return _read, _write
    return None


def _read(generator: Any) -> Any:
    return generator.bit_generator.state


def _write(generator: Any, state: Any) -> None:
    generator.bit_generator.state = state
