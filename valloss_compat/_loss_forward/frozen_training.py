"""Frozen training mode: training mode without what is noisy or adapts.

Detectors and heads compute their losses as in training, because ``self.training`` is
True where they look at it. Normalisation uses its running statistics, and dropout
does nothing: that is the training loss without its noise.
"""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from typing import Any, Callable, Collection, List, Tuple

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.spectral_norm import SpectralNorm

from valloss_compat._loss_forward.isolation import Restoring
from valloss_compat._loss_forward.replica import Replica

_NOISE_CLASSES = (nn.RNNBase, nn.MultiheadAttention, nn.RReLU)
#: Class names of layers that drop something: torch has Dropout; mmcv, timm and
#: mmpretrain each have a DropPath, torchvision has StochasticDepth. The
#: parametrization of spectral norm iterates in training mode.
_NOISE_NAMES = re.compile(r"drop|stochasticdepth|^_spectralnorm$", re.IGNORECASE)


def freeze(replica: Replica, noise: Collection[str] = ()) -> None:
    """Put a replica into frozen training mode; ``noise`` has paths of more modules.

    Its own ``train()`` keeps some stages or norms in eval mode in many libraries.
    """
    replica.model.train()
    for path, _, module in replica.modules:
        if path in noise or is_frozen_kind(module):
            module.training = False


def is_frozen_kind(module: Any) -> bool:
    """Return whether a module is noisy or adaptive in training mode."""
    return (
        getattr(module, "running_mean", None) is not None
        or isinstance(module, _NOISE_CLASSES)
        or bool(not module._modules and _NOISE_NAMES.search(type(module).__name__))
        or any(isinstance(h, SpectralNorm) for h in module._forward_pre_hooks.values())
    )


#: Functions, with the name and position of an argument, and its value in frozen
#: training mode. Those of torch.nn.functional call these by name, dropout those of
#: torch._VF.
_FUNCTIONS: List[Tuple[Any, str, str, int, Any]] = [
    *(
        (owner, kind + name, "train", 2, False)
        for owner in (torch, torch._VF)
        for kind in ("", "alpha_", "feature_", "feature_alpha_")
        for name in ("dropout", "dropout_")
    ),
    (torch, "batch_norm", "training", 5, False),
    (torch, "instance_norm", "use_input_stats", 5, False),
    (torch, "rrelu", "training", 3, False),
    (torch, "rrelu_", "training", 3, False),
    (functional, "scaled_dot_product_attention", "dropout_p", 4, 0.0),
]
#: Of one thread that computes losses: a second one waits.
_lock = threading.RLock()


class FrozenFunctions(Restoring):
    """Replaces functions that modules call with ``self.training``, for this thread.

    They are replaced by name. A torch function mode exists from torch 1.13 on only, and
    every call of torch within it takes longer.
    """

    def __init__(self) -> None:
        self._originals: List[Tuple[Any, str, Any]] = []
        self._is_entered = False

    def __enter__(self) -> None:
        self._is_entered = True
        _lock.acquire()
        for owner, name, *argument in _FUNCTIONS:
            original = getattr(owner, name, None)
            if original is not None:
                self._originals.append((owner, name, original))
                of_norm = name.endswith("norm")
                setattr(owner, name, _replacement(original, of_norm, *argument))

    def restore(self) -> None:
        """Restore the functions, and let another thread replace them."""
        if self._is_entered:
            for owner, name, original in self._originals:
                setattr(owner, name, original)
            with suppress(RuntimeError):  # an interrupt came before or behind it
                _lock.release()
            self._is_entered = False


def _replacement(
    original: Any, of_norm: bool, name: str, position: int, value: Any
) -> Callable[..., Any]:
    thread = threading.get_ident()

    def call(*args: Any, **kwargs: Any) -> Any:
        # Without running statistics, a norm has to use those of the batch.
        mean = args[3] if len(args) > 3 else kwargs.get("running_mean")
        if threading.get_ident() != thread or (of_norm and mean is None):
            return original(*args, **kwargs)
        if len(args) > position:
            args = (*args[:position], value, *args[position + 1 :])
        else:
            kwargs[name] = value
        return original(*args, **kwargs)

    return call
