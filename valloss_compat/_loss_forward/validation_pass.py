"""The losses of one pass of a validation loop over its batches."""

from __future__ import annotations

import logging
from typing import Any, Callable, List, Optional, Set

import torch
from mmengine.dist import all_gather_object, get_world_size
from mmengine.structures import BaseDataElement

from valloss_compat import options
from valloss_compat._config import names_of, type_name
from valloss_compat._libraries.models import check_model
from valloss_compat._loss_forward import isolation, loss_data, self_check
from valloss_compat._loss_forward.forward import (
    ComputedLosses,
    Losses,
    LossForward,
    copy_batch,
    on_all_ranks,
)
from valloss_compat._loss_forward.isolation import Restoring, within
from valloss_compat._loss_forward.replica import HooksThatWatch, Replica
from valloss_compat._loss_forward.reuse import ForwardCache, reusable_modules
from valloss_compat._recording.accumulator import EpochAccumulators
from valloss_compat._recording.batch_size import KEY, batch_size_of
from valloss_compat._recording.loss_element import is_loss_element
from valloss_compat._recording.monitor_warnings import warn_in_log
from valloss_compat.errors import UnsupportedError


class LossSource:
    """A model, without wrappers, with its data and what the self-check learns of it.

    That holds for all passes of a run. ``reuse`` is whether outputs of the predictions
    may be reused.

    Raises:
        UnsupportedError: If the model is known to give no correct number, or if the
            ranks have different numbers of batches.
    """

    def __init__(self, model: Any, data: loss_data.LossData, reuse: bool) -> None:
        self.name = type_name(model)
        rejection = check_model(names_of(model))
        if rejection is not None:
            raise UnsupportedError(self.name, rejection.reason, rejection.fix)
        if not callable(getattr(model, "_run_forward", None)):
            raise UnsupportedError(
                self.name,
                "it has no forward with a mode 'loss'",
                "derive its class from mmengine.model.BaseModel",
            )
        loss_data.check_equal_batches(self.name, data.dataloaders)
        self.model, self.data = model, data
        self.reuse = reuse and not data.for_loss_alone
        self.noise: Set[str] = set()
        self.crop: Any = None
        self.found = ""

    def learn(self, forward: LossForward, found: str) -> None:
        """Keep what a self-check found, and log it if it is new."""
        self.noise, self.crop = forward.noise, forward.crop
        if found != self.found:
            self.found = found
            warn_in_log(found, logging.INFO)

    def sanity_check(self) -> Optional[str]:
        """Run predictions and loss on one batch before a training, on replicas alone.

        Return what was found; None if there is no batch, or if the model appends a loss
        element itself.
        """
        random = isolation.RandomState(isolation.accelerators_of(self.model))
        contexts = [random, isolation.MessageHubState()]
        found: Optional[str] = within(contexts, self._check_first_batch)
        return found

    def _check_first_batch(self) -> Optional[str]:
        batch = loss_data.first_batch(self.data.dataloaders[0])
        if batch is None:
            return None
        second = on_all_ranks(lambda: self.data.take(batch))
        predictor = self.model
        if self.reuse:  # with parameters of its own: predictions may write there
            predictor = Replica(self.model, share_parameters=False).model
            predictor.eval()  # train() of some detectors returns nothing
        current = ValidationPass(self, predictor)
        if self.reuse and not current.predict(batch):
            return None
        current.start(second)
        return self.found


class ValidationPass:
    """One pass: a replica of the model, and the first batch to compare with at its end.

    The predictor is what predicts: the model or a replica of it.
    """

    def __init__(self, source: LossSource, predictor: Any) -> None:
        #: Whether a batch had ground truth; None if that cannot be known.
        self.saw_objects: Optional[bool] = None
        self._source = source
        self._predictor = predictor
        self._cache = ForwardCache(reusable_modules(predictor) if source.reuse else {})
        self._hooks = HooksThatWatch(predictor)
        self._forward: Any = None  # a LossForward, from the first batch on
        self._first_batch: Any = None
        self._first_losses: Losses = {}
        #: That the loss needs the ground truth; not asked of several ranks.
        self._proven = get_world_size() > 1

    def run_predictions(self, function: Callable[[], Any]) -> Any:
        """Run the predictions of a batch, watched, and return what they return."""
        contexts: List[Restoring] = [self._cache.recording()]
        if self._forward is None:
            contexts.append(self._hooks)
        return within(contexts, function)

    def predict(self, batch: Any) -> bool:
        """Run predictions; return False if the model appends a loss element itself."""
        copied, raised = copy_batch(batch, self._source.name), False
        try:
            step = torch.no_grad()(self._predictor.val_step)
            result = self.run_predictions(lambda: step(copied))
        except Exception:  # a hook may prepare the model at the start of an epoch
            raised = True
        if any(all_gather_object(raised)):
            self._cache.names.clear()
        return raised or not self.has_element(result)

    def has_element(self, result: Any) -> bool:
        """Return whether predictions end with a loss element; reject other forms."""
        if not isinstance(result, (list, tuple)):
            raise UnsupportedError(
                self._source.name,
                f"its val_step returned a {type_name(result)}, but a list or tuple is "
                "expected, to which a loss element is appended",
                "return a list from forward in mode 'predict'",
            )
        return bool(result) and is_loss_element(result[-1])

    def take(self, batch: Any) -> Any:
        """Return a copy of a batch for the losses: predictions may write into it."""
        name, data = self._source.name, self._source.data
        return self._agreed(lambda: copy_batch(data.take(batch), name))

    def _agreed(self, compute: Callable[[], Any]) -> Any:
        """Compute; raise on all ranks if one raises, where they can exchange that.

        They can for the first batch, and for all of a data loader for the losses alone,
        which has as many on each rank.
        """
        if self._forward is None or self._source.data.for_loss_alone:
            return on_all_ranks(compute)
        return compute()

    def start(self, batch: Any) -> Losses:
        """Make a replica of the model, check it by a batch, and return the losses."""
        source = self._source
        self._forward = LossForward(
            *(source.model, self._hooks.ids, source.noise, source.crop),
            first=not source.found,
        )
        losses, found = self_check.check_batch(self._forward, batch, self._cache)
        source.learn(self._forward, found)
        self._first_batch, self._first_losses = batch, losses
        return losses

    def losses_of(self, batch: Any, last: bool) -> Losses:
        """Return the losses of a copy of a batch, which is written into.

        With the ``last`` batch of the pass, its end is checked.
        """
        objects = self_check.has_objects(batch)
        if objects is not None:
            self.saw_objects = bool(self.saw_objects) or objects
        prove = objects and not self._proven
        kept = copy_batch(batch, self._source.name) if prove else None
        if self._forward is None:
            losses = self.start(batch)
        else:
            reuse = self._cache.answering(self._forward.replica.model)
            losses = self._agreed(
                lambda: self._forward.losses_of(batch, contexts=[reuse])
            )
        if prove:
            self._proven = self_check.needs_ground_truth(self._forward, kept, losses)
        if last:
            self._check_end()
        return losses

    def element_of_all(self, number: int) -> Optional[BaseDataElement]:
        """Return a loss element of the batches of the data loader, once in a pass.

        It has the sum and the weight of each loss or, in mode ``'parity'``, its mean:
        that is what the classes of native mmengine take.
        """
        if self._forward is not None:
            return None
        losses = EpochAccumulators()
        # Transforms that draw all the same, draw the same.
        seeded = isolation.Seeded()
        total = within([seeded], lambda: self._record_all(losses, number))
        if options.current().mode == "parity" or not total:
            means = {name: torch.tensor(one.mean()) for name, one in losses.items()}
            return BaseDataElement(loss=means)
        known = ComputedLosses(losses.sums())
        return BaseDataElement(loss=known, metainfo={KEY: total})

    def _record_all(self, losses: EpochAccumulators, number: int) -> int:
        """Record the losses of all batches; return the sum of their weights."""
        total = 0
        for index, batch in zip(range(number), self._source.data.dataloaders[0]):
            weighted = options.current().weighting == "sample"
            size = batch_size_of(BaseDataElement(), batch, []) if weighted else 1
            total += size
            # A dataset in memory may give the same samples again.
            found = self.losses_of(self.take(batch), index == number - 1)
            losses.record(found, size, index)
        return total

    def _check_end(self) -> None:
        """Compute the losses of the first batch once more."""
        name, batch = self._source.name, self._first_batch
        again = on_all_ranks(lambda: self._forward.losses_of(batch, content=True))
        found = (
            "mode 'loss' returned {} for the first batch, and {} at the end of the "
            "validation"
        )
        self_check.reject_difference(self._first_losses, again, name, found)
        self._first_batch = None
        if self.saw_objects and not self._proven:
            raise UnsupportedError(
                name,
                "for each batch of the validation, mode 'loss' returned the same "
                "without its ground truth",
                "load annotations in the frame of the input, and compare with them in "
                "the loss; a detector of which no box meets an object yet needs a "
                "longer training or more validation images",
            )
