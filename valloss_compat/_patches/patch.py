"""One reversible patch: a wrapper in the place of a function of mmengine.

The wrapper carries a :class:`Marker`, so that the state of a patch is read off the
patched class and not kept beside it. A wrapper that another library has wrapped is
never torn out from below that library's wrapper: it is disabled, and the next
``apply`` enables it again.
"""

from __future__ import annotations

import functools
import inspect
import threading
import types
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from valloss_compat._version import __version__

#: Held while patches are applied or reverted, in whatever thread.
lock = threading.RLock()

MARKER = "__valloss_compat__"
#: Stands for an original where the target has none of its own and inherits it. It is
#: the same in another process, and where the package is imported again.
MISSING = None

Original = Callable[..., Any]
Args = Tuple[Any, ...]
Kwargs = Dict[str, Any]
#: Called in place of the original, with the arguments not unpacked: that is faster.
#: Those of a method begin with the instance.
Wrapper = Callable[[Original, Args, Kwargs], Any]


class Marker(types.SimpleNamespace):
    """What an installed wrapper says of itself."""

    owner = "valloss_compat"
    version = __version__
    #: The function that this marker belongs to. A ``functools.wraps`` of it has the
    #: same marker, and is no such wrapper.
    installed: Callable[..., Any]
    original: Any  #: What the namespace of the target held before, or ``MISSING``.
    target: Any  #: The class or module whose attribute it is.
    attribute: str  #: Its name.
    wrapper: Optional[Wrapper]  #: None while the patch is disabled.

    def __reduce__(self) -> Any:
        """Disabled in a copy: classes of ``__main__`` are sent to other processes."""
        return Marker, (), {**vars(self), "wrapper": None}


class PatchStatus(NamedTuple):
    """The state of one patch.

    Attributes:
        target (str): Full name of what is patched.
        state (str): ``'active'``, ``'inactive'``, ``'disabled'`` (the wrapper is
            below one of another library, or was put back by other code, and only
            calls the original) or ``'replaced'`` (other code replaced, deleted or
            hides the wrapper, or mmengine was loaded again).
        reason (str): Why; empty for ``'active'``, never for others.
        owner (str): Who made what is called now: ``'valloss_compat'`` and the
            version that made the wrapper, or the full name of another function.
        original (str): Full name of what the wrapper replaced, or of what is there.
    """

    target: str
    state: str
    reason: str
    owner: str
    original: str


class Patch:
    """A patch of one attribute of a class or module.

    ``default`` is the original where the target has none, ``reason`` is why the patch
    is inactive.
    """

    def __init__(
        self,
        target: Any,
        attribute: str,
        wrapper: Optional[Wrapper] = None,
        default: Optional[Callable[..., Any]] = None,
        reason: str = "not applied yet",
    ) -> None:
        self.target = target
        self.attribute = attribute
        self._wrapper = wrapper
        self._default = default
        self._reason = reason
        self._marker: Optional[Marker] = None

    @property
    def name(self) -> str:
        """Full name of what is patched."""
        return f"{full_name(self.target)}.{self.attribute}"

    @property
    def patches(self) -> List[Patch]:
        """This one, as a :class:`SubclassPatcher` has several."""
        return [self]

    def overrides(self) -> List[Tuple[str, bool]]:
        """Methods of loaded subclasses that override this one, none of them patched."""
        return [
            (f"{full_name(cls)}.{self.attribute}", False)
            for cls in class_tree(self.target)[1:]
            if self.attribute in vars(cls) and self.attribute != "__init__"
        ]

    def apply(self) -> None:
        """Install the wrapper, or enable the one that another wrapper hides."""
        current = vars(self.target).get(self.attribute, MISSING)
        marker = self._find(current)
        if self._marker is not None and self._marker is not marker:
            self._marker.wrapper = None  # it may run below a wrapper that hides it
        if marker is None:
            installed = wrap(current, self.target, self.attribute, self._default)
            setattr(self.target, self.attribute, installed)
            marker = vars(getattr(installed, "__func__", installed))[MARKER]
        self._marker = marker
        marker.wrapper = self._wrapper

    def revert(self) -> None:
        """Restore the original, or disable a wrapper that is not the outermost."""
        current = vars(self.target).get(self.attribute, MISSING)
        marker = self._find(current) or self._marker
        if marker is None:
            return
        marker.wrapper = None
        self._marker = marker
        if marker_of(current) is None:
            if current is not marker.original:
                return
        elif marker.original is MISSING:
            delattr(self.target, self.attribute)
        else:
            setattr(self.target, self.attribute, marker.original)
        self._marker, self._reason = None, "reverted"

    def inspect(self) -> PatchStatus:
        """State, reason, owner and original, as the target has them now."""
        current = vars(self.target).get(self.attribute, MISSING)
        outermost, found = marker_of(current), self._find(current)
        marker = found or self._marker
        name = self._name_of(current)
        owner = f"{outermost.owner} {outermost.version}" if outermost else name
        original = self._name_of(marker.original if marker else current)
        state, reason = "disabled", ""
        if marker is None:
            state, reason = "inactive", self._reason
        elif found is not None and found.wrapper is not None:
            state = "active"
        elif outermost is not None:
            reason = "it only calls the original, and revert() removes it"
        elif marker.wrapper is not None:
            state, reason = "replaced", f"{name} is there and does not wrap it"
        elif current is marker.original:
            state, reason = "inactive", "reverted, and the wrapper around it is gone"
        else:
            reason = f"{name} wraps it and stays, so that it only calls the original"
        return PatchStatus(self.name, state, reason, owner, original)

    def _find(self, current: Any) -> Optional[Marker]:
        """The marker of the wrapper of this target, outermost or below another."""

        def find_here(item: Any) -> Optional[Marker]:
            marker = marker_of(item)
            # A method of a subclass may hold the wrapper of its base's.
            place = marker and (marker.target, marker.attribute)
            return marker if place == (self.target, self.attribute) else None

        return marker_of(current) or find_wrapped(current, find_here)

    def _name_of(self, thing: Any) -> str:
        """Full name of a function; of an inherited one, with the class that has it."""
        if thing is not MISSING:
            return name_of(thing)
        bases = getattr(self.target, "__mro__", (self.target,))[1:]
        owner = next((b for b in bases if self.attribute in vars(b)), None)
        return "nothing" if owner is None else f"{full_name(owner)}.{self.attribute}"


def marker_of(thing: Any) -> Optional[Marker]:
    """The marker of a wrapper of this package; None for any other object."""
    if type(thing) is classmethod:  # not isinstance: a wrapt proxy of one says yes
        thing = thing.__func__
    marker: Optional[Marker] = getattr(thing, "__dict__", {}).get(MARKER)
    return marker if marker is not None and marker.installed is thing else None


def wrap(
    original: Any,
    target: Any,
    attribute: str,
    default: Optional[Callable[..., Any]] = None,
) -> Any:
    """Create a wrapper with the metadata of the original and a marker, disabled.

    ``original`` is what the namespace of the target holds, or ``MISSING``.
    """
    # The original as a function of all its arguments, instance or class first.
    call: Any = original or default
    is_function = type(original) is types.FunctionType
    if not is_function and not isinstance(target, types.ModuleType):

        def call(first: Any, *args: Any, **kwargs: Any) -> Any:
            if original is MISSING:
                bound = getattr(super(target, first), attribute)
            elif isinstance(original, classmethod):
                bound = original.__get__(None, first)
            else:  # a proxy of wrapt, or an object that is no descriptor
                get = getattr(type(original), "__get__", lambda function, *_: function)
                bound = get(original, first, type(first))
            return bound(*args, **kwargs)

    def installed(*args: Any, **kwargs: Any) -> Any:
        wrapper = marker.wrapper
        if wrapper is None:
            return call(*args, **kwargs)
        return wrapper(call, args, kwargs)

    installed.__annotations__ = {}  # those of the original alone, if it has some
    shown: Any = (
        getattr(target, attribute, default) if original is MISSING else original
    )
    functools.update_wrapper(installed, getattr(shown, "__func__", shown))
    if inspect.isbuiltin(shown):  # is bound already, which __wrapped__ must not be
        del installed.__wrapped__  # type: ignore[attr-defined]
    marker = Marker(
        installed=installed,
        original=original,
        target=target,
        attribute=attribute,
        wrapper=None,
    )
    setattr(installed, MARKER, marker)
    static = inspect.getattr_static(target, attribute, default)
    if isinstance(static, classmethod) or attribute == "__init_subclass__":
        return classmethod(installed)
    return installed


def find_wrapped(thing: Any, find: Callable[[Any], Any]) -> Any:
    """The first result of ``find`` for a function, or for one that it wraps.

    Only ``__wrapped__`` and closure cells are searched: that is where decorators
    keep the original. ``find`` returns None for what is not wanted.
    """
    seen: Dict[int, Any] = {}
    waiting = [thing]
    while waiting:
        item = waiting.pop()
        item = getattr(item, "__func__", item)
        if id(item) in seen or not callable(item) or isinstance(item, type):
            continue
        found = find(item)
        if found is not None:
            return found
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
        return name_of(object.__getattribute__(thing, "_self_wrapper"))
    except AttributeError:
        thing = getattr(thing, "__func__", thing)
    if type(thing) is types.FunctionType and "__wrapped__" in vars(thing):
        maker = str(thing.__globals__.get("__name__"))
        # mmengine itself puts torch.no_grad on its methods.
        if not maker.startswith("torch."):
            return f"{maker}.{thing.__code__.co_name}"
    return full_name(thing if hasattr(thing, "__qualname__") else type(thing))


def full_name(thing: Any) -> str:
    """Module and qualified name of a class or function; of a module, its name."""
    if isinstance(thing, types.ModuleType):
        return thing.__name__
    return f"{thing.__module__}.{thing.__qualname__}"


def class_tree(root: Any) -> List[Any]:
    """A class and its subclasses, bases first; of a module, the module alone."""
    classes = [root]
    for cls in classes if isinstance(root, type) else ():  # grows while it is walked
        for subclass in type.__subclasses__(cls):
            if subclass not in classes:
                classes.append(subclass)
    return classes
