"""One thing that an adapter judges: a model, a module of it, or a transform.

Built or in a config, it is asked the same. Classes are told by their names: no
library is imported.
"""

from __future__ import annotations

import types
from itertools import takewhile
from typing import Any, Collection, Iterator, List, Mapping, Optional, Tuple

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
