"""Outputs of modules in the predictions, reused for the loss of the same batch.

A module is reused only if no class in it reads ``self.training`` and its inputs are
bit for bit those of the prediction. That its output is so too, the self-check
verifies on the first batch of each validation.
"""

from __future__ import annotations

import copy
import functools
import re
import types
from contextlib import suppress
from typing import Any, Callable, Dict, List, Mapping, Optional, Set

import torch

from valloss_compat._loss_forward.content import Held, alike
from valloss_compat._loss_forward.frozen_training import is_frozen_kind
from valloss_compat._loss_forward.isolation import Restoring

#: Classes of these packages are verified by their output alone: bases of all modules,
#: and bricks of mmcv, which look at the `training` of a norm that is frozen.
_BASE_PACKAGES = ("torch", "builtins", "mmengine", "mmcv", "abc")
#: Attention reads `self.training` for the dropout of its weights, which is frozen.
_ATTENTION = re.compile("atten", re.IGNORECASE)
#: Calls of one module that are recorded in a batch. Flip tests make two; slide mode
#: makes dozens, none of which the loss repeats.
_MOST_CALLS = 2
#: What functions, class and static methods, properties and decorated functions hold.
_CODE_OF = ("__code__", "__func__", "fget", "__wrapped__")


def reusable_modules(model: Any) -> Dict[str, Any]:
    """Return the parts of a model that give the same in eval and in training mode.

    They are children of the model, by their names. It has to be in eval mode.
    """
    if _is_replaced(model):  # torch would compile what records the calls
        return {}
    return {
        name: child
        for name, child in model.named_children()
        if name != "data_preprocessor" and all(map(_is_reusable, child.modules()))
    }


def _is_reusable(module: Any) -> bool:
    scripted = isinstance(module, torch.jit.ScriptModule)
    if module.training or scripted or _is_replaced(module):
        return False
    if is_frozen_kind(module) or _ATTENTION.search(type(module).__name__):
        return True
    return not any(map(reads_training, type(module).__mro__))


def _is_replaced(module: Any) -> bool:
    """Return whether a module runs another function than its class's ``forward``."""
    own = vars(module)  # torch.compile sets either of these
    return "forward" in own or own.get("_compiled_call_impl") is not None


@functools.lru_cache(maxsize=None)
def reads_training(cls: type) -> bool:
    """Return whether a method of a class looks at ``training``."""
    package = cls.__module__.partition(".")[0]
    return package not in _BASE_PACKAGES and any(map(_reads, vars(cls).values()))


def _reads(value: Any) -> bool:
    if isinstance(value, types.CodeType):  # with that of the functions in it
        return "training" in value.co_names or any(map(_reads, value.co_consts))
    held = [getattr(value, name, None) for name in _CODE_OF]
    code = (types.CodeType, types.FunctionType)
    return any(_reads(item) for item in held if isinstance(item, code))


class ReplacedForwards(Restoring):
    """Replaces ``forward`` on instances by a function that gets it with their names."""

    def __init__(
        self, modules: Mapping[str, Any], function: Callable[..., Any]
    ) -> None:
        self._modules, self._function = modules, function

    def __enter__(self) -> None:
        for name, module in self._modules.items():
            replacement = functools.partial(self._function, name, module.forward)
            vars(module)["forward"] = replacement

    def restore(self) -> None:
        """Remove the functions: no module had one of its own."""
        for module in self._modules.values():
            vars(module).pop("forward", None)


class ForwardCache:
    """The calls of some modules in the predictions of one batch."""

    def __init__(self, modules: Dict[str, Any]) -> None:
        self._modules = modules
        self._calls: Dict[str, List[Any]] = {}  # arguments and output of each
        self.names = set(modules)  # of modules that may be reused
        self.used: Set[str] = set()  # those that were

    def recording(self) -> ReplacedForwards:
        """Return a context in which calls of the modules are recorded."""
        self._calls = {name: [] for name in self.names}
        modules = {name: self._modules[name] for name in self.names}
        return ReplacedForwards(modules, self._record)

    def _record(self, _name: str, _forward: Any, *args: Any, **kwargs: Any) -> Any:
        output = _forward(*args, **kwargs)
        if len(self._calls[_name]) < _MOST_CALLS:
            # A tensor with a gradient has no copy, others not for lack of memory.
            with suppress(Exception):
                self._calls[_name].append(copy.deepcopy(((args, kwargs), output)))
        return output

    def answering(
        self, replica: Any, verify: Optional[List[int]] = None
    ) -> ReplacedForwards:
        """Return a context in which modules of a replica reuse what was recorded.

        With ``verify``, to which the ids of modules are appended as attributes of them
        are set, modules run all the same. ``names`` loses those with another output, as
        of what draws or writes into its arguments, those that write into themselves, as
        a later batch would find what this one wrote, and those with forward hooks that
        act.
        """
        children = dict(replica.named_children())
        calls = self._calls

        def answer(_name: str, _forward: Any, *args: Any, **kwargs: Any) -> Any:
            known = calls.get(_name, [])
            equal = (call for call in known if alike((args, kwargs), call[0]))
            call = next(equal, None)
            if call is None:
                return _forward(*args, **kwargs)
            self.used.add(_name)
            if verify is None:  # given once: the loss may write into it
                calls[_name] = [other for other in known if other is not call]
                return call[1]
            modules = list(children[_name].modules())
            start, before = len(verify), Held(*map(vars, modules))
            output = _forward(*args, **kwargs)
            if (
                set(verify[start:]).intersection(map(id, modules))
                or any(one._forward_hooks or one._forward_pre_hooks for one in modules)
                or not before.same()
                or not alike(output, call[1])
            ):
                self.names.discard(_name)
            return output

        return ReplacedForwards({name: children[name] for name in self.names}, answer)
