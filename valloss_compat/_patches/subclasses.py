"""A class and all its subclasses, also those that are not made yet.

A subclass that overrides a patched method without calling ``super()``, or gets
it from a mixin, would escape a patch of the base class alone. So each class
whose method passes by the patches of its bases is patched itself, when it is
found or when it is made.
"""

from __future__ import annotations

import weakref
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

from valloss_compat._patches.patch import Patch, Seam, full_name, lock


class SubclassPatcher:
    """The patches of a class and its subclasses.

    Args:
        root (type): The class.
        seams (dict): Attribute -> seam.
        subclasses (bool): Whether to patch subclasses too.
        only (Callable, optional): Tells of a class whether to patch it.
            Defaults to None: each one.

    The subclasses may die: they are held weakly, and forgotten with their patches.
    """

    def __init__(
        self,
        root: type,
        seams: Mapping[str, Seam],
        subclasses: bool = True,
        only: Optional[Callable[[Any], bool]] = None,
    ) -> None:
        self.root = root
        # By the id of the class, which another has once this one is dead.
        self._patches: Dict[Tuple[int, str], Patch] = {}
        self._odd: Dict[int, Tuple[Callable[[], Any], str]] = {}
        self._only = only
        self._seams = seams
        self._on = False
        self._subclasses = subclasses
        if subclasses:
            watch = Patch(root, "__init_subclass__", self._made)
            self._patches[id(root), watch.attribute] = watch

    @property
    def patches(self) -> List[Patch]:
        """Those of the root first, and of living classes only."""
        for key, patch in list(self._patches.items()):
            if patch.target is None:
                del self._patches[key]
        return list(self._patches.values())

    def apply(self) -> None:
        """Patch the root and, if asked, each subclass that there is by now."""
        with lock:
            self._on = True
            for cls in _tree(self.root) if self._subclasses else [self.root]:
                self._find(cls)
            for patch in self.patches:
                patch.apply()

    def revert(self) -> None:
        """Take all patches off, in reverse order."""
        with lock:
            self._on = False
            for patch in reversed(self.patches):
                patch.revert()

    def cover(self, cls: Any) -> None:
        """Patch what was missed of a class: made or changed past our watch."""
        with lock:
            for base in cls.__mro__:
                if derives(base, self.root):
                    self._patch(base)

    def overrides(self) -> List[str]:
        """Full names of the methods of loaded subclasses that override the root's."""
        return [f"{full_name(c)}.{attribute}" for c, attribute in self._overriding()]

    def unpatched_overrides(self) -> List[str]:
        """Those of them that are not patched, while the root is."""
        return [
            f"{full_name(cls)}.{attribute}"
            for cls, attribute in (self._overriding() if self._on else ())
            if not self._is_patched(cls, attribute)
        ]

    def notes(self) -> List[str]:
        """Of living classes that cannot be looked at, which and why."""
        return [note for held, note in self._odd.values() if held() is not None]

    def _overriding(self) -> Iterator[Tuple[Any, str]]:
        for cls in _tree(self.root)[1:]:
            for attribute in self._wanted(cls):
                yield cls, attribute

    def _is_patched(self, cls: Any, attribute: str) -> bool:
        patch = self._known(cls, attribute)
        return patch is not None and patch.look().state == "active"

    def _known(self, cls: Any, attribute: str) -> Optional[Patch]:
        patch = self._patches.get((id(cls), attribute))
        return patch if patch is not None and patch.target is cls else None

    def _patch(self, cls: type) -> None:
        if self._on:  # another thread may have reverted since it was asked for
            for patch in self._find(cls):
                patch.apply()

    def _find(self, cls: type) -> List[Patch]:
        found = [
            Patch(cls, attribute, self._seams[attribute], weak=cls is not self.root)
            for attribute in self._wanted(cls)
            if self._known(cls, attribute) is None
        ]
        self._patches.update(((id(cls), patch.attribute), patch) for patch in found)
        return found

    def _wanted(self, cls: Any) -> List[str]:
        """What is to be patched of a class."""
        try:
            if self._only is not None and not self._only(cls):
                return []
            wanted = [name for name in self._seams if self._escapes(cls, name)]
        except Exception as error:  # of its metaclass; the class is made all the same
            name = type.__repr__(cls)
            note = f"{name} is left alone: {type(error).__name__}: {error}"
            self._odd[id(cls)] = weakref.ref(cls), note
            return []
        self._odd.pop(id(cls), None)
        return wanted

    def _escapes(self, cls: Any, attribute: str) -> bool:
        """Whether calls on this class pass by all patches of its bases."""
        owner = next((base for base in cls.__mro__ if attribute in vars(base)), None)
        if owner is None or (owner is self.root and cls is not self.root):
            return False
        # Its own method, or that of a mixin from outside the family.
        if owner is cls or not derives(owner, self.root):
            return True
        # That of a base which is left alone.
        return self._only is not None and not self._only(owner)

    def _made(self, original: Callable[..., Any], cls: type, **kwargs: Any) -> None:
        """``__init_subclass__``: a subclass was made."""
        original(cls, **kwargs)
        with lock:
            self._patch(cls)


def derives(cls: Any, root: Any) -> bool:
    """``issubclass`` that asks neither ``__hash__`` nor ``__eq__`` of a metaclass."""
    return any(base is root for base in cls.__mro__)


def _tree(root: Any) -> List[Any]:
    classes, seen = [root], {id(root)}
    for cls in classes:  # grows while it is walked
        for subclass in type.__subclasses__(cls):
            if id(subclass) not in seen:
                seen.add(id(subclass))
                classes.append(subclass)
    return classes
