"""``ValLossHook``: a validation loss from a model that appends none."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import Any, Callable, Iterator, List, Mapping, Optional, Sequence, Set
from weakref import WeakKeyDictionary

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop
from mmengine.runner.amp import autocast
from mmengine.structures import BaseDataElement

from valloss_compat._config import type_name
from valloss_compat._loss_forward import forward, loss_data
from valloss_compat._loss_forward.two_views import split
from valloss_compat._loss_forward.validation_pass import LossSource, ValidationPass
from valloss_compat._recording.monitor_warnings import warn_in_log
from valloss_compat._recording.recorder import running_loop
from valloss_compat.errors import UnsupportedError

_STRATEGIES = ("auto", "second_forward", "dataloader")


class PatchedStep:
    """Replaces ``val_step`` or ``test_step`` of a model, or its wrapper, for one call.

    It is put into the namespace of the instance, past ``nn.Module.__setattr__``, and
    removes itself before anything runs, so that nothing is left whatever is raised. The
    function that is called instead gets the model's own step and the arguments.
    """

    def __init__(self, model: Any, name: str, wrapper: Callable[..., Any]) -> None:
        self._model, self._name, self._wrapper = model, name, wrapper
        self._before = vars(model).get(name)  # of the instance: a compiled one, say
        vars(model)[name] = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Remove itself, and hand the call on."""
        self.remove()
        # By now the model may have another step than when this was made.
        return self._wrapper(getattr(self._model, self._name), *args, **kwargs)

    def remove(self) -> bool:
        """Restore what was there; return whether there was no call."""
        own = vars(self._model)
        if own.get(self._name) is not self:
            return False
        if self._before is None:
            del own[self._name]
        else:
            own[self._name] = self._before
        return True


class ValLossHook(Hook):
    """Gives a validation loss to a model that appends no loss element.

    After each validation step, the model's mode ``'loss'`` runs on the same batch: on a
    replica that shares the parameters and owns everything else, in training mode with
    dropout, normalisation statistics and batch augmentations frozen, without
    gradients. That is the training loss on the validation data, without the noise.
    Predictions, metrics, hooks, random states and the training stay as they are
    without this hook. The losses are reported with their names, and as ``val_loss`` the
    sum of those with ``loss`` in the name. The workers make the ground truth for it by
    the transforms of the validation in the order of a training.

    Any model is accepted whose loss is a function of the batch. A self-check computes
    it several times for one batch before the training and at the start of each
    validation, and once more at its end.

    Args:
        strategy (str): ``'auto'``: modules that get the same input for predictions and
            loss, and give the same in both modes, run once. ``'second_forward'``: all
            modules run twice. ``'dataloader'``: the losses are those of another data
            loader, which is run once in each validation; ``'auto'`` makes one where
            persons come from a detector (``bbox_file`` of mmpose).
        on_unsupported (str): ``'error'``: a rejection ends the run, if possible before
            the training. ``'warn'``: it is logged, and there is no validation loss; but
            on several ranks, what is found in a batch after the first raises.
        dataloader (dict or DataLoader, optional): For ``'dataloader'``: as
            ``val_dataloader``, with the train pipeline without its random transforms.
        pipeline (list, optional): Transforms for the loss, from the loading of the
            image to the packing, with the inputs of the validation. None: those of the
            validation in the order of a training.
        sanity_check (bool): Whether to check one validation batch before the
            training, and some samples before the first validation: that the ground
            truth moves with the image.
        limit_batches (int, optional): Compute the loss of the first batches only, if
            that of all is too expensive.
        test (bool): Whether TestLoop reports a ``test_loss``, too. Test data often
            have no annotations.

    Raises:
        ValueError: If an option is not known or contradicts another.
    """

    #: Behind other hooks, so that none raises between it and the step.
    priority = "LOWEST"

    def __init__(
        self,
        strategy: str = "auto",
        on_unsupported: str = "error",
        dataloader: Any = None,
        pipeline: Optional[Sequence[Any]] = None,
        sanity_check: bool = True,
        limit_batches: Optional[int] = None,
        test: bool = False,
    ) -> None:
        _check_arguments(strategy, on_unsupported, dataloader, limit_batches)
        self.strategy = strategy
        self.on_unsupported = on_unsupported
        self.dataloader = dataloader
        self.pipeline = pipeline
        self.sanity_check = sanity_check
        self.limit_batches = limit_batches
        self.test = test
        self.has_rejected = False  # read where a monitored loss is missing
        self._loop: Any = None
        self._phase = "val"
        self._sources: WeakKeyDictionary[Any, LossSource] = WeakKeyDictionary()
        self._source: Any = None  # that of the loop, if there are losses
        self._step: Optional[PatchedStep] = None
        self._pass: Optional[ValidationPass] = None
        self._batch = 0
        self._off = False
        self._names: Set[str] = set()  # of the losses of this validation
        self._last_names: Set[str] = set()

    # What mmengine calls.

    def before_run(self, runner: Any) -> None:
        """Check the model and its data before any training."""
        if isinstance(getattr(runner, "_val_loop", None), BaseLoop):
            self._prepare(runner, "val")

    def before_train(self, runner: Any) -> None:
        """Compute the loss of one validation batch: the weights are loaded by now."""
        if self._source is None or not self.sanity_check:
            return
        fp16 = getattr(runner.val_loop, "fp16", False)
        with self._rejecting(), autocast(enabled=fp16):
            self._source.sanity_check()

    def after_run(self, runner: Any) -> None:
        """Give the data loaders their datasets back."""
        # A data loader that two loops share has what the first replaced at its bottom.
        for source in reversed(list(self._sources.values())):
            source.data.restore()
        self._source = None

    def before_val(self, runner: Any) -> None:
        """Check what was built since ``before_run``."""
        self._prepare(runner, "val")

    def before_test(self, runner: Any) -> None:
        """Check the model and the test data, if asked to."""
        if self.test:
            self._prepare(runner, "test")

    def _before_epoch(self, runner: Any, mode: str = "train") -> None:
        """Keep nothing of another epoch."""
        self._pass, self._batch, self._names = None, 0, set()

    _after_epoch = _before_epoch

    def _before_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, mode: str = "train"
    ) -> None:
        """Replace the next ``val_step`` or, if asked to, ``test_step``."""
        if mode == "train":
            return
        self._remove_step()
        self._batch = batch_idx
        is_wanted = self.limit_batches is None or batch_idx < self.limit_batches
        is_wanted = is_wanted and (mode == "val" or self.test)
        if is_wanted and self._prepare(runner, mode):
            if batch_idx == 0 or self._pass is None:
                self._pass = ValidationPass(self._source, self._source.model)
            self._step = PatchedStep(runner.model, f"{mode}_step", self._run_step)
        elif not self._is_second(runner):
            split(data_batch)  # second views are for no one else

    def _after_iter(
        self, runner: Any, *args: Any, mode: str = "train", **kwargs: Any
    ) -> None:
        """Leave nothing on a model whose step was not called."""
        if mode != "train" and self._remove_step() and not self._off:
            with self._rejecting():
                raise UnsupportedError(
                    type_name(self._loop),
                    f"its iterations do not call {mode}_step of the runner's model",
                    "use a ValLoop, or monitor another metric",
                )

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        """Log what makes this val_loss one that cannot be compared."""
        last, self._last_names = self._last_names, self._names
        if last and self._last_names and self._last_names != last:
            other = ", ".join(sorted(self._last_names ^ last))
            warn_in_log(
                f"ValLossHook: {other} was reported by only one of this validation and "
                "the last one, so that their val_loss cannot be compared. Fix: return "
                "the same names from mode 'loss' in each validation"
            )
        if self._pass is not None and self._pass.saw_objects is False:
            warn_in_log(
                "ValLossHook: no batch of this validation had any ground truth, so its "
                "val_loss does not measure the predictions. Fix: load annotations in "
                "the validation pipeline"
            )
        super().after_val_epoch(runner, metrics)

    # One step.

    def _remove_step(self) -> bool:
        """Remove the patch of a step; return whether there was no call."""
        was_there = self._step is not None and self._step.remove()
        self._step = None
        return was_there

    def after_failed_run(self) -> None:
        """Leave nothing on the model and the data loaders, as ``after_run`` does."""
        self._remove_step()
        self._pass = None
        self.after_run(None)

    def _run_step(self, step: Any, *args: Any, **kwargs: Any) -> Any:
        current, element, batch = self._pass, None, None
        assert current is not None  # _before_iter has set it
        with self._rejecting():
            if not self._source.data.for_loss_alone:
                batch = current.take(args[0] if args else kwargs["data"])
        result = current.run_predictions(lambda: step(*args, **kwargs))
        with self._rejecting():
            if not self._off:
                element = self._element(current, result, batch)
        if element is None:
            return result
        self._names.update(element.loss)
        return [*result, element] if isinstance(result, list) else (*result, element)

    def _element(
        self, current: ValidationPass, result: Any, batch: Any
    ) -> Optional[BaseDataElement]:
        if current.has_element(result):
            self._switch_off(
                f"ValLossHook is not needed: {self._source.name} appends its loss "
                "element itself. Fix: remove the hook from the config"
            )
            return None
        dataloaders = self._source.data.dataloaders
        several = len(dataloaders) > 1
        number = 0 if several else loss_data.number_of_batches(dataloaders[0])
        number = min(number, self.limit_batches or number)
        if self._source.data.for_loss_alone:
            return current.element_of_all(number)
        losses = current.losses_of(batch, last=self._batch + 1 == number)
        return BaseDataElement(loss=forward.ComputedLosses(losses))

    def _is_second(self, runner: Any) -> bool:
        """Return whether another hook of this kind comes before this one."""
        return self in [one for one in runner.hooks if isinstance(one, ValLossHook)][1:]

    def _switch_off(self, reason: str) -> None:
        self._off = True
        self.after_run(None)
        warn_in_log(reason)

    # Whether there is a loss.

    def _prepare(self, runner: Any, phase: str) -> bool:
        """Return whether losses of this phase are to be computed."""
        if self._off:
            return False
        if self._is_second(runner):
            self._switch_off(
                "there is more than one ValLossHook in this training. The first one "
                "reports the losses, with its own options. This one is disabled. Fix: "
                "keep one of them; a base config may have another"
            )
            return False
        # A hook of the user may run another loop than that of the runner.
        self._phase = phase
        self._loop = running_loop() or getattr(runner, f"{phase}_loop")
        source = self._sources.get(self._loop)
        with self._rejecting():
            model = forward.unwrap_model(runner.model)
            if source is None or source.model is not model:
                data = self._make_data(runner) if source is None else source.data
                reuse = self.strategy == "auto" and "val_step" not in vars(runner.model)
                source = self._sources[self._loop] = LossSource(model, data, reuse)
            source.data.install()  # after_run puts the datasets back
            self._source = source
        return not self._off

    def _make_data(self, runner: Any) -> loss_data.LossData:
        loop, phase = self._loop, self._phase
        validation = getattr(loop, "dataloader", None)
        if loop is getattr(runner, f"_{phase}_loop", None):
            validation = getattr(runner, f"_{phase}_dataloader", None)

        def load(config: Any) -> List[Any]:
            if config is not None:
                return [loss_data.build_loader(runner, config)]
            # mmagic's MultiValLoop has several.
            return list(getattr(loop, "dataloaders", None) or [loop.dataloader])

        data = loss_data.data_for_losses(
            self, validation, loss_data.training_of(runner), load
        )
        if self.sanity_check:
            forward.on_all_ranks(data.check_frame)
        if data.notes:
            text = f"ValLossHook: the loss gets {'; '.join(data.notes)}"
            warn_in_log(text, logging.INFO)
        if self.limit_batches is not None:
            warn_in_log(
                "ValLossHook: val_loss is computed on the first "
                f"{self.limit_batches} batches alone (limit_batches)"
            )
        return data

    @contextmanager
    def _rejecting(self) -> Iterator[None]:
        """Log a rejection, if so asked, and report no loss from now on.

        It is raised all the same if losses of other batches of this epoch were recorded
        and cannot be removed: a mean over a part is not the validation loss.
        """
        try:
            yield
        except UnsupportedError as error:
            if self.on_unsupported == "error" or not self._removed_losses():
                self.after_run(None)  # mmengine will not call it
                raise
            self.has_rejected = True
            self._switch_off(str(error))

    def _removed_losses(self) -> bool:
        """Remove the losses of this epoch; return whether none are left."""
        if get_world_size() > 1:
            return not self._names and self._batch == 0
        if self._names:
            meters = getattr(self._loop, f"{self._phase}_loss", None)
            # A loop may have a value of its own there, which holds none of them.
            if not isinstance(meters, dict) or not meters:
                return False
            meters.clear()
        return True


def _check_arguments(
    strategy: Any, on_unsupported: Any, dataloader: Any, limit_batches: Any
) -> None:
    """Raise ValueError if an option is not known or contradicts another."""
    for name, value, known in (
        ("strategy", strategy, _STRATEGIES),
        ("on_unsupported", on_unsupported, ("error", "warn")),
    ):
        if value not in known:
            raise ValueError(f"{name} is {value!r}, but one of {known} is expected")
    is_number = type(limit_batches) is int and limit_batches > 0
    if limit_batches is not None and not is_number:
        raise ValueError(
            f"limit_batches is {limit_batches!r}, but a number of batches is expected, "
            "1 or more, or None for all"
        )
    if (strategy == "dataloader") != (dataloader is not None):
        raise ValueError(
            f"strategy is {strategy!r} and dataloader is "
            f"{'None' if dataloader is None else 'given'}, but a dataloader is "
            "expected with strategy='dataloader', and with no other strategy"
        )
    has = dataloader if isinstance(dataloader, Mapping) else dir(dataloader)
    missing = [key for key in ("dataset", "sampler") if key not in has]
    if dataloader is not None and missing:
        raise ValueError(
            f"dataloader is a {type_name(dataloader)} without "
            f"{' and '.join(missing)}, but a torch DataLoader is expected, or a config "
            "like val_dataloader, with dataset=dict(type=..., pipeline=[...]) and "
            "sampler=dict(type='DefaultSampler', shuffle=False)"
        )
