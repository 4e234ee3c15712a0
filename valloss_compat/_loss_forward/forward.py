"""Mode ``'loss'`` of a model in a validation: the losses of one batch."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any, Callable, Collection, Dict, Optional, Sequence, Set

import torch
from mmengine.dist import all_gather_object
from mmengine.model import is_model_wrapper
from torch.nn.parallel import DistributedDataParallel

from valloss_compat._config import type_name
from valloss_compat._libraries.models import crop, preprocess
from valloss_compat._loss_forward import isolation
from valloss_compat._loss_forward.frozen_training import FrozenFunctions, freeze
from valloss_compat._loss_forward.isolation import Restoring, within
from valloss_compat._loss_forward.replica import Replica
from valloss_compat.errors import UnsupportedError

Losses = Dict[str, torch.Tensor]
#: In an AttributeError or KeyError for lack of annotations.
_ANNOTATIONS = re.compile("gt_|bboxes|keypoints|labels|masks")
_ANNOTATIONS_FIX = (
    "load the missing annotations in the validation pipeline (mmpretrain: "
    "with_label=True of the dataset)"
)
_ERROR_FIX = (
    "run a training iteration. If it raises this as well, correct the model or its "
    "data. If not, use ValLossHook(pipeline=[...]) with what the train pipeline does "
    "to the annotations, or strategy='dataloader' if the training has other inputs"
)


class ComputedLosses(Dict[str, Any]):
    """Losses for a loss element that the user's model does not append itself."""

    #: For the recorder: a metric of the same name, such as an accuracy, is kept.
    keeps_metrics = True


def unwrap_model(model: Any) -> Any:
    """Return the model to which a wrapper hands ``val_step`` on.

    Wrappers that may shard parameters (FSDP, DeepSpeed) are rejected.
    """
    while True:
        if isinstance(model, DistributedDataParallel):
            model = model.module
        elif hasattr(model, "_orig_mod"):  # torch.compile(model)
            model = model._orig_mod
        elif is_model_wrapper(model) or type(model).__module__.startswith("deepspeed"):
            raise UnsupportedError(
                type_name(model),
                "this wrapper may shard the parameters, so that the model within it "
                "cannot run on its own",
                "train with MMDistributedDataParallel, or append the loss element in "
                "the model",
            )
        else:
            return model


def reduce_losses(losses: Any, model: str) -> Losses:
    """Reduce what mode ``'loss'`` returned, by the rule of mmengine's ``parse_losses``.

    A tensor counts by its mean, a list of tensors by the sum of their means. The total
    is left to the convention, which adds it, without names that do not contain ``loss``
    (accuracies). What a training could not reduce either is rejected.
    """
    found = f"mode 'loss' returned a {type_name(losses)}"
    if isinstance(losses, Mapping):
        reduced: Losses = {}
        for name, value in losses.items():
            parts = value if isinstance(value, (list, tuple)) else [value]
            if not all(isinstance(part, torch.Tensor) for part in parts):
                found = f"the loss {name!r} is a {type_name(value)}"
                break
            if parts:
                reduced[name] = sum(map(_mean, parts[1:]), _mean(parts[0]))
        else:
            return reduced
    raise UnsupportedError(
        model,
        f"{found}, but a dict of tensors and lists of tensors is expected",
        "return such a dict from forward in mode 'loss'",
    )


def _mean(value: torch.Tensor) -> torch.Tensor:
    value = value.detach()
    return value.mean() if value.is_floating_point() else value.float().mean()


def copy_batch(batch: Any, model: str) -> Any:
    """Copy a batch deeply: predictions and losses write into data samples."""
    try:
        return copy.deepcopy(batch)
    except Exception as error:
        raise UnsupportedError(
            f"a batch for {model}",
            f"it cannot be copied ({type(error).__name__}: {error})",
            "pack plain tensors, arrays and numbers in the pipeline",
        ) from error


def on_all_ranks(function: Callable[[], Any]) -> Any:
    """Call a function, and raise on all ranks if it rejects a model on any."""
    error, result = None, None
    try:
        result = function()
    except UnsupportedError as raised:
        error = raised
    raise_on_all_ranks(error)
    return result


def raise_on_all_ranks(error: Optional[UnsupportedError]) -> None:
    """Raise on all ranks if any has an error: its own, or the first one.

    So no rank waits for one that raised.
    """
    rejections = all_gather_object(error and tuple(error.rejection))
    for rejection in rejections:
        if rejection:
            raise error or UnsupportedError(*rejection)


class LossForward:
    """Runs a replica of a model, without wrappers, for its losses.

    ``noise`` has the paths of modules that only add noise in training mode, beside
    those that are known by class. Batches are cropped to ``crop``, a height and width.
    ``first`` is whether it is the first replica of a run.
    """

    def __init__(
        self,
        model: Any,
        watching_hooks: Collection[int] = (),
        noise: Collection[str] = (),
        crop: Any = None,
        first: bool = True,
    ) -> None:
        self.name = type_name(model)
        self.devices = isolation.accelerators_of(model)
        self.noise: Set[str] = set(noise)
        self.crop = crop
        self._original = model
        self._watching_hooks = watching_hooks
        self.replica = self.make_replica(content=first)

    def freeze(self, noise: Collection[str]) -> None:
        """Switch off the modules that only add noise, by their paths, and no others."""
        self.noise = set(noise)
        self.replica = self.make_replica()

    def make_replica(self, content: bool = False) -> Replica:
        """Return another replica of the same model, in frozen training mode.

        Raises:
            RuntimeError: If ``train()`` of the model changes parameters, as adapters
                do that merge their weights into them.
        """
        replica = Replica(self._original, self._watching_hooks)
        # train() of some libraries sets requires_grad of stages, which is restored.
        parameters = replica.parameters
        kept = isolation.ParametersKept(self.name, "train()", parameters, content)
        within([kept], lambda: freeze(replica, self.noise))
        return replica

    def losses_of(
        self,
        batch: Any,
        content: bool = False,
        contexts: Sequence[Restoring] = (),
    ) -> Losses:
        """Return the named losses of a copy of a batch, which is written into.

        ``content`` is as of ``ParametersKept``; mode ``'loss'`` runs in ``contexts``.

        Raises:
            UnsupportedError: If there is no correct number.
            RuntimeError: If parameters changed.
        """
        self.replica.restore()
        parameters = self.replica.parameters
        kept = isolation.ParametersKept(self.name, "mode 'loss'", parameters, content)
        losses = within([kept], lambda: self._run(batch, contexts))
        return reduce_losses(losses, self.name)

    def _run(self, batch: Any, contexts: Sequence[Restoring]) -> Any:
        seeded, hub = isolation.Seeded(self.devices), isolation.MessageHubState()
        model = self.replica.model

        def run() -> Any:
            given = batch if self.crop is None else crop(batch, self.crop)
            return model._run_forward(preprocess(model, given), mode="loss")

        try:
            with torch.no_grad():
                return within([seeded, hub, FrozenFunctions(), *contexts], run)
        except UnsupportedError:
            raise
        except Exception as error:
            is_lookup = isinstance(error, (AttributeError, KeyError))
            lacks_annotations = is_lookup and _ANNOTATIONS.search(str(error))
            raise UnsupportedError(
                self.name,
                f"mode 'loss' raised {type(error).__name__}: {error}",
                _ANNOTATIONS_FIX if lacks_annotations else _ERROR_FIX,
            ) from error
