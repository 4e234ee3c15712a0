"""One reversible patch: a target, an attribute, a wrapper, and who owns it.

A wrapper carries a :class:`Mark` with its owner, version and original, so that
a patch is recognised also by a second copy of this package. Where somebody
else wrapped ours, ours is never torn out from below: it is switched off, and
the next ``apply`` wakes it.
"""

from __future__ import annotations

import threading
import types
from typing import Any, NamedTuple, Optional, Tuple

from valloss_compat.reach import name_of, reached, reaches
from valloss_compat.wrapper import MISSING, Seam, mark_of, wrap

#: Held by whoever puts patches on or takes them off, in whatever thread.
lock = threading.RLock()


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

    Attributes:
        state (str): ``'not applied'``, ``'applied'`` or ``'quiet'``.
        reason (str): Why the state is what it is; empty where it is applied.
    """

    def __init__(self, target: Any, attribute: str, seam: Seam) -> None:
        self.target = target
        self.attribute = attribute
        self.state = "not applied"
        self.reason = "not applied yet"
        self._seam = seam
        self._wrapper: Optional[Any] = None

    @property
    def name(self) -> str:
        """Full name of what is patched."""
        return f"{full_name(self.target)}.{self.attribute}"

    def apply(self) -> None:
        """Put the wrapper on, or wake the one that sleeps below another's."""
        found = self._ours(self._current())
        if self._wrapper is not None and self._wrapper is not found:
            self._mark().seam = None  # should it run below all the same
        if found is None:
            found = wrap(self._current(), self._seam, self.target, self.attribute)
            setattr(self.target, self.attribute, found)
        self._wrapper = found
        self._mark().seam = self._seam
        self.state, self.reason = "applied", ""

    def revert(self) -> None:
        """Put the original back, or switch off where ours is not outermost."""
        current = self._current()
        if mark_of(current) is not None:
            self._wrapper = current  # also if somebody else put it back there
        if self._wrapper is None:
            return
        mark = self._mark()
        mark.seam = None
        if current is self._wrapper:
            if mark.inherited:
                delattr(self.target, self.attribute)
            else:
                setattr(self.target, self.attribute, mark.original)
        elif not mark.is_original(current, current is MISSING):
            self.state = "quiet"
            self.reason = (
                f"{name_of(current)} was put over ours and stays; ours only calls "
                "the original now"
            )
            return
        self._wrapper = None
        self.state, self.reason = "not applied", "reverted"

    def look(self) -> Look:
        """State, reason, owner and original, as what stands there now has it."""
        current = self._current()
        there = mark_of(current)
        mark = there or self._mark()
        owner = f"{there.owner} {there.version}" if there else self._name_of(current)
        original = current
        if mark is not None:
            original = MISSING if mark.inherited else mark.original
        state, reason = self._state(current, there)
        return Look(state, reason, owner, self._name_of(original))

    def _state(self, current: Any, there: Any) -> Tuple[str, str]:
        """State and reason; ``there`` is the mark on what is there, if it is ours."""
        if self.state == "applied" and not reaches(current, self._wrapper):
            who = self._name_of(current)
            return "not seen", f"{who} is there and does not show ours"
        if self.state == "not applied" and there is not None:
            if there.seam is not None:
                return "applied", "by another copy or mode of this package"
            return "quiet", "somebody put ours back; it only calls the original"
        if self.state == "quiet" and current is self._wrapper:
            return "quiet", "it only calls the original; revert() takes it off"
        gone = self.state == "quiet" and not reaches(current, self._wrapper)
        if gone and self._mark().is_original(current, current is MISSING):
            return "not applied", "reverted; what was put over ours is gone"
        return self.state, self.reason

    def _current(self) -> Any:
        return vars(self.target).get(self.attribute, MISSING)

    def _mark(self) -> Any:
        return mark_of(self._wrapper)

    def _ours(self, current: Any) -> Optional[Any]:
        """Our wrapper of this place (of any copy of this package) if it is there."""
        if mark_of(current) is not None:
            return current

        def is_of_this_place(item: Any) -> bool:
            mark = mark_of(item)
            # A subclass's own method may hold the wrapper of its base's.
            place = getattr(mark, "target", None), getattr(mark, "attribute", None)
            return item is self._wrapper or place == (self.target, self.attribute)

        return None if current is MISSING else reached(current, is_of_this_place)

    def _name_of(self, thing: Any) -> str:
        """Who stands in this place; of an inherited one, whom it is from."""
        if thing is not MISSING:
            return name_of(thing)
        bases = getattr(self.target, "__mro__", (self.target,))[1:]
        owner = next((b for b in bases if self.attribute in vars(b)), None)
        return "nothing" if owner is None else f"{full_name(owner)}.{self.attribute}"


def full_name(thing: Any) -> str:
    """Module and qualified name of a class; of a module, its name."""
    if isinstance(thing, types.ModuleType):
        return thing.__name__
    return f"{thing.__module__}.{thing.__qualname__}"
