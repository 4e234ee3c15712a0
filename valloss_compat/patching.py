"""One reversible patch: a target, an attribute, a wrapper, and who owns it.

A wrapper carries a :class:`Mark` with its owner, version and original, so that
a patch is recognised also by a second copy of this package. Where somebody
else wrapped ours, ours is never torn out from below: it is switched off, and
the next ``apply`` wakes it.
"""

from __future__ import annotations

import functools
import inspect
import types
from typing import Any, Callable, Optional, Tuple

from valloss_compat._version import __version__

OWNER = "valloss_compat"
MARK = "__valloss_compat__"
_MISSING = object()

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
        seam (Callable, optional): What the wrapper does; None while it is
            switched off and only calls the original.
    """

    __slots__ = ("inherited", "original", "owner", "seam", "version", "wrapper")

    def __init__(self, wrapper: Callable[..., Any], original: Any, seam: Seam) -> None:
        self.owner = OWNER
        self.version = __version__
        self.wrapper = wrapper
        self.original = original
        self.inherited = original is _MISSING
        self.seam: Optional[Seam] = seam


def mark_of(thing: Any) -> Optional[Any]:
    """The mark on a wrapper of ours (of any copy of this package), or None."""
    thing = getattr(thing, "__func__", thing)  # a classmethod keeps it inside
    mark = getattr(thing, "__dict__", {}).get(MARK)
    return mark if getattr(mark, "wrapper", None) is thing else None


class Patch:
    """A patch of one attribute of a class or module.

    Args:
        target (type or module): Whose attribute it is.
        attribute (str): Name of a function, method or classmethod.
        seam (Callable): ``seam(original, *args, **kwargs)``, called in place
            of the original, for methods with the instance as first argument.

    Attributes:
        state (str): ``'not applied'``, ``'applied'`` or ``'quiet'``.
        reason (str): Why the state is what it is; empty where it is plain.
    """

    def __init__(self, target: Any, attribute: str, seam: Seam) -> None:
        self.target = target
        self.attribute = attribute
        self.state = "not applied"
        self.reason = ""
        self._seam = seam
        self._wrapper: Optional[Any] = None

    @property
    def name(self) -> str:
        """Full name of what is patched."""
        module = getattr(self.target, "__module__", None)
        qualname = getattr(self.target, "__qualname__", None)
        if module is None or qualname is None:
            return f"{self.target.__name__}.{self.attribute}"
        return f"{module}.{qualname}.{self.attribute}"

    def apply(self) -> None:
        """Put the wrapper on, or wake the one that sleeps below another's."""
        current = vars(self.target).get(self.attribute, _MISSING)
        if mark_of(current) is not None:
            # Ours, or that of another copy of this package: take it over.
            self._wrapper = current
        elif self._wrapper is None or not reaches(current, self._wrapper):
            if self._wrapper is not None:
                self._mark().seam = None  # should it run below all the same
            self._wrapper = _wrap(current, self._seam, self.target, self.attribute)
            setattr(self.target, self.attribute, self._wrapper)
        self._mark().seam = self._seam
        self.state, self.reason = "applied", ""

    def revert(self) -> None:
        """Put the original back, or switch off where ours is not outermost."""
        if self._wrapper is None or self.state != "applied":
            return
        mark = self._mark()
        mark.seam = None
        current = vars(self.target).get(self.attribute, _MISSING)
        if current is not self._wrapper:
            self.state = "quiet"
            self.reason = (
                f"{_name_of(current)} was put over ours and stays; ours only calls "
                "the original now"
            )
            return
        if mark.inherited:
            delattr(self.target, self.attribute)
        else:
            setattr(self.target, self.attribute, mark.original)
        self._wrapper = None
        self.state, self.reason = "not applied", "reverted"

    def look(self) -> Tuple[str, str]:
        """State and reason, as what stands there now has it."""
        current = vars(self.target).get(self.attribute, _MISSING)
        if self.state == "applied" and not reaches(current, self._wrapper):
            return "not seen", f"{_name_of(current)} is there and does not show ours"
        return self.state, self.reason

    def _mark(self) -> Any:
        return mark_of(self._wrapper)


def reaches(thing: Any, goal: Any) -> bool:
    """Tell whether a callable holds another one, as a wrapper holds its original.

    Args:
        thing: Where to look: ``__wrapped__``, ``__func__``, closure, attributes.
        goal: What to look for, by identity.

    Returns:
        bool: False also where a wrapper keeps its original out of sight.
    """
    seen = {}
    waiting = [thing]
    while waiting:
        item = waiting.pop()
        if item is goal:
            return True
        if id(item) in seen or not (callable(item) or hasattr(item, "__func__")):
            continue
        if isinstance(item, (type, types.ModuleType)):
            continue
        seen[id(item)] = item
        waiting.extend(
            getattr(item, name, None) for name in ("__wrapped__", "__func__")
        )
        waiting.extend(getattr(item, "__dict__", {}).values())
        for cell in getattr(item, "__closure__", None) or ():
            try:
                waiting.append(cell.cell_contents)
            except ValueError:  # a cell that is not filled yet
                continue
    return False


def _wrap(original: Any, seam: Seam, target: Any, attribute: str) -> Any:
    call = _callable(original, target, attribute)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        seam = mark.seam
        if seam is None:
            return call(*args, **kwargs)
        return seam(call, *args, **kwargs)

    face = getattr(target, attribute) if original is _MISSING else original
    functools.update_wrapper(wrapper, getattr(face, "__func__", face))
    mark = Mark(wrapper, original, seam)
    setattr(wrapper, MARK, mark)
    if isinstance(inspect.getattr_static(target, attribute), classmethod) or (
        attribute == "__init_subclass__"
    ):
        return classmethod(wrapper)
    return wrapper


def _callable(original: Any, target: Any, attribute: str) -> Callable[..., Any]:
    """The original as a function of all its arguments, instance or class first."""
    if original is _MISSING:
        # Inherited: looked up past the target, for an instance or a class.
        return lambda first, *args, **kwargs: getattr(super(target, first), attribute)(
            *args, **kwargs
        )
    if isinstance(original, classmethod):
        return lambda cls, *args, **kwargs: original.__get__(None, cls)(*args, **kwargs)
    if isinstance(target, types.ModuleType) or isinstance(original, types.FunctionType):
        function: Callable[..., Any] = original
        return function
    # A descriptor of its own kind (a wrapt proxy, say) binds itself.
    return lambda instance, *args, **kwargs: original.__get__(instance, type(instance))(
        *args, **kwargs
    )


def _name_of(thing: Any) -> str:
    module = getattr(thing, "__module__", "?")
    return f"{module}.{getattr(thing, '__qualname__', type(thing).__qualname__)}"
