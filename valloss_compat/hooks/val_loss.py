"""``ValLossHook``: a validation loss from a model that appends none."""

from __future__ import annotations

from typing import Any, Collection, Mapping, Optional

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop
from mmengine.structures import BaseDataElement

from valloss_compat.adapters import UnsupportedError, adapter_for, facts, judge
from valloss_compat.val_loss.memo import Memo, hooked
from valloss_compat.val_loss.rng import accelerators_of
from valloss_compat.val_loss.second_forward import SecondForward
from valloss_compat.val_loss.shadow import StepShadow
from valloss_compat.val_loss.wrappers import unwrap

_STRATEGIES = ("auto", "second_forward", "dataloader")


class ValLossHook(Hook):
    """Appends the loss element to what the model's ``val_step`` returns.

    In each validation step the model runs as ever, and then in mode ``'loss'``
    on a copy of the batch that was made before: in eval mode, without
    gradients, with the random state and the state of the model put back
    afterwards. What is not known to give the right number is refused.

    Args:
        strategy (str): ``'auto'``: backbone and heads that get the very same
            arguments for predictions and loss run once. ``'second_forward'``:
            they run twice. ``'dataloader'``: the losses are those of a
            dataloader of their own, run once a validation. Defaults to
            ``'auto'``.
        on_unsupported (str): ``'error'``: what is refused ends the run, before
            training where it shows then. ``'warn'``: it is logged, and there
            is no validation loss. Defaults to ``'error'``.
        dataloader (dict, optional): For ``'dataloader'``, a config as of
            ``val_dataloader``, with the train pipeline without its random
            transforms. Defaults to None.
        trust (Collection[str]): Full names of classes (``'my.module.Model'``)
            that the tables of this package do not know, and for whose loss in
            eval mode you answer. Defaults to none.

    Raises:
        ValueError: If an option is not known or contradicts another.
    """

    #: Last, so that no other hook can raise between it and the step.
    priority = "LOWEST"

    def __init__(
        self,
        strategy: str = "auto",
        on_unsupported: str = "error",
        dataloader: Optional[Mapping[str, Any]] = None,
        trust: Collection[str] = (),
    ) -> None:
        if strategy not in _STRATEGIES:
            raise ValueError(
                f"strategy is {strategy!r}, but one of {_STRATEGIES} is expected"
            )
        if on_unsupported not in ("error", "warn"):
            raise ValueError(
                f"on_unsupported is {on_unsupported!r}, but 'error' or 'warn' is expected"
            )
        self.strategy = strategy
        self.on_unsupported = on_unsupported
        self.dataloader = dataloader
        self.trust = tuple(trust)
        self._losses: Optional[SecondForward] = None
        self._shadow: Optional[StepShadow] = None
        self._off = False

    # What mmengine calls.

    def before_run(self, runner: Any) -> None:
        """Judge model and data before any training."""
        if isinstance(getattr(runner, "_val_loop", None), BaseLoop):
            self._ready(runner)

    def before_val(self, runner: Any) -> None:
        """Judge them now where they were made since; be the last of the hooks."""
        self._ready(runner)

    def before_val_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Stand before the next ``val_step``."""
        self._disarm()
        if self._ready(runner):
            self._shadow = StepShadow(runner.model, self._step)

    def after_val_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        """See that nothing is left where no ``val_step`` was called."""
        self._disarm()

    # One step.

    def _step(self, val_step: Any, *args: Any, **kwargs: Any) -> Any:
        losses = self._losses
        assert losses is not None
        batch = losses.copy_of(args[0] if args else kwargs["data"])
        share = self.strategy == "auto" and not hooked(losses.model)
        modules = self._adapter.shared(losses.model) if share else []
        with Memo(losses.model, modules, accelerators_of(losses.model)) as memo:
            result = val_step(*args, **kwargs)
            memo.replay()
            reduced = losses.losses_of(batch)
        element = BaseDataElement(loss=reduced)
        return [*result, element] if isinstance(result, list) else (*result, element)

    def _disarm(self) -> None:
        if self._shadow is not None:
            self._shadow.remove()
            self._shadow = None

    # Whether there is a loss.

    def _ready(self, runner: Any) -> bool:
        if self._off:
            return False
        model = unwrap(runner.model)
        if self._losses is None or self._losses.model is not model:
            part = facts.of_model(model)
            pipelines = facts.pipelines_of(runner.val_loop.dataloader.dataset)
            seen = judge(part, pipelines, self.trust)
            if seen.refusals:
                raise UnsupportedError(seen.refusals[0])
            self._adapter = adapter_for(part, self.trust)
            self._losses = SecondForward(model, self._adapter, pipelines)
        return True
