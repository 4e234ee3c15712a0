"""Patches of a class and of its subclasses, also those that are made later.

A subclass that overrides a patched method without calling ``super()``, or gets
it from a mixin, would bypass a patch of the base class alone. So each class whose
method bypasses the patches of its bases is patched itself: when the patches are
applied, when it is created, or when an instance of it is used.

No class is kept alive: what is patched is read off the class tree each time.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

from valloss_compat._patches.patch import Patch, Wrapper, full_name, lock

#: The patchers whose patches are applied.
_enabled: List[SubclassPatcher] = []


class SubclassPatcher:
    """The patches of a class and its subclasses.

    Args:
        root (type): The class.
        wrappers (dict): Attribute -> wrapper.
        only (Callable, optional): Tells of a class whether to patch it.
            Defaults to None: each one.
    """

    def __init__(
        self,
        root: type,
        wrappers: Mapping[str, Wrapper],
        only: Optional[Callable[[Any], bool]] = None,
    ) -> None:
        self.root = root
        self._wrappers = wrappers
        self._only = only
        self._failures: Dict[str, str] = {}
        self._reason = "not applied yet"
        self._of_root = [Patch(root, "__init_subclass__", self._on_subclass_created)]
        self._of_root += [self._patch(root, name) for name in self._overridden(root)]

    @property
    def patches(self) -> List[Patch]:
        """Those of the root first, then those of the subclasses there are now."""
        return self._of_root + [self._patch(*place) for place in self._overrides()]

    def apply(self) -> None:
        """Patch the root and each subclass that there is by now."""
        with lock:
            if self not in _enabled:
                _enabled.append(self)
            self._failures.clear()
            self._reason = (
                "created or changed where no patch saw it: it is patched when it is "
                "used, and by apply()"
            )
            for patch in self.patches:
                self._apply(patch)

    def revert(self) -> None:
        """Restore all classes, in reverse order."""
        with lock:
            if self in _enabled:
                _enabled.remove(self)
            self._reason = "reverted"
            for patch in reversed(self.patches):
                patch.revert()
            self._failures.clear()

    def ensure_patched(self, cls: Any) -> None:
        """Patch a class, and its bases below the root, while the root is patched."""
        for base in cls.__mro__ if self in _enabled else ():
            if base is not self.root:
                for attribute in self._overridden(base):
                    self._apply(self._patch(base, attribute))

    def overrides(self) -> List[str]:
        """Full names of the methods of loaded subclasses that override the root's."""
        return [f"{full_name(cls)}.{name}" for cls, name in self._overrides()]

    def unpatched_overrides(self) -> List[str]:
        """Those of :meth:`overrides` that are not patched."""
        patches = [self._patch(*place) for place in self._overrides()]
        return [p.name for p in patches if p.inspect().state != "active"]

    def notes(self) -> List[str]:
        """Which classes cannot be patched, and why."""
        return [f"{name} is left alone: {why}" for name, why in self._failures.items()]

    def _overrides(self) -> Iterator[Tuple[Any, str]]:
        for cls in class_tree(self.root)[1:]:
            for attribute in self._overridden(cls):
                yield cls, attribute

    def _patch(self, cls: type, attribute: str) -> Patch:
        patch = Patch(cls, attribute, self._wrappers[attribute])
        patch.reason = self._failures.get(patch.name, self._reason)
        return patch

    def _apply(self, patch: Patch) -> None:
        patch.apply()
        if patch.reason and patch not in self._of_root:
            self._failures[patch.name] = patch.reason

    def _overridden(self, cls: Any) -> List[str]:
        """The attributes by which a class bypasses the patches of its bases."""
        try:
            if not self._is_wanted(cls):
                return []
            return [name for name in self._wrappers if self._bypasses(cls, name)]
        except Exception as error:  # of a metaclass: the class is created all the same
            self._failures[type.__repr__(cls)] = f"{type(error).__name__}: {error}"
            return []

    def _is_wanted(self, cls: Any) -> bool:
        return derives(cls, self.root) and (self._only is None or self._only(cls))

    def _bypasses(self, cls: Any, attribute: str) -> bool:
        """Whether a method of a class is its own, or not that of a patched base."""
        for base in cls.__mro__:
            if base is cls:
                if attribute in vars(cls):
                    return True
            elif base is self.root or self._is_wanted(base):
                return False  # patched itself, where its method is not the root's
            elif attribute in vars(base):
                return True  # of a mixin, or of a base that is not to be patched
        return False

    def _on_subclass_created(
        self, original: Callable[..., Any], cls: type, **kwargs: Any
    ) -> None:
        original(cls, **kwargs)
        with lock:
            self.ensure_patched(cls)


def ensure_patched(cls: Any) -> None:
    """Patch what was missed of a class, while the patches are applied.

    A class escapes ``__init_subclass__`` where a base of it does not call
    ``super()`` there, and a method may be replaced after the class was created.
    """
    with lock:
        for patcher in _enabled:
            patcher.ensure_patched(cls)


def derives(cls: Any, root: Any) -> bool:
    """``issubclass`` that asks nothing of a metaclass."""
    return root in cls.__mro__


def class_tree(root: Any) -> List[Any]:
    """A class and its subclasses, bases first; of a module, the module alone."""
    classes, seen = [root], {id(root)}
    for cls in classes if isinstance(root, type) else ():  # grows while it is walked
        for subclass in type.__subclasses__(cls):
            if id(subclass) not in seen:
                seen.add(id(subclass))
                classes.append(subclass)
    return classes
