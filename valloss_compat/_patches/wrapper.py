"""The wrapper of one patch, and the mark that says whose it is."""

from __future__ import annotations

import functools
import inspect
import types
from typing import Any, Callable, Optional

from valloss_compat._version import __version__

OWNER = "valloss_compat"
MARK = "__valloss_compat__"
#: Stands for an original where the target has none of its own and inherits it.
MISSING = object()

#: A seam gets the original (callable as the target was) and its arguments.
Seam = Callable[..., Any]


class Mark:
    """What a wrapper of ours says of itself.

    Attributes:
        owner (str): ``'valloss_compat'``.
        version (str): The version that made the wrapper.
        wrapper (Callable): The function that this mark belongs to; a
            ``functools.wraps`` of it carries the same mark, but is not ours.
        original: The object that stood in ``vars(target)`` before.
        inherited (bool): Whether there was none: the target inherits it.
        target (type or module): In whose namespace the wrapper was put.
        attribute (str): Under which name.
        seam (Callable, optional): What the wrapper does; None while it is
            switched off and only calls the original.
    """

    __slots__ = (
        "__weakref__",
        "attribute",
        "inherited",
        "original",
        "owner",
        "seam",
        "target",
        "version",
        "wrapper",
    )

    def __init__(
        self,
        wrapper: Callable[..., Any],
        original: Any,
        seam: Seam,
        target: Any,
        attribute: str,
    ) -> None:
        self.owner = OWNER
        self.version = __version__
        self.wrapper = wrapper
        self.original = original
        self.inherited = original is MISSING
        self.target = target
        self.attribute = attribute
        self.seam: Optional[Seam] = seam

    def __getstate__(self) -> Any:
        """All but the seam, which belongs to this process: a copy is asleep.

        A class of ``__main__`` goes to other processes by value, with its wrappers.
        """
        state = {n: getattr(self, n) for n in self.__slots__ if n != "__weakref__"}
        return None, {**state, "seam": None}

    def is_original(self, thing: Any, missing: bool) -> bool:
        """Whether this is what was there before; ``missing``: there is nothing."""
        return missing if self.inherited else thing is self.original


def mark_of(thing: Any) -> Optional[Any]:
    """The mark on a wrapper of ours (of any copy of this package), or None."""
    if type(thing) is classmethod:  # not isinstance: a wrapt proxy of one says yes
        thing = thing.__func__
    mark = getattr(thing, "__dict__", {}).get(MARK)
    return mark if getattr(mark, "wrapper", None) is thing else None


def wrap(original: Any, seam: Seam, target: Any, attribute: str) -> Any:
    """Make the wrapper of a place, which wears the face of what is there.

    Args:
        original: What stands in ``vars(target)``, or ``MISSING``.
        seam (Callable): What it calls while it is switched on.
        target (type or module): Whose attribute it is.
        attribute (str): Name of the attribute.

    Returns:
        A function, or a classmethod where the original is one, with a mark.
    """
    call = _callable(original, target, attribute)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        seam = mark.seam
        if seam is None:
            return call(*args, **kwargs)
        return seam(call, *args, **kwargs)

    wrapper.__annotations__ = {}  # of a face that has none, not ours
    face = getattr(target, attribute) if original is MISSING else original
    functools.update_wrapper(wrapper, getattr(face, "__func__", face))
    if inspect.isbuiltin(face):  # is bound already, which __wrapped__ must not be
        del wrapper.__wrapped__  # type: ignore[attr-defined]
    mark = Mark(wrapper, original, seam, target, attribute)
    setattr(wrapper, MARK, mark)
    if isinstance(inspect.getattr_static(target, attribute), classmethod) or (
        attribute == "__init_subclass__"
    ):
        return classmethod(wrapper)
    return wrapper


def _callable(original: Any, target: Any, attribute: str) -> Callable[..., Any]:
    """The original as a function of all its arguments, instance or class first."""
    if original is MISSING:
        # Inherited: looked up past the target, for an instance or a class.
        return lambda first, *args, **kwargs: getattr(super(target, first), attribute)(
            *args, **kwargs
        )
    if isinstance(original, classmethod):
        return lambda cls, *args, **kwargs: original.__get__(None, cls)(*args, **kwargs)
    # By type(): the proxies of wrapt have the class of what they wrap, and have to
    # be bound to know their instance.
    kind = type(original)
    if isinstance(target, types.ModuleType) or kind is types.FunctionType:
        function: Callable[..., Any] = original
        return function
    if not hasattr(kind, "__get__"):  # an object that is called without the instance
        return lambda instance, *args, **kwargs: original(*args, **kwargs)
    return lambda instance, *args, **kwargs: original.__get__(instance, type(instance))(
        *args, **kwargs
    )
