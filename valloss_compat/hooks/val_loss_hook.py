"""``ValLossHook``: a validation loss from a model that appends none."""

from __future__ import annotations

from typing import Any, Callable, Collection, List, Mapping, Optional, Set, Tuple, Union

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop
from mmengine.structures import BaseDataElement

from valloss_compat._libraries import Rejection
from valloss_compat._loss_forward import checks
from valloss_compat._loss_forward.checks import already_there, check_equal_batches
from valloss_compat._loss_forward.forward import SecondForward, unwrap
from valloss_compat._loss_forward.loader import LossLoader
from valloss_compat._loss_forward.reuse import Memo
from valloss_compat._recording.monitor_warnings import warn_in_log
from valloss_compat.errors import UnsupportedError

#: Gets the model's own ``val_step`` and the arguments of the call.
Around = Callable[..., Any]


class StepShadow:
    """Stands before the ``val_step`` of a model for one call.

    It is put into the model's own namespace, past ``nn.Module.__setattr__``,
    and takes itself off before anything runs, so that nothing is left behind
    whatever is raised.

    Args:
        model (nn.Module): What a loop calls: the model or its wrapper.
        around (Callable): ``around(val_step, *args, **kwargs)``.
    """

    __slots__ = ("_around", "_before", "_model")

    def __init__(self, model: Any, around: Around) -> None:
        self._model = model
        self._around = around
        own = vars(model)
        # What stood on the instance (a compiled one, say), as a 0- or 1-tuple.
        self._before: Tuple[Any, ...] = (own["val_step"],) if "val_step" in own else ()
        own["val_step"] = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take itself off, and hand the call on."""
        self.remove()
        # Who kept this past its time gets what the model has by now.
        return self._around(self._model.val_step, *args, **kwargs)

    def remove(self) -> bool:
        """Put back what was there.

        Returns:
            bool: Whether it was still on: there was no call.
        """
        own = vars(self._model)
        if own.get("val_step") is not self:
            return False
        if self._before:
            own["val_step"] = self._before[0]
        else:
            del own["val_step"]
        return True


class ValLossHook(Hook):
    """Gives a validation loss to a model that appends no loss element.

    In each validation step the model runs as ever, and then in mode ``'loss'``
    on a copy of the batch that was made before: in eval mode, without
    gradients. Predictions, metrics, what hooks get, the model's state, the
    random state and so all later training are what they are without the hook.
    The losses are reduced as in training and reported as those of a model
    that appends ``BaseDataElement(loss={...})`` itself: with their names, and
    as ``val_loss`` the sum of those with ``loss`` in the name.

    What is not known to give the right number is refused: the tables are in
    :mod:`valloss_compat._libraries`. Forward hooks of modules see the loss run
    as well; where there are any, nothing is shared.

    Args:
        strategy (str): ``'auto'``: backbone and heads that get the very same
            arguments for predictions and loss run once. ``'second_forward'``:
            all runs twice. ``'dataloader'``: the losses are those of a
            dataloader of their own, of which all is run once a validation.
            Defaults to ``'auto'``.
        on_unsupported (str): ``'error'``: what is refused ends the run, before
            the training where it shows by then. ``'warn'``: it is logged, and
            there is no validation loss; but on several ranks, what shows in a
            batch only raises. Defaults to ``'error'``.
        dataloader (dict or DataLoader, optional): For ``'dataloader'``: as
            ``val_dataloader``, with the train pipeline without its random
            transforms. Defaults to None.
        trust (Collection[str], optional): Full names of classes
            (``'my.module.Model'``) that the tables do not know, and for whose
            loss in eval mode you answer. Defaults to None.

    Raises:
        ValueError: If an option is not known or contradicts another.
    """

    #: Last, so that no other hook can raise between it and the step.
    priority = "LOWEST"

    def __init__(
        self,
        strategy: str = "auto",
        on_unsupported: str = "error",
        dataloader: Optional[Union[Mapping[str, Any], Any]] = None,
        trust: Optional[Collection[str]] = None,
    ) -> None:
        checks.check_arguments(strategy, on_unsupported, dataloader, trust)
        self.strategy = strategy
        self.on_unsupported = on_unsupported
        self.dataloader = dataloader
        self.trust = tuple(trust or ())
        self._runner: Any = None
        self._losses: Optional[SecondForward] = None
        self._loader: Optional[LossLoader] = None
        self._shadow: Optional[StepShadow] = None
        self._off = False
        self.has_refused = False  # for who misses the loss
        self._reported = False
        self._reported_hooks = False
        self._seen: Set[str] = set()  # names of losses, of this validation
        self._names: Set[str] = set()  # and of the last one

    # What mmengine calls.

    def before_run(self, runner: Any) -> None:
        """Judge the model and its data before any training."""
        if isinstance(getattr(runner, "_val_loop", None), BaseLoop):
            self._ready(runner)

    def before_val(self, runner: Any) -> None:
        """Check components built since ``before_run``, and make this hook run last."""
        others = [hook for hook in runner._hooks if hook is not self]
        if len(others) < len(runner._hooks) and runner._hooks[-1] is not self:
            runner._hooks = [*others, self]
        self._ready(runner)

    def before_val_epoch(self, runner: Any) -> None:
        """Losses of this epoch are to come."""
        self._reported = False

    def before_val_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Stand before the next ``val_step``."""
        self._disarm()
        if self._ready(runner):
            self._shadow = StepShadow(runner.model, self._step)

    def after_val_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        """Leave nothing on a model whose ``val_step`` was not called."""
        if self._disarm() and not self._off:
            self._refuse(
                Rejection(
                    type(runner.val_loop).__name__,
                    "its iterations do not call val_step of the runner's model",
                    "a ValLoop, or another metric to monitor",
                )
            )

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        """Say where this val_loss is of other parts than the last one."""
        before, self._names, self._seen = self._names, self._seen, set()
        if before and self._names and self._names != before:
            other = ", ".join(sorted(self._names ^ before))
            warn_in_log(
                f"ValLossHook: only one of this validation and the last has {other}; "
                "their val_loss are no numbers to compare"
            )
        self._runner = None  # it is not kept beyond its validation

    # One step.

    def _step(self, val_step: Any, *args: Any, **kwargs: Any) -> Any:
        losses = self._losses
        assert losses is not None  # _ready was
        try:
            data = args[0] if args else kwargs["data"]
            batch = None if self._loader else losses.copy_of(data)
        except UnsupportedError as error:
            self._refuse(error.rejection, of_batch=True)
            return val_step(*args, **kwargs)
        share = self.strategy == "auto" and "val_step" not in vars(self._runner.model)
        with Memo(
            losses.model, losses.shared() if share else [], losses.devices
        ) as memo:
            result = val_step(*args, **kwargs)
            try:
                element = self._element(losses, result, batch, memo)
            except UnsupportedError as error:
                self._refuse(error.rejection, of_batch=True)
                return result
        if memo.watched and not self._reported_hooks:
            self._reported_hooks = True
            warn_in_log(
                f"ValLossHook: modules of {type(losses.model).__name__} have forward "
                "hooks; these see mode 'loss' as well, and nothing is shared"
            )
        if element is None:
            return result
        self._reported = True
        self._seen.update(element.loss)
        return [*result, element] if isinstance(result, list) else (*result, element)

    def _element(
        self, losses: SecondForward, result: Any, batch: Any, memo: Memo
    ) -> Any:
        name = type(losses.model).__name__
        reason = already_there(result, name, self._another())
        if reason:
            self._off = True
            warn_in_log(reason)
            return None
        if self._loader is None:
            return BaseDataElement(loss=losses.losses_of(batch, memo=memo))
        return None if self._reported else self._loader.element(losses)

    def _another(self) -> bool:
        """Whether the elements may be those of a hook of this kind before this one."""
        hooks = list(self._runner.hooks)
        before = hooks[: [hook is self for hook in hooks].index(True)]
        return any(isinstance(one, ValLossHook) and not one._off for one in before)

    def _disarm(self) -> bool:
        shadow, self._shadow = self._shadow, None
        return shadow is not None and shadow.remove()

    # Whether there is a loss.

    def _ready(self, runner: Any) -> bool:
        self._runner = runner
        if self._off:
            return False
        try:
            model = unwrap(runner.model)
            if self._losses is None or self._losses.model is not model:
                loop = runner.val_loop
                losses = SecondForward.judged(model, self._loader_or(loop), self.trust)
                if self._loader is not None:
                    self._loader.judge(losses, self.trust)
                self._losses = losses
                if losses.adapter.may_sync:
                    check_equal_batches(model, (self._loader or loop).dataloader)
        except UnsupportedError as error:
            self._refuse(error.rejection)
        return not self._off

    def _loader_or(self, loop: Any) -> Optional[List[Any]]:
        """The datasets of a loop; None where the losses have their own."""
        if self.dataloader is not None:
            self._loader = self._loader or LossLoader(self._runner, self.dataloader)
            return None
        several = getattr(loop, "dataloaders", None)
        return [d.dataset for d in several or [loop.dataloader]]

    def _refuse(self, refusal: Rejection, of_batch: bool = False) -> None:
        """Raise or, if so asked, log it, and report no loss from now on.

        Raises:
            UnsupportedError: As asked for; also where the losses of other
                batches of this epoch cannot be taken back (other ranks keep
                them), as a mean over a part is not the validation loss.
        """
        if self.on_unsupported == "error" or (of_batch and not self._taken_back()):
            raise UnsupportedError(refusal)
        self._off = self.has_refused = True
        warn_in_log(f"ValLossHook has no validation loss: {refusal}")

    def _taken_back(self) -> bool:
        """Whether no loss of this epoch is left, on the one rank there is."""
        if get_world_size() > 1:
            return False
        if self._reported:
            meters = getattr(self._runner.val_loop, "val_loss", None)
            if not isinstance(meters, dict):
                return False
            meters.clear()
        return True
