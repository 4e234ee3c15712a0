"""One reversible patch: a target, an attribute, a wrapper, and who owns it.

A wrapper carries a :class:`Mark` with its owner, version and original, so that
a patch is recognised also by a second copy of this package. Where somebody
else wrapped ours, ours is never torn out from below: it is switched off, and
the next ``apply`` wakes it.
"""

from __future__ import annotations

import threading
import types
import weakref
from typing import Any, Callable, NamedTuple, Optional, Tuple

from valloss_compat._patches.reach import name_of, reached
from valloss_compat._patches.wrapper import MISSING, Seam, mark_of, wrap

#: Held by whoever puts patches on or takes them off, in whatever thread.
lock = threading.RLock()

_DELETED = "somebody deleted it"
_GONE = "reverted; ours is held by nobody any more"


class Look(NamedTuple):
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
        state (str): ``'not applied'``, ``'applied'`` or ``'quiet'``.
        reason (str): Why the state is what it is; empty where it is applied.
    """

    def __init__(
        self, target: Any, attribute: str, seam: Seam, weak: bool = False
    ) -> None:
        self.name = f"{full_name(target)}.{attribute}"
        self.attribute = attribute
        self.state = "not applied"
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

        Never raises: what cannot be patched stays ``'not applied'``, with the
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
                    self.state, self.reason = "not applied", _DELETED
                    return
                wrapper = wrap(current, self._seam, target, self.attribute)
                setattr(target, self.attribute, wrapper)
            except Exception as error:  # a metaclass refuses
                self.state, self.reason = "not applied", _told(error)
                return
            found = self._mark = mark_of(wrapper)
        found.seam = self._seam
        self.state, self.reason = "applied", ""

    def revert(self) -> None:
        """Put the original back, or switch off where ours is not outermost."""
        target = self.target  # held, for as long as this takes
        current = self._current()
        there = mark_of(current)
        mark = self._mark = there or self._mark  # also if somebody put it back there
        if mark is None:
            if self.state != "not applied":
                self.state, self.reason = "not applied", _GONE
            return
        mark.seam = None
        if there is not None:
            try:
                if mark.inherited:
                    delattr(target, self.attribute)
                else:
                    setattr(target, self.attribute, mark.original)
            except Exception as error:  # a metaclass refuses
                self.state = "quiet"
                self.reason = f"{_told(error)}; ours only calls the original now"
                return
        elif current is MISSING and not mark.inherited:
            self._mark = None
            self.state, self.reason = "not applied", _DELETED
            return
        elif not mark.is_original(current, current is MISSING):
            self.state = "quiet"
            self.reason = (
                f"{name_of(current)} was put over ours and stays; ours only calls "
                "the original now"
            )
            return
        self._mark = None
        self.state, self.reason = "not applied", "reverted"

    def look(self) -> Look:
        """State, reason, owner and original, as what stands there now has it."""
        current = self._current()
        there = mark_of(current)
        mark = there or self._mark
        owner = f"{there.owner} {there.version}" if there else self._name_of(current)
        original = current
        if mark is not None:
            original = MISSING if mark.inherited else mark.original
        state, reason = self._state(current, there)
        return Look(state, reason, owner, self._name_of(original))

    def _state(self, current: Any, there: Any) -> Tuple[str, str]:
        """State and reason; ``there`` is the mark on what is there, if it is ours."""
        found = self._find(current)
        mark = self._mark
        if self.state == "applied" and (found is None or found is not mark):
            if current is MISSING:
                return "not seen", f"{_DELETED}; {self._name_of(current)} is used now"
            who = self._name_of(current)
            return "not seen", f"{who} is there and does not show ours"
        if self.state == "not applied" and there is not None:
            if there.seam is not None:
                return "applied", "by another copy or mode of this package"
            return "quiet", "somebody put ours back; it only calls the original"
        if self.state == "quiet" and mark is None:
            return "not applied", _GONE
        if self.state == "quiet" and there is mark:
            return "quiet", "it only calls the original; revert() takes it off"
        gone = self.state == "quiet" and found is not mark
        if gone and mark.is_original(current, current is MISSING):
            return "not applied", "reverted; what was put over ours is gone"
        return self.state, self.reason

    def _current(self) -> Any:
        return getattr(self.target, "__dict__", {}).get(self.attribute, MISSING)

    def _find(self, current: Any) -> Optional[Any]:
        """The mark of our wrapper of this place, of any copy of this package."""
        there = mark_of(current)
        if there is not None or current is MISSING:
            return there

        def is_of_this_place(item: Any) -> bool:
            mark = mark_of(item)
            if mark is None or mark is self._mark:
                return mark is not None
            # A subclass's own method may hold the wrapper of its base's.
            # No ==, which a metaclass may answer.
            same = getattr(mark, "target", None) is self.target
            return same and getattr(mark, "attribute", None) == self.attribute

        return mark_of(reached(current, is_of_this_place))

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
