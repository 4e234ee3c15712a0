"""A class and all its subclasses, also those that are not made yet.

A subclass that overrides a patched method without calling ``super()``, or gets
it from a mixin, would escape a patch of the base class alone. So each class
whose method passes by the patches of its bases is patched itself, when it is
found or when it is made.
"""

from __future__ import annotations

from typing import Any, Callable, List, Mapping, Optional, Set, Tuple

from valloss_compat.patching import Patch, full_name, lock
from valloss_compat.wrapper import Seam


class Family:
    """The patches of a class and its subclasses.

    Args:
        root (type): The class.
        seams (dict): Attribute -> seam.
        subclasses (bool): Whether to patch subclasses too.
        only (Callable, optional): Tells of a class whether to patch it.
            Defaults to None: each one.

    Attributes:
        patches (list[Patch]): Those of the root first.
    """

    def __init__(
        self,
        root: type,
        seams: Mapping[str, Seam],
        subclasses: bool = True,
        only: Optional[Callable[[Any], bool]] = None,
    ) -> None:
        self.root = root
        self.patches: List[Patch] = []
        self._only = only
        self._seams = seams
        self._known: Set[Tuple[int, str]] = set()
        self._on = False
        self._watch = Patch(root, "__init_subclass__", self._made)
        self._subclasses = subclasses
        if subclasses:
            self.patches.append(self._watch)

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
                if issubclass(base, self.root):
                    self._patch(base)

    def overriding(self) -> List[str]:
        """Full names of the methods of loaded subclasses that override the root's."""
        return [
            f"{full_name(cls)}.{attribute}"
            for cls in _tree(self.root)[1:]
            if self._only is None or self._only(cls)
            for attribute in self._seams
            if self._escapes(cls, attribute)
        ]

    def _patch(self, cls: type) -> None:
        if self._on:  # another thread may have reverted since it was asked for
            for patch in self._find(cls):
                patch.apply()

    def _find(self, cls: type) -> List[Patch]:
        if self._only is not None and not self._only(cls):
            return []
        found = [
            Patch(cls, attribute, seam)
            for attribute, seam in self._seams.items()
            if (id(cls), attribute) not in self._known and self._escapes(cls, attribute)
        ]
        self._known.update((id(cls), patch.attribute) for patch in found)
        self.patches.extend(found)
        return found

    def _escapes(self, cls: Any, attribute: str) -> bool:
        """Whether calls on this class pass by all patches of its bases."""
        owner = next((base for base in cls.__mro__ if attribute in vars(base)), None)
        if owner is None or (owner is self.root and cls is not self.root):
            return False
        # Its own method, or that of a mixin from outside the family.
        if owner is cls or not issubclass(owner, self.root):
            return True
        # That of a base which is left alone.
        return self._only is not None and not self._only(owner)

    def _made(self, original: Callable[..., Any], cls: type, **kwargs: Any) -> None:
        """``__init_subclass__``: a subclass was made."""
        original(cls, **kwargs)
        with lock:
            self._patch(cls)


def _tree(root: Any) -> List[Any]:
    classes, seen = [root], {id(root)}
    for cls in classes:  # grows while it is walked
        for subclass in cls.__subclasses__():
            if id(subclass) not in seen:
                seen.add(id(subclass))
                classes.append(subclass)
    return classes
