"""One reversible patch: a target, an attribute, a wrapper, and who owns it.

A wrapper carries a :class:`Mark` with its owner, version and original, so that
a patch is recognised also by a second copy of this package. Where somebody
else wrapped ours, ours is never torn out from below: it is switched off, and
the next ``apply`` wakes it.
"""

from __future__ import annotations

import functools
import inspect
import threading
import types
import weakref
from typing import Any, Callable, Dict, Iterator, NamedTuple, Optional, Tuple

from valloss_compat._version import __version__


def find_wrapped(thing: Any, wanted: Callable[[Any], bool]) -> Optional[Any]:
    """Find what a callable holds, as a wrapper holds its original.

    Args:
        thing: Where to look: ``__wrapped__``, ``__func__``, ``func`` (of a
            partial), closure, defaults, attributes, and the globals that its
            own code names.
        wanted (Callable): Tells of a callable whether it is the one.

    Returns:
        The first that is wanted; None also where a wrapper keeps it out of sight.
    """
    seen: Dict[int, Any] = {}
    # Globals last, and of the outermost alone: they lead far.
    for waiting in ([thing], list(_named_globals(thing))):
        while waiting:
            item = waiting.pop()
            if id(item) in seen or not _may_hold(item):
                continue
            if wanted(item):
                return item
            seen[id(item)] = item
            waiting.extend(_held(item))
    return None


def reaches(thing: Any, goal: Any) -> bool:
    """Tell whether a callable holds another one, as :func:`reached` finds it."""
    return find_wrapped(thing, lambda item: item is goal) is not None


def name_of(thing: Any) -> str:
    """Who a callable is, for messages; of a wrapper, not the face that it wears."""
    try:  # past the proxies of wrapt, which answer as their original does
        inner = object.__getattribute__(thing, "_self_wrapper")
    except AttributeError:
        pass
    else:
        return f"{name_of(inner)} ({type(thing).__module__}.{type(thing).__name__})"
    thing = getattr(thing, "__func__", thing)
    if type(thing) is types.FunctionType and "__wrapped__" in vars(thing):
        maker = str(thing.__globals__.get("__name__"))
        # mmengine itself puts torch.no_grad on its methods.
        if not maker.startswith("torch."):
            return f"{maker}.{thing.__code__.co_name}"
    owner = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{getattr(owner, '__module__', None) or '?'}.{owner.__qualname__}"


def _may_hold(item: Any) -> bool:
    if isinstance(item, (type, types.ModuleType)):
        return False
    return callable(item) or hasattr(item, "__func__") or _is_partial(item)


def _is_partial(item: Any) -> bool:
    return isinstance(item, (functools.partial, functools.partialmethod))


def _held(item: Any) -> Iterator[Any]:
    yield getattr(item, "__wrapped__", None)
    yield getattr(item, "__func__", None)
    if _is_partial(item):
        yield item.func
    yield from getattr(item, "__defaults__", None) or ()
    yield from (getattr(item, "__kwdefaults__", None) or {}).values()
    yield from getattr(item, "__dict__", {}).values()
    for cell in getattr(item, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:  # a cell that is not filled yet
            continue


def _named_globals(thing: Any) -> Iterator[Any]:
    function = getattr(thing, "__func__", thing)
    code = getattr(function, "__code__", None)
    known = getattr(function, "__globals__", {})
    return (known[name] for name in getattr(code, "co_names", ()) if name in known)


OWNER = "valloss_compat"
MARKER = "__valloss_compat__"
#: Stands for an original where the target has none of its own and inherits it.
MISSING = object()

#: A seam gets the original (callable as the target was) and its arguments.
Seam = Callable[..., Any]


class Marker:
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


def marker_of(thing: Any) -> Optional[Any]:
    """The mark on a wrapper of ours (of any copy of this package), or None."""
    if type(thing) is classmethod:  # not isinstance: a wrapt proxy of one says yes
        thing = thing.__func__
    mark = getattr(thing, "__dict__", {}).get(MARKER)
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
    mark = Marker(wrapper, original, seam, target, attribute)
    setattr(wrapper, MARKER, mark)
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


#: Held by whoever puts patches on or takes them off, in whatever thread.
lock = threading.RLock()

_DELETED = "somebody deleted it"
_GONE = "reverted; ours is held by nobody any more"


class PatchState(NamedTuple):
    """What :meth:`Patch.look` sees; the fields are those of ``PatchStatus``."""

    state: str
    reason: str
    owner: str
    original: str


class Patch:
    """A patch of one attribute of a class or module.

    Args:
        target (type or module): Whose attribute it is.
        attribute (str): Name of a function, method or classmethod.
        seam (Callable): ``seam(original, *args, **kwargs)``, called in place
            of the original, for methods with the instance as first argument.
        weak (bool): Whether the target may die: a user's class, which nothing
            but its own namespace is to keep alive. Defaults to False.

    Attributes:
        name (str): Full name of what is patched.
        state (str): ``'inactive'``, ``'active'`` or ``'disabled'``.
        reason (str): Why the state is what it is; empty where it is applied.
    """

    def __init__(
        self, target: Any, attribute: str, seam: Seam, weak: bool = False
    ) -> None:
        self.name = f"{full_name(target)}.{attribute}"
        self.attribute = attribute
        self.state = "inactive"
        self.reason = "not applied yet"
        self._seam = seam
        self._hold: Callable[[Any], Callable[[], Any]] = weakref.ref if weak else _Held
        self._target = self._hold(target)
        self._held_mark: Optional[Callable[[], Any]] = None

    @property
    def target(self) -> Any:
        """Whose attribute it is; None once a class that may die has died."""
        return self._target()

    @property
    def _mark(self) -> Any:
        """That of the wrapper that was put on or taken over, while there is one."""
        # Its original may name the class, as each function that uses super() does.
        return None if self._held_mark is None else self._held_mark()

    @_mark.setter
    def _mark(self, mark: Any) -> None:
        self._held_mark = None if mark is None else self._hold(mark)

    def apply(self) -> None:
        """Put the wrapper on, or wake the one that sleeps below another's.

        Never raises: what cannot be patched stays ``'inactive'``, with the
        reason, and is no reason to leave out the patches after it.
        """
        target = self.target  # held, for as long as this takes
        if target is None:
            return
        current = self._current()
        found: Any = self._find(current)
        mark = self._mark
        if mark is not None and mark is not found:
            mark.seam = None  # should it run below all the same
        self._mark = found
        if found is None:
            try:
                if not hasattr(target, self.attribute):
                    self.state, self.reason = "inactive", _DELETED
                    return
                wrapper = wrap(current, self._seam, target, self.attribute)
                setattr(target, self.attribute, wrapper)
            except Exception as error:  # a metaclass refuses
                self.state, self.reason = "inactive", _told(error)
                return
            found = self._mark = marker_of(wrapper)
        found.seam = self._seam
        self.state, self.reason = "active", ""

    def revert(self) -> None:
        """Put the original back, or switch off where ours is not outermost."""
        target = self.target  # held, for as long as this takes
        current = self._current()
        there = marker_of(current)
        mark = self._mark = there or self._mark  # also if somebody put it back there
        if mark is None:
            if self.state != "inactive":
                self.state, self.reason = "inactive", _GONE
            return
        mark.seam = None
        if there is not None:
            try:
                if mark.inherited:
                    delattr(target, self.attribute)
                else:
                    setattr(target, self.attribute, mark.original)
            except Exception as error:  # a metaclass refuses
                self.state = "disabled"
                self.reason = f"{_told(error)}; ours only calls the original now"
                return
        elif current is MISSING and not mark.inherited:
            self._mark = None
            self.state, self.reason = "inactive", _DELETED
            return
        elif not mark.is_original(current, current is MISSING):
            self.state = "disabled"
            self.reason = (
                f"{name_of(current)} was put over ours and stays; ours only calls "
                "the original now"
            )
            return
        self._mark = None
        self.state, self.reason = "inactive", "reverted"

    def look(self) -> PatchState:
        """State, reason, owner and original, as what stands there now has it."""
        current = self._current()
        there = marker_of(current)
        mark = there or self._mark
        owner = f"{there.owner} {there.version}" if there else self._name_of(current)
        original = current
        if mark is not None:
            original = MISSING if mark.inherited else mark.original
        state, reason = self._state(current, there)
        return PatchState(state, reason, owner, self._name_of(original))

    def _state(self, current: Any, there: Any) -> Tuple[str, str]:
        """State and reason; ``there`` is the mark on what is there, if it is ours."""
        found = self._find(current)
        mark = self._mark
        if self.state == "active" and (found is None or found is not mark):
            if current is MISSING:
                return "replaced", f"{_DELETED}; {self._name_of(current)} is used now"
            who = self._name_of(current)
            return "replaced", f"{who} is there and does not show ours"
        if self.state == "inactive" and there is not None:
            if there.seam is not None:
                return "active", "by another copy or mode of this package"
            return "disabled", "somebody put ours back; it only calls the original"
        if self.state == "disabled" and mark is None:
            return "inactive", _GONE
        if self.state == "disabled" and there is mark:
            return "disabled", "it only calls the original; revert() takes it off"
        gone = self.state == "disabled" and found is not mark
        if gone and mark.is_original(current, current is MISSING):
            return "inactive", "reverted; what was put over ours is gone"
        return self.state, self.reason

    def _current(self) -> Any:
        return getattr(self.target, "__dict__", {}).get(self.attribute, MISSING)

    def _find(self, current: Any) -> Optional[Any]:
        """The mark of our wrapper of this place, of any copy of this package."""
        there = marker_of(current)
        if there is not None or current is MISSING:
            return there

        def is_of_this_place(item: Any) -> bool:
            mark = marker_of(item)
            if mark is None or mark is self._mark:
                return mark is not None
            # A subclass's own method may hold the wrapper of its base's.
            # No ==, which a metaclass may answer.
            same = getattr(mark, "target", None) is self.target
            return same and getattr(mark, "attribute", None) == self.attribute

        return marker_of(find_wrapped(current, is_of_this_place))

    def _name_of(self, thing: Any) -> str:
        """Who stands in this place; of an inherited one, whom it is from."""
        if thing is not MISSING:
            return name_of(thing)
        bases = getattr(self.target, "__mro__", (self.target,))[1:]
        owner = next((b for b in bases if self.attribute in vars(b)), None)
        return "nothing" if owner is None else f"{full_name(owner)}.{self.attribute}"


class _Held:
    """Stands in for a weak reference to what is to be kept."""

    __slots__ = ("_thing",)

    def __init__(self, thing: Any) -> None:
        self._thing = thing

    def __call__(self) -> Any:
        return self._thing


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def full_name(thing: Any) -> str:
    """Module and qualified name of a class; of a module, its name."""
    if isinstance(thing, types.ModuleType):
        return thing.__name__
    return f"{thing.__module__}.{thing.__qualname__}"
