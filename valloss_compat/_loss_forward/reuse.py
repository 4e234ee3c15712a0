"""Backbones and heads that run once for predictions and loss.

Each shared module keeps copies of what its ``forward`` got and returned for the
predictions, made before anybody could write into them, in whatever way (numpy's
writes are not counted). The loss gets the copy of the result, if its arguments
are bit for bit those of then. Where any of this cannot be told, the module runs
again: the number is that of a plain second forward.
"""

from __future__ import annotations

from typing import Any, Callable, Iterable, List, NamedTuple, Tuple

import torch
from torch.nn.modules import module as torch_module

from valloss_compat._loss_forward.content import Unknown, copy, same, tree
from valloss_compat._loss_forward.isolation import RandomState


class _Call(NamedTuple):
    arguments: Any
    result: Any
    context: Tuple[Any, ...]


class Memo:
    """Shares modules for the length of one step.

    Args:
        model (nn.Module): The model, without wrappers.
        modules (Iterable[nn.Module]): What may be shared.
        devices (Iterable[torch.device]): Accelerators in use.

    Attributes:
        hits (int): How many calls were answered from memory.
        watched (bool): Whether the model has forward hooks, which see what runs.
    """

    def __init__(
        self, model: Any, modules: Iterable[Any], devices: Iterable[torch.device] = ()
    ) -> None:
        self.hits = 0
        self.devices = tuple(devices)
        self._replaying = False
        self._forwards: List[_Remembering] = []
        inner = [module for _, module in tree(model)]
        self.watched = watched(inner)
        if not self.watched and shareable(inner):
            self._forwards = [_Remembering(self, module) for module in modules]

    def __enter__(self) -> Memo:
        for forward in self._forwards:
            vars(forward.module)["forward"] = forward
        return self

    def __exit__(self, *error: Any) -> None:
        for forward in self._forwards:
            vars(forward.module).pop("forward", None)
        self._forwards = []

    @property
    def modules(self) -> List[Any]:
        """The modules that remember."""
        return [forward.module for forward in self._forwards]

    def replay(self, about_to_run: Callable[[Any], None] = lambda module: None) -> None:
        """The predictions are there; from now on it is the loss that asks.

        Args:
            about_to_run (Callable): Called with a module that has no answer.
        """
        self._replaying = True
        self.about_to_run = about_to_run


class _Remembering:
    """The ``forward`` of a module, with a memory."""

    def __init__(self, memo: Memo, module: Any) -> None:
        self.module = module
        self._memo = memo
        self._forward: Callable[..., Any] = module.forward
        self._calls: List[_Call] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._memo._replaying:
            return self._answer(args, kwargs)
        try:
            arguments = copy((args, kwargs))
        except Unknown:
            return self._forward(*args, **kwargs)
        before = RandomState(self._memo.devices)
        result = self._forward(*args, **kwargs)
        # One that writes into its arguments does more than to return something.
        if same((args, kwargs), arguments) and before.same():
            self._remember(arguments, result)
        return result

    def _answer(self, args: Any, kwargs: Any) -> Any:
        for index, call in enumerate(self._calls):
            if call.context == _context() and same((args, kwargs), call.arguments):
                self._memo.hits += 1
                # Handed over: the loss may write into it, so it answers once.
                return self._calls.pop(index).result
        self._memo.about_to_run(self.module)
        return self._forward(*args, **kwargs)

    def _remember(self, arguments: Any, result: Any) -> None:
        try:
            self._calls.append(_Call(arguments, copy(result), _context()))
        except Unknown:
            return


def watched(modules: List[Any]) -> bool:
    """Whether somebody sees some of these modules run: hooks of them, or of all."""
    if any(
        getattr(torch_module, name, None)
        for name in ("_global_forward_hooks", "_global_forward_pre_hooks")
    ):
        return True
    return any(m._forward_hooks or m._forward_pre_hooks for m in modules)


def shareable(modules: List[Any]) -> bool:
    """Whether these, a model's, may be answered for without running them.

    Not where their ``forward`` was replaced (``torch.compile``, tracing), or
    where two runs differ (training mode).
    """
    return not any(
        module.training
        or "forward" in vars(module)
        or isinstance(module, torch.jit.ScriptModule)
        for module in modules
    )


def _context() -> Tuple[Any, ...]:
    """What the same call depends on besides its arguments."""
    modes: List[Any] = [torch.is_grad_enabled()]
    if hasattr(torch, "get_autocast_dtype"):  # from torch 2.4 on
        for kind in ("cpu", "cuda"):
            modes += [torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)]
        return tuple(modes)
    for name in (
        "is_autocast_enabled",
        "is_autocast_cpu_enabled",
        "get_autocast_gpu_dtype",
        "get_autocast_cpu_dtype",
    ):
        # By name: some releases of torch make a new dtype object for each answer.
        modes.append(str(getattr(torch, name, bool)()))
    return tuple(modes)
