"""Mode ``'loss'`` of a model in a validation, without a trace.

The random state, the model's state and the message hub are afterwards what
they were before, and no gradient is recorded. What cannot be put back, or
shows that the number is not to be relied on, is refused by name.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import contextmanager
from typing import Any, Collection, Dict, Iterator, List, Optional, Set

import torch
from mmengine.model import is_model_wrapper
from torch.nn.parallel import DistributedDataParallel

from valloss_compat._libraries import (
    Adapter,
    Rejection,
    UnsupportedError,
    adapter_for,
    components,
    judge,
)
from valloss_compat._libraries.components import Pipeline
from valloss_compat._loss_forward.content import tree
from valloss_compat._loss_forward.guard import Changes, ModelState
from valloss_compat._loss_forward.isolation import (
    HubState,
    RandomState,
    accelerators_of,
)
from valloss_compat._loss_forward.reuse import Memo
from valloss_compat._recording.monitor_warnings import warn_in_log


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
                Rejection(
                    type(model).__name__,
                    "a wrapper that may hold the parameters in shards, so that the "
                    "model within cannot run by itself",
                    "train with MMDistributedDataParallel, or have the model append "
                    "its loss element itself",
                )
            )
        else:
            return model


def reduce_losses(losses: Any, model: str) -> Dict[str, torch.Tensor]:
    """Reduce what mode ``'loss'`` returned, by the rule of ``parse_losses``.

    A tensor counts by its mean, a list of tensors by the sum of their means.
    The total is left to the convention, which adds it itself: what
    ``BaseModel.parse_losses`` returns has it among the losses already.

    Args:
        losses: What ``forward`` returned.
        model (str): Whose, for messages.

    Returns:
        dict: Name -> tensor without shape. Names without ``loss`` (accuracies)
        are reported, but are no part of the total.

    Raises:
        UnsupportedError: If a training could not reduce it either.
    """
    if not isinstance(losses, Mapping):
        raise _refused(model, f"mode 'loss' returned a {type(losses).__name__}")
    reduced: Dict[str, Any] = {}
    for name, value in losses.items():
        if isinstance(value, torch.Tensor):
            reduced[name] = _mean(value)
        elif not isinstance(value, (list, tuple)) or not all(
            isinstance(item, torch.Tensor) for item in value
        ):
            raise _refused(model, f"the loss {name!r} is a {type(value).__name__}")
        elif value:
            reduced[name] = sum(map(_mean, value))  # in a training's order
    return reduced


def _mean(value: torch.Tensor) -> torch.Tensor:
    value = value.detach()
    return value.mean() if value.is_floating_point() else value.float().mean()


def _refused(model: str, what: str) -> UnsupportedError:
    return UnsupportedError(
        Rejection(
            model,
            f"{what}, but a dict of tensors and lists of tensors is expected",
            "return one from forward in mode 'loss'",
        )
    )


Losses = Dict[str, torch.Tensor]


class SecondForward:
    """Runs a model for its losses.

    Args:
        model (nn.Module): The model, without wrappers.
        adapter (Adapter): What is known of its library.
        pipelines (list[Pipeline]): Those of the validation dataset.

    Attributes:
        devices (list[torch.device]): The accelerators that the model is on.
    """

    def __init__(self, model: Any, adapter: Adapter, pipelines: List[Pipeline]) -> None:
        self.model = model
        self.adapter = adapter
        self.devices = accelerators_of(model)
        self._pipelines = pipelines
        self._first = self._whole = True
        self._start: Optional[RandomState] = None
        self._said: Set[str] = set()
        self._name = type(model).__name__

    @classmethod
    def judged(
        cls, model: Any, datasets: Optional[List[Any]], trust: Collection[str]
    ) -> SecondForward:
        """For a model and data that are known to give the right loss.

        Args:
            model (nn.Module): The model, without wrappers.
            datasets (list, optional): What it is validated on; None where the
                losses have a dataloader of their own.
            trust (Collection[str]): Full names of classes that the user
                answers for.

        Raises:
            UnsupportedError: If they are not.
        """
        part = components.of_model(model)
        pipelines = None
        if datasets is not None:
            pipelines = [
                p for dataset in datasets for p in components.pipelines_of(dataset)
            ]
        seen = judge(part, pipelines, trust)
        if seen.refusals:
            raise UnsupportedError(seen.refusals[0])
        adapter = adapter_for(part, trust)
        assert adapter is not None  # or judge had refused it
        if not callable(getattr(model, "_run_forward", None)):
            raise UnsupportedError(
                Rejection(
                    part.where,
                    "it has no forward with a mode 'loss'",
                    "derive it from mmengine.model.BaseModel",
                )
            )
        return cls(model, adapter, pipelines or [])

    def shared(self) -> List[Any]:
        """The modules that may run once for predictions and loss."""
        return self.adapter.shared(self.model)

    def copy_of(self, batch: Any) -> Any:
        """A deep copy of a batch: predictions and losses write into data samples.

        Raises:
            UnsupportedError: If the batch holds what cannot be copied.
        """
        try:
            return copy.deepcopy(batch)
        except Exception as error:
            raise UnsupportedError(
                Rejection(
                    f"a batch for {self._name}",
                    f"it cannot be copied ({type(error).__name__}: {error})",
                    "have the pipeline pack plain tensors, arrays and numbers",
                )
            ) from error

    def losses_of(
        self, batch: Any, from_loader: bool = False, memo: Optional[Memo] = None
    ) -> Losses:
        """The named losses of one batch.

        Args:
            batch: A batch that nobody else needs: it is written into.
            from_loader (bool): Whether it comes from the loss dataloader.
            memo (Memo, optional): What modules remember of the predictions.

        Returns:
            dict: Loss name -> tensor without shape.

        Raises:
            UnsupportedError: If there is no right number.
        """
        return reduce_losses(self._guarded(batch, from_loader, memo), self._name)

    def _guarded(self, batch: Any, from_loader: bool, memo: Optional[Memo]) -> Any:
        random = started = RandomState(self.devices)
        if self.adapter.may_draw:
            # The same draw for each batch and validation: they can be compared.
            self._start = started = self._start or random
            started.restore()
        hub = HubState()
        with torch.no_grad(), _in_eval(self.model):
            state = ModelState(self.model, self._whole, self._idle(memo))
            if memo is not None:
                memo.replay(state.include)
            error: Optional[BaseException] = None
            losses = None
            try:
                losses = self._run(batch, from_loader)
            except Exception as raised:
                error = raised
            finally:
                drawn = not started.same()
                random.restore()
                hub.restore()
                changes = state.restore()
        if self._first:
            # What is written through .data has no version: it is copied from now on.
            self._first, self._whole = False, state.wrote
        self._judge(changes, drawn)
        if isinstance(error, UnsupportedError):
            raise error
        if error is not None:
            raise UnsupportedError(
                Rejection(
                    self._name,
                    f"mode 'loss' raised {type(error).__name__} in eval mode: {error}",
                    "see the error above; where the model only computes losses in "
                    "training mode, it cannot have a validation loss",
                )
            ) from error
        return losses

    def _idle(self, memo: Optional[Memo]) -> List[Any]:
        """What remembers and does nothing but forward: a head has its loss in it."""
        free = {id(getattr(self.model, name, None)) for name in self.adapter.free}
        return [m for m in (memo.modules if memo else ()) if id(m) in free]

    def _run(self, batch: Any, from_loader: bool) -> Any:
        if not from_loader:
            batch = self.adapter.prepare(batch, self._pipelines)
        data = self.adapter.preprocess(self.model, batch, from_loader)
        return self.model._run_forward(data, mode="loss")

    def _judge(self, changes: Changes, drawn: bool) -> None:
        if changes.lost:
            # Not to be switched off: the training after this would be another.
            raise RuntimeError(
                f"mode 'loss' of {self._name} changed "
                f"{', '.join(changes.lost)} in a validation, and there is no copy of "
                "them: remove ValLossHook from the config and resume from the last "
                "checkpoint"
            )
        known = self.adapter.may_change
        attributes = [n for n in changes.attributes if n.split(".")[-1] not in known]
        if attributes:
            raise self._refused(
                f"mode 'loss' changed {', '.join(attributes)}, on which the loss or "
                "the training may depend; all were put back",
                attributes[0],
            )
        if drawn and not self.adapter.may_draw:
            raise self._refused(
                "mode 'loss' drew random numbers in eval mode, so that its value "
                "depends on the seed; the random state was put back"
            )
        if changes.tensors:
            names = ", ".join(changes.tensors)
            if names not in self._said:
                self._said.add(names)
                warn_in_log(
                    f"ValLossHook: mode 'loss' of {self._name} changed {names} in "
                    "eval mode; they were put back, as after each batch from now on"
                )

    def _refused(self, reason: str, part: str = "") -> UnsupportedError:
        return UnsupportedError(
            Rejection(
                f"{self._name}.{part}" if part else self._name,
                reason,
                "a part whose loss in eval mode is a function of the batch alone",
            )
        )


@contextmanager
def _in_eval(model: Any) -> Iterator[None]:
    """Eval mode for all modules; afterwards each has the flag that it had."""
    flags = [(module, module.training) for _, module in tree(model)]
    for module, training in flags:
        if training:
            module.training = False
    try:
        yield
    finally:
        for module, training in flags:
            if module.training != training:
                module.training = training
