"""A copy of a model that owns everything but the parameters.

Mode ``'loss'`` runs on it, so that the training's model is never written to, and
nothing on it has to be compared or restored.
"""

from __future__ import annotations

import copy
import functools
import logging
import types
from collections import deque
from contextlib import suppress
from typing import Any, Collection, Dict, Iterator, List, NamedTuple, Set, Tuple

import torch
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner
from torch import nn
from torch.utils.data import DataLoader

from valloss_compat._config import type_name
from valloss_compat._loss_forward.content import Held, alike
from valloss_compat._loss_forward.isolation import Restoring
from valloss_compat.errors import UnsupportedError

#: What a model may refer to without owning it.
_NOT_OWNED: Tuple[Any, ...] = (
    *(logging.Logger, logging.Handler, types.ModuleType),
    *(Runner, BaseLoop, Hook, DataLoader),
    *(getattr(torch.distributed, name, ()) for name in ("ProcessGroup", "Store")),
)
_ATOMIC = (
    *(type, types.FunctionType, types.BuiltinFunctionType, torch.dtype, torch.device),
    *(str, bytes, int, float, type(None)),
)
#: What nn.Module keeps in each instance for itself.
_INTERNAL = frozenset(vars(nn.Module()))
#: Random augmentations of a batch in data preprocessors of the libraries.
_AUGMENTATIONS = ("batch_augments", "blending")


class Replica:
    """A deep copy of a model with the same parameters.

    Buffers, Python attributes, flags and caches are its own. Wrapped and compiled
    ``forward`` functions on instances are bound to the copied modules. What the model
    refers to without owning it (the runner, loggers, data loaders) is shared.
    ``watching_hooks`` are those of :class:`HooksThatWatch`. Predictions do not share
    the parameters, as they may change them.

    Raises:
        UnsupportedError: If the model holds something that cannot be copied. The
            message has its path.
    """

    def __init__(
        self,
        model: Any,
        watching_hooks: Collection[int] = (),
        share_parameters: bool = True,
    ) -> None:
        self.changes: List[Change] = []  # of a loss, which are restored
        self._untouched: List[Tuple[str, Any, Any]] = []
        originals, self.parameters, memo = _collect(model)
        if not share_parameters:
            for parameter in self.parameters.values():
                del memo[id(parameter)]
        try:
            self.model = copy.deepcopy(model, memo)
        except Exception as error:
            raise UnsupportedError(
                _uncopyable_path(model) or type_name(model),
                f"it cannot be copied ({type(error).__name__}: {error}), but mode "
                "'loss' runs on a copy of the model",
                "keep it outside of the model, or define __deepcopy__ in its class",
            ) from error
        #: Path, original and copy of each module, including those that are no
        #: submodules, such as a teacher in a list.
        self.modules = [
            (path, original, memo[id(original)])
            for path, original in originals
            if id(original) in memo  # a __deepcopy__ may share what it holds
        ]
        for path, original, copied in self.modules:
            _rebind(original, copied, memo)
            for hooks, kept in zip(_hooks_of(original), _hooks_of(copied)):
                for key, hook in hooks.items():
                    if key in watching_hooks and kept.get(key) is hook:
                        del kept[key]
            if "data_preprocessor" in path.split("."):
                for name in _AUGMENTATIONS:
                    if hasattr(copied, name):
                        setattr(copied, name, None)

    def find_changes(self, untouched: Replica) -> None:
        """Find what a loss changed, by a replica made at the same time."""
        self.changes = []
        for (path, _, one), (_, _, other) in zip(self.modules, untouched.modules):
            if isinstance(one, torch.jit.ScriptModule):
                continue
            pairs = (vars(one), vars(other)), (one._buffers, other._buffers)
            for held, saved in pairs:
                for name in {**saved, **held}:
                    now, before = held.get(name, _MISSING), saved.get(name, _MISSING)
                    if name not in _INTERNAL and not alike(now, before):
                        full = f"{path}.{name}".lstrip(".")
                        self.changes.append(Change(full, name, held, before))
        self._untouched = untouched.modules if self.changes else []

    def restore(self) -> None:
        """Restore all that :meth:`find_changes` found."""
        pairs = zip(self._untouched, self.modules)
        modules = {id(other): one for (_, _, other), (_, _, one) in pairs}
        saved = [change.saved for change in self.changes]
        memo = {**_collect(saved, modules)[2], **modules}
        for change in self.changes:
            if change.saved is _MISSING:
                change.held.pop(change.name, None)
            else:
                change.held[change.name] = copy.deepcopy(change.saved, memo)


_MISSING = object()


class Change(NamedTuple):
    """An attribute or buffer that mode ``'loss'`` changed."""

    path: str
    name: str
    held: Dict[str, Any]  #: All attributes or buffers of its module.
    saved: Any  #: Its value before.


def _collect(held: Any, known: Collection[int] = ()) -> Tuple[Any, Any, Dict[int, Any]]:
    """Return modules and parameters with their paths, and a memo for deepcopy.

    ``known`` has the ids of modules that are not entered.
    """
    modules: List[Tuple[str, Any]] = []
    parameters: Dict[str, torch.Tensor] = {}
    memo: Dict[int, Any] = {}
    owned = set(known)
    for path, item in _reachable(held, owned):
        if isinstance(item, nn.Module):
            modules.append((path, item))
        elif isinstance(item, _NOT_OWNED) or item is torch.default_generator:
            memo[id(item)] = item
            owned.discard(id(item))
        elif isinstance(item, torch.Generator):  # deepcopy cannot copy it
            memo[id(item)] = copied = torch.Generator(device=item.device)
            copied.set_state(item.get_state())
        elif isinstance(item, nn.Parameter) or (item.requires_grad and item.is_leaf):
            parameters[path] = memo[id(item)] = item
        elif item.requires_grad or item.layout is not torch.strided:
            # deepcopy rejects a tensor of a graph, and a sparse one of some kinds
            memo[id(item)] = item.detach().clone()
    for _, module in modules:
        for hooks in _hooks_of(module):
            for hook in hooks.values():
                owner = getattr(hook, "__self__", hook)
                held = map(id, [owner, *getattr(owner, "__dict__", {}).values()])
                if not isinstance(hook, types.FunctionType) and owned.isdisjoint(held):
                    memo[id(hook)] = hook
    return modules, parameters, memo


def _uncopyable_path(model: Any) -> str:
    """Find the attribute that deepcopy failed for."""
    modules, _, memo = _collect(model)
    memo.update((id(module), module) for _, module in modules)
    for path, module in modules:
        for name, value in vars(module).items():
            try:
                copy.deepcopy(value, dict(memo))
            except Exception:
                return f"{path}.{name}".lstrip(".")
    return ""


def _reachable(model: Any, seen: Set[int]) -> Iterator[Tuple[str, Any]]:
    """Yield, with its path, what a deep copy of a model has to treat specially.

    ``seen`` gets the ids of all objects that the model holds.
    """
    waiting = [("", model)]
    while waiting:
        path, item = waiting.pop()
        # Constants and empty tuples are shared by all, and so owned by none.
        empty = type(item) is tuple and not item
        if empty or isinstance(item, _ATOMIC) or id(item) in seen:
            continue
        seen.add(id(item))
        inner: Any = {}
        if isinstance(item, nn.Module):
            yield path, item
            if not isinstance(item, torch.jit.ScriptModule):
                inner = {n: v for n, v in vars(item).items() if n not in _INTERNAL}
                inner = {**inner, **item._parameters, **item._buffers, **item._modules}
        elif isinstance(item, (torch.Tensor, torch.Generator, *_NOT_OWNED)):
            yield path, item
        elif isinstance(item, dict):
            inner = item
        elif isinstance(item, (list, tuple, set, deque)):
            inner = dict(enumerate(item))
        elif isinstance(item, types.MethodType):
            inner = {"__self__": item.__self__}
        else:
            inner = getattr(item, "__dict__", {})
        start = f"{path}." if path else ""
        waiting += [(f"{start}{n}", v) for n, v in reversed(list(inner.items()))]


def _rebind(original: Any, copied: Any, memo: Dict[int, Any]) -> None:
    """Bind functions that an instance holds to the copied modules.

    deepcopy takes functions as they are, so a ``forward`` that mmengine's activation
    checkpointing wrapped on the instance would run the training's module.
    """
    own, copies = vars(original), vars(copied)
    # Hooks are in dicts, too.
    inner = (n for n, v in own.items() if isinstance(v, (dict, list)) and n in copies)
    places = [(own, copies), *((own[name], copies[name]) for name in inner)]
    for held, kept in places:
        for key, item in held.items() if isinstance(held, dict) else enumerate(held):
            if isinstance(item, types.FunctionType):
                kept[key] = _rebound(item, memo)
    if copies.get("_compiled_call_impl") is not None:  # of torch.compile
        copies["_compiled_call_impl"] = None


#: The attribute of a function that torch compiled.
_COMPILED_FROM = "_torchdynamo_orig_callable"


def _rebound(value: Any, memo: Dict[int, Any]) -> Any:
    """Return a function on the copies of the objects in its closure and defaults."""
    if isinstance(value, types.MethodType):
        owner = memo.get(id(value.__self__), value.__self__)
        return value if owner is value.__self__ else value.__func__.__get__(owner)
    if id(value) in memo or not isinstance(value, types.FunctionType):
        return memo.get(id(value), value)
    if _COMPILED_FROM in vars(value):
        return _rebound(vars(value)[_COMPILED_FROM], memo)
    cells = value.__closure__ or ()
    bound: Any = types.FunctionType(
        *(value.__code__, value.__globals__, value.__name__, None),
        tuple(_empty_cell() for _ in cells),
    )
    vars(bound).update(vars(value))
    memo[id(value)] = bound  # it may call itself
    changed = []

    def replaced(item: Any) -> Any:
        copied = _rebound(item, memo)
        changed.append(copied is not item and copied is not bound)
        return copied

    for cell, own in zip(cells, bound.__closure__ or ()):
        with suppress(ValueError):  # not assigned yet
            own.cell_contents = replaced(cell.cell_contents)
    bound.__defaults__ = tuple(map(replaced, value.__defaults__ or ()))
    keywords = value.__kwdefaults__ or {}
    bound.__kwdefaults__ = {name: replaced(item) for name, item in keywords.items()}
    if not any(changed):
        memo[id(value)] = value
    return memo[id(value)]


def _empty_cell() -> Any:
    content = None
    cell: Any = ((lambda: content).__closure__ or ())[0]  # 3.7 has no types.CellType
    del cell.cell_contents
    return cell


def _hooks_of(module: Any) -> List[Dict[int, Any]]:
    """Return the forward hooks of a module, which a scripted one does not have."""
    names = ("_forward_pre_hooks", "_forward_hooks")
    return [vars(module)[name] for name in names if name in vars(module)]


class HooksThatWatch(Restoring):
    """Learns from the predictions of a batch which forward hooks only watch.

    Those return nothing, and change neither arguments, output nor module. A replica
    leaves them out, so that no user's hook sees a batch twice.
    """

    def __init__(self, model: Any) -> None:
        every = [hooks for module in model.modules() for hooks in _hooks_of(module)]
        self._known = [(hooks, dict(hooks)) for hooks in every if hooks]
        self._watching: Set[int] = set()
        self._acting: Set[int] = set()

    @property
    def ids(self) -> Set[int]:
        """Those of the hooks that only watched by now."""
        return self._watching - self._acting

    def __enter__(self) -> HooksThatWatch:
        for hooks, originals in self._known:
            for key, hook in originals.items():
                hooks[key] = functools.partial(self._call, key, hook)
        return self

    def _call(self, key: int, hook: Any, module: Any, *args: Any) -> Any:
        before = Held(vars(module), args)
        result = hook(module, *args)
        only_watches = result is None and before.same()
        (self._watching if only_watches else self._acting).add(key)
        return result

    def restore(self) -> None:
        """Restore the hooks, but for those that removed themselves."""
        for hooks, originals in self._known:
            for key in originals.keys() & hooks.keys():
                hooks[key] = originals[key]
