"""What an adapter judges: a model, a module of it, or a transform.

The hook has a built model, ``doctor`` only a config. Both are shown to an
adapter as the same thing, a :class:`Part`, so that there is one judgement.
No library is imported: classes are told by their names.
"""

from __future__ import annotations

import types
from itertools import takewhile
from typing import Any, Collection, Iterable, Iterator, List, Mapping, Optional, Tuple

#: Modules of these are the bricks of all libraries, and are no part of their own.
BRICKS = ("torch", "torchvision", "mmcv", "mmengine")

#: What is in the namespace of a class that changes nothing of its base.
_HARMLESS = {
    *("__init__", "__module__", "__qualname__", "__doc__", "__annotations__"),
    *("__annotate_func__", "__annotations_cache__", "__classdictcell__"),
    *("__dict__", "__weakref__", "__abstractmethods__", "_abc_impl"),
    *("__firstlineno__", "__static_attributes__"),
}


class Part:
    """A model, one of its modules, or a transform.

    Args:
        path (str): Where it is: ``'head.loss_module'``; ``''`` for a model.
        names (tuple[str]): ``'LIBRARY.Class'`` for its class and, of a built
            one, for each of its bases, the class first: what a config names
            ``mmdet.RetinaNet`` is called so here, wherever its module is.
        where (str): Full name of its class; of a config, its ``type``.
        source: The object or the config dict.
        parts (list[Part]): Its parts and theirs, in order.
    """

    def __init__(
        self, path: str, names: Tuple[str, ...], where: str, source: Any
    ) -> None:
        self.path = path
        self.names = names
        self.where = where
        self.source = source
        self.parts: List[Part] = []

    @property
    def built(self) -> bool:
        """Whether it is an object, and no config."""
        return not isinstance(self.source, Mapping)

    @property
    def library(self) -> str:
        """Top-level package of its class: ``'mmdet'``."""
        return self.names[0].rpartition(".")[0]

    @property
    def kind(self) -> str:
        """Name of its class: ``'RetinaNet'``."""
        return self.names[0].rpartition(".")[2]

    def isa(self, *names: str) -> bool:
        """Whether its class, or a base of it, is one of ``'LIBRARY.Class'``.

        A config has no bases: name the subclasses too.
        """
        return any(name in self.names for name in names)

    def trusted(self, trust: Collection[str]) -> bool:
        """Whether the user answers for its class; a config may show less of it.

        A name without a module is that of no class, however a config calls it.
        """
        if self.built:
            return self.where in trust
        named = [name.rpartition(".") for name in trust]
        return any(module and self.kind == kind for module, _, kind in named)

    @property
    def to_trust(self) -> str:
        """The name by which to trust its class, as far as it shows."""
        known = self.built or self.where.count(".") > 1
        return self.where if known else f"my.module.{self.kind}"

    def kind_in(self, library: str) -> Optional[str]:
        """The class of a library that this is, or is derived from without change.

        A subclass that only has an ``__init__`` of its own works as its base. What
        has any other attribute may work otherwise, and so may a part with a function
        of its own in place of its class's (of the model, hooks may wrap ``val_step``).
        """
        if not self.built:
            return self.kind if self.library == library else None
        held = vars(self.source).items() if self.path else ()
        if any(_shadows(self.source, name, value) for name, value in held):
            return None
        bases = type(self.source).__mro__
        own = list(takewhile(lambda base: library_of(base) != library, bases))
        if len(own) == len(bases) or any(set(vars(b)) - _HARMLESS for b in own):
            return None
        return bases[len(own)].__name__

    def get(self, name: str, default: Any = None) -> Any:
        """A setting: an attribute of the object, or an entry of the config.

        Many classes keep their arguments as attributes of the same name, but
        a config has no defaults: give the library's.
        """
        if isinstance(self.source, Mapping):
            return self.source.get(name, default)
        return getattr(self.source, name, default)

    def walk(self) -> Iterator[Part]:
        """Itself and all its parts."""
        yield self
        yield from self.parts

    def __str__(self) -> str:
        return f"{self.kind} ({self.path})" if self.path else self.kind


def _shadows(thing: Any, name: str, value: Any) -> bool:
    """Whether an attribute of an object is a function in place of its class's.

    One that torch compiled does the same.
    """
    return (
        isinstance(value, (types.FunctionType, types.MethodType))
        and hasattr(type(thing), name)
        and not hasattr(value, "_torchdynamo_orig_callable")
    )


def library_of(cls: Any) -> str:
    """Top-level package of a class or function."""
    return str(getattr(cls, "__module__", "?")).partition(".")[0]


__all__ = [
    "BRICKS",
    "Part",
    "Pipeline",
    "of_config",
    "of_model",
    "pipelines_of",
]

#: Entries of a config that name functions and layers, and no parts.
_SETTINGS = ("init_cfg", "norm_cfg", "act_cfg", "conv_cfg")


class Pipeline(Tuple[Part, ...]):
    """The transforms of one dataset, in order.

    Attributes:
        dataset: The dataset, or its config; None where it is not told.
    """

    dataset: Any = None


def of_model(model: Any) -> Part:
    """The model as built.

    Args:
        model (nn.Module): Without its wrappers.
    """
    whole = _of_object(model, "")
    for path, module in model.named_modules():
        if module is not model and library_of(type(module)) not in BRICKS:
            whole.parts.append(_of_object(module, path))
    return whole


def of_config(config: Mapping[str, Any], scope: str) -> Part:
    """The model as configured.

    Args:
        config (dict): The ``model`` of a config.
        scope (str): The ``default_scope`` of the config.
    """
    whole = _of_dict(config, scope, "")
    whole.parts.extend(_within(config, scope, ""))
    return whole


def pipelines_of(dataset: Any, scope: str = "") -> List[Pipeline]:
    """The pipelines of a dataset, those of datasets that it wraps included.

    Args:
        dataset: A dataset as built, or the config of one.
        scope (str): The ``default_scope`` of that config.

    Returns:
        list[Pipeline]: Empty where there is none to be seen. A pipeline in a
        pipeline (of a transform that has ``transforms``) is walked as well.
    """
    found: List[Pipeline] = []
    waiting = [dataset]
    for item in waiting:  # grows while it is walked
        inner = _get(item, "datasets")
        waiting.extend(inner if isinstance(inner, (list, tuple)) else [])
        waiting.extend([_get(item, "dataset")] if _get(item, "dataset") else [])
        pipeline = _get(item, "pipeline")
        pipeline = _get(pipeline, "transforms") or pipeline
        if isinstance(pipeline, (list, tuple)):
            found.append(Pipeline(_transforms(pipeline, scope)))
            found[-1].dataset = item
    return found


def _get(item: Any, name: str) -> Any:
    if isinstance(item, Mapping):
        return item.get(name)
    return getattr(item, name, None)


def _transforms(pipeline: Iterable[Any], scope: str) -> Iterator[Part]:
    for index, item in enumerate(pipeline):
        path = f"pipeline[{index}]"
        if isinstance(item, Mapping):
            yield _of_dict(item, scope, path)
        else:
            yield _of_object(item, path)
        inner = _get(item, "transforms")
        if isinstance(inner, (list, tuple)):
            # Of several branches, each is a list of its own.
            for one in inner:
                yield from _transforms(
                    one if isinstance(one, (list, tuple)) else [one], scope
                )


def _of_object(thing: Any, path: str) -> Part:
    is_function = isinstance(thing, (types.FunctionType, types.BuiltinFunctionType))
    return _of_class(thing if is_function else type(thing), path, thing)


def _of_class(cls: Any, path: str, source: Any) -> Part:
    if not isinstance(cls, type):  # a function, as a transform may be
        name = getattr(cls, "__name__", str(cls))
        where = f"{getattr(cls, '__module__', '?')}.{name}"
        return Part(path, (f"{library_of(cls)}.{name}",), where, source)
    names = tuple(
        f"{library_of(base)}.{base.__name__}"
        for base in cls.__mro__
        if base is not object
    )
    return Part(path, names, f"{cls.__module__}.{cls.__qualname__}", source)


def _of_dict(config: Mapping[str, Any], scope: str, path: str) -> Part:
    kind = config.get("type", "?")
    if not isinstance(kind, str):  # mmengine's new style of config has the class
        return _of_class(kind, path, config)
    scope = config.get("_scope_", scope)
    library = kind.partition(".")[0] if "." in kind else scope
    return Part(path, (f"{library}.{kind.rpartition('.')[2]}",), kind, config)


def _within(config: Any, scope: str, path: str) -> Iterator[Part]:
    items: Iterable[Tuple[Any, Any]] = ()
    if isinstance(config, Mapping):
        scope = config.get("_scope_", scope)
        items = config.items()
    elif isinstance(config, (list, tuple)):
        items = enumerate(config)
    for key, value in items:
        if str(key).endswith(_SETTINGS):
            continue
        inner = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping) and "type" in value:
            yield _of_dict(value, scope, inner)
        yield from _within(value, scope, inner)


#: Entries of a config that name bricks: norms, activations, initial weights.
_BRICK_ENTRIES = {
    "act_cfg",
    "conv_cfg",
    "init_cfg",
    "nms",
    "norm_cfg",
    "roi_layer",
    "upsample_cfg",
}
#: What these define is a setting or a brick, and assigns nothing.
_NO_TOOLS = ("addict", "builtins", "collections", "functools", "numpy", *BRICKS)


def with_tools(model: Part) -> Part:
    """The model, with the tools of its parts among its parts, without bricks.

    Args:
        model (Part): Built or in a config.
    """
    whole = Part(model.path, model.names, model.where, model.source)
    for part in model.parts:
        if part.built:
            whole.parts.extend([part, *_tools(part)])
        elif not _BRICK_ENTRIES.intersection(part.path.split(".")):
            whole.parts.append(part)
    return whole


def _tools(part: Part) -> Iterator[Part]:
    waiting = [(part.path, part.source)]
    seen = {id(part.source)}
    while waiting:
        path, owner = waiting.pop()
        for name, value in vars(owner).items():
            for item in value if isinstance(value, (list, tuple)) else [value]:
                library = type(item).__module__.partition(".")[0]
                if library in _NO_TOOLS or hasattr(item, "_modules"):
                    continue
                if id(item) in seen or not hasattr(item, "__dict__"):
                    continue
                seen.add(id(item))
                at, kind = f"{path}.{name}", type(item).__name__
                where = f"{type(item).__module__}.{kind}"
                yield Part(at, (f"{library}.{kind}",), where, item)
                waiting.append((at, item))
