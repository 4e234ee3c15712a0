"""The model within its wrappers."""

from __future__ import annotations

from typing import Any

from mmengine.model import is_model_wrapper
from torch.nn.parallel import DistributedDataParallel

from valloss_compat._libraries import Refusal, UnsupportedError


def unwrap(model: Any) -> Any:
    """The model that a wrapper hands ``val_step`` on to.

    Args:
        model (nn.Module): ``runner.model``.

    Raises:
        UnsupportedError: If it is not known whether the model alone does the
            same as the wrapper: one that shards parameters does not.
    """
    while True:
        if isinstance(model, DistributedDataParallel):
            model = model.module
        elif hasattr(model, "_orig_mod"):  # torch.compile(model)
            model = model._orig_mod
        elif is_model_wrapper(model) or type(model).__module__.startswith("deepspeed"):
            raise UnsupportedError(
                Refusal(
                    type(model).__name__,
                    "a wrapper that may hold the parameters in shards, so that the "
                    "model within cannot run by itself",
                    "train with MMDistributedDataParallel, or have the model append "
                    "its loss element itself",
                )
            )
        else:
            return model
