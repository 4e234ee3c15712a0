"""One reversible patch: a wrapper in the place of a function of mmengine.

The wrapper carries a :class:`Marker` with its owner, version, original and what
it does, so that the state of a patch is read off the patched class and not kept
beside it. A wrapper that another library has wrapped is never torn out from below
that library's wrapper: it is disabled, and the next ``apply`` enables it again.
"""

from __future__ import annotations

import functools
import inspect
import threading
import types
from typing import Any, Callable, Dict, NamedTuple, Optional

from valloss_compat._version import __version__

#: Held while patches are applied or reverted, in whatever thread.
lock = threading.RLock()

OWNER = "valloss_compat"
MARKER = "__valloss_compat__"
#: Stands for an original where the target has none of its own and inherits it. It is
#: the same in another process, and where the package is imported again.
MISSING = None

#: Called in place of the original, which it gets as its first argument.
Wrapper = Callable[..., Any]

_DELETED = "somebody deleted it"


class Marker:
    """What an installed wrapper says of itself.

    Attributes:
        owner (str): ``'valloss_compat'``.
        version (str): The version that made the wrapper.
        installed (Callable): The function that this marker belongs to. A
            ``functools.wraps`` of it has the same marker, and is no such wrapper.
        original: What the namespace of the target held before, or ``MISSING``.
        target (type or module): Whose attribute it is.
        attribute (str): Its name.
        wrapper (Callable, optional): What is called in place of the original;
            None while the patch is disabled.
    """

    __slots__ = (
        "attribute",
        "installed",
        "original",
        "owner",
        "target",
        "version",
        "wrapper",
    )

    def __init__(
        self, installed: Callable[..., Any], original: Any, target: Any, attribute: str
    ) -> None:
        self.owner = OWNER
        self.version = __version__
        self.installed = installed
        self.original = original
        self.target = target
        self.attribute = attribute
        self.wrapper: Optional[Wrapper] = None

    def __getstate__(self) -> Any:
        """Disabled in a copy: the wrapper belongs to this process.

        Classes of ``__main__`` are sent to other processes by value.
        """
        return None, {**{n: getattr(self, n) for n in self.__slots__}, "wrapper": None}


class PatchState(NamedTuple):
    """State of a patch; the fields are those of ``PatchStatus``."""

    state: str
    reason: str
    owner: str
    original: str


class Patch:
    """A patch of one attribute of a class or module.

    Args:
        target (type or module): Whose attribute it is.
        attribute (str): Name of a function, method or classmethod.
        wrapper (Callable): ``wrapper(original, *args, **kwargs)``, called in place
            of the original, for methods with the instance as first argument.
        default (Callable, optional): The original where the target has none.
            Defaults to None: there has to be one.

    Attributes:
        reason (str): Why the patch is inactive; empty after it was applied.
    """

    def __init__(
        self,
        target: Any,
        attribute: str,
        wrapper: Wrapper,
        default: Optional[Callable[..., Any]] = None,
    ) -> None:
        self.target = target
        self.attribute = attribute
        self.reason = "not applied yet"
        self._wrapper = wrapper
        self._default = default
        self._marker: Optional[Any] = None

    @property
    def name(self) -> str:
        """Full name of what is patched."""
        return f"{full_name(self.target)}.{self.attribute}"

    def apply(self) -> None:
        """Install the wrapper, or enable the one that another wrapper hides.

        Never raises: a patch that cannot be applied stays inactive with the reason,
        and the patches after it are applied all the same.
        """
        current = self._current()
        marker = self._find(current)
        if self._marker is not None and self._marker is not marker:
            self._marker.wrapper = None  # it may run below a wrapper that hides it
        self._marker = marker
        if marker is None:
            try:
                if not hasattr(self.target, self.attribute) and self._default is None:
                    self.reason = _DELETED
                    return
                installed = wrap(current, self.target, self.attribute, self._default)
                setattr(self.target, self.attribute, installed)
            except Exception as error:  # a metaclass refuses
                self.reason = f"{type(error).__name__}: {error}"
                return
            function = getattr(installed, "__func__", installed)
            marker = self._marker = vars(function)[MARKER]
        marker.wrapper = self._wrapper
        self.reason = ""

    def revert(self) -> None:
        """Restore the original, or disable a wrapper that is not the outermost."""
        current = self._current()
        outermost = marker_of(current)
        marker = outermost or self._find(current) or self._marker
        if marker is None:
            return
        marker.wrapper = None
        self._marker = marker
        if outermost is not None:
            try:
                if marker.original is MISSING:
                    delattr(self.target, self.attribute)
                else:
                    setattr(self.target, self.attribute, marker.original)
            except Exception:  # a metaclass refuses: it only calls the original now
                return
        elif current is not marker.original:
            if current is MISSING:
                self._marker, self.reason = None, _DELETED
            return
        self._marker, self.reason = None, "reverted"

    def inspect(self) -> PatchState:
        """State, reason, owner and original, as the target has them now."""
        current = self._current()
        outermost = marker_of(current)
        marker = outermost or self._marker
        original = current if marker is None else marker.original
        name = self._name_of(current)
        owner = f"{outermost.owner} {outermost.version}" if outermost else name
        state, reason = self._state(current, name)
        return PatchState(state, reason, owner, self._name_of(original))

    def _state(self, current: Any, name: str) -> Any:
        found = self._find(current)
        marker = found or self._marker
        if found is not None and found.wrapper is not None:
            return "active", ""
        if found is not None and found is marker_of(current):
            return "disabled", "it only calls the original; revert() takes it off"
        if marker is None:
            return "inactive", self.reason
        if marker.wrapper is not None:
            if current is MISSING:
                return "replaced", f"{_DELETED}; {name} is used now"
            return "replaced", f"{name} is there and does not show ours"
        if current is marker.original:
            return "inactive", "reverted; what was put over ours is gone"
        return "disabled", (
            f"{name} was put over ours and stays; ours only calls the original now"
        )

    def _current(self) -> Any:
        return vars(self.target).get(self.attribute, MISSING)

    def _find(self, current: Any) -> Optional[Any]:
        """The marker of the wrapper of this target, outermost or below another."""
        outermost = marker_of(current)
        if outermost is not None or current is MISSING:
            return outermost

        def belongs_here(item: Any) -> bool:
            marker = marker_of(item)
            # A method of a subclass may hold the wrapper of its base's.
            return (
                marker is not None
                and marker.target is self.target
                and marker.attribute == self.attribute
            )

        return marker_of(find_wrapped(current, belongs_here))

    def _name_of(self, thing: Any) -> str:
        """Full name of a function; of an inherited one, with the class that has it."""
        if thing is not MISSING:
            return name_of(thing)
        bases = getattr(self.target, "__mro__", (self.target,))[1:]
        owner = next((b for b in bases if self.attribute in vars(b)), None)
        return "nothing" if owner is None else f"{full_name(owner)}.{self.attribute}"


def marker_of(thing: Any) -> Optional[Any]:
    """The marker of a wrapper of this package; None for any other object."""
    if type(thing) is classmethod:  # not isinstance: a wrapt proxy of one says yes
        thing = thing.__func__
    marker = getattr(thing, "__dict__", {}).get(MARKER)
    return marker if getattr(marker, "installed", None) is thing else None


def wrap(
    original: Any,
    target: Any,
    attribute: str,
    default: Optional[Callable[..., Any]] = None,
) -> Any:
    """Create a wrapper with the metadata of the original and a marker, disabled.

    Args:
        original: What the namespace of the target holds, or ``MISSING``.
        target (type or module): Whose attribute it is.
        attribute (str): Name of the attribute.
        default (Callable, optional): The original where there is none.

    Returns:
        A function, or a classmethod where the original is one.
    """
    call = default
    if call is None or hasattr(target, attribute):
        call = _callable(original, target, attribute)

    def installed(*args: Any, **kwargs: Any) -> Any:
        wrapper = marker.wrapper
        if wrapper is None:
            return call(*args, **kwargs)
        return wrapper(call, *args, **kwargs)

    installed.__annotations__ = {}  # those of the original alone, if it has some
    shown: Any = original
    if original is MISSING:
        shown = getattr(target, attribute, default)
    functools.update_wrapper(installed, getattr(shown, "__func__", shown))
    if inspect.isbuiltin(shown):  # is bound already, which __wrapped__ must not be
        del installed.__wrapped__  # type: ignore[attr-defined]
    marker = Marker(installed, original, target, attribute)
    setattr(installed, MARKER, marker)
    static = inspect.getattr_static(target, attribute, default)
    if isinstance(static, classmethod) or attribute == "__init_subclass__":
        return classmethod(installed)
    return installed


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


def find_wrapped(thing: Any, wanted: Callable[[Any], bool]) -> Optional[Any]:
    """Find a function below the wrappers of others.

    Only ``__wrapped__`` and closure cells are searched: that is where decorators
    keep the original. One that a wrapper keeps elsewhere is not found.

    Args:
        thing: A callable, or a classmethod or staticmethod of one.
        wanted (Callable): Tells of an object whether it is the one.
    """
    seen: Dict[int, Any] = {}
    waiting = [thing]
    while waiting:
        item = waiting.pop()
        item = getattr(item, "__func__", item)
        if id(item) in seen or not callable(item) or isinstance(item, type):
            continue
        if wanted(item):
            return item
        seen[id(item)] = item
        waiting.append(getattr(item, "__wrapped__", None))
        for cell in getattr(item, "__closure__", None) or ():
            try:
                waiting.append(cell.cell_contents)
            except ValueError:  # a cell that is not filled yet
                continue
    return None


def name_of(thing: Any) -> str:
    """Full name of a callable; of a wrapper, its own and not that of its original."""
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


def full_name(thing: Any) -> str:
    """Module and qualified name of a class; of a module, its name."""
    if isinstance(thing, types.ModuleType):
        return thing.__name__
    return f"{thing.__module__}.{thing.__qualname__}"
