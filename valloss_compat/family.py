"""A class and all its subclasses, also those that are not made yet.

A subclass that overrides a patched method without calling ``super()``, or gets
it from a mixin, would escape a patch of the base class alone. So each class
whose method passes by the patches of its bases is patched itself, when it is
found or when it is made.
"""

from __future__ import annotations

from typing import Any, Callable, List, Mapping, Optional

from valloss_compat.patching import Patch, Seam


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
        self._only = only
        self._seams = seams
        self.patches: List[Patch] = []
        self._watch = Patch(root, "__init_subclass__", self._made)
        self._subclasses = subclasses
        if subclasses:
            self.patches.append(self._watch)

    def apply(self) -> None:
        """Patch the root and, if asked, each subclass that there is by now."""
        for cls in _tree(self.root) if self._subclasses else [self.root]:
            self._find(cls)
        for patch in self.patches:
            patch.apply()

    def cover(self, cls: Any) -> None:
        """Patch what was missed of a class: made or changed past our watch."""
        for base in cls.__mro__:
            if issubclass(base, self.root):
                for patch in self._find(base):
                    patch.apply()

    def overriding(self) -> List[str]:
        """Full names of the methods of subclasses that are patched."""
        return [patch.name for patch in self.patches if patch.target is not self.root]

    def _find(self, cls: type) -> List[Patch]:
        if self._only is not None and not self._only(cls):
            return []
        known = {(patch.target, patch.attribute) for patch in self.patches}
        found = [
            Patch(cls, attribute, seam)
            for attribute, seam in self._seams.items()
            if self._escapes(cls, attribute) and (cls, attribute) not in known
        ]
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
        for patch in self._find(cls):
            patch.apply()


def _tree(root: Any) -> List[Any]:
    classes = [root]
    for cls in classes:  # grows while it is walked
        for subclass in cls.__subclasses__():
            if subclass not in classes:
                classes.append(subclass)
    return classes
