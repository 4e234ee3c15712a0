"""Patches of a class and of its subclasses, also those that are made later.

A subclass that overrides a patched method without calling ``super()``, or gets
it from a mixin, would bypass a patch of the base class alone. So each class whose
method bypasses the patches of its bases is patched itself: when the patches are
applied, when it is created, or when an instance of it is used.

No class is kept alive: what is patched is read off the class tree each time.
"""

from __future__ import annotations

import warnings
from typing import Any, Callable, Dict, List, Optional, Tuple

from valloss_compat._patches.patch import Args, Kwargs, Original, Patch, Wrapper, lock
from valloss_compat._patches.patch import class_tree as class_tree
from valloss_compat.errors import VallossCompatWarning

#: The patchers whose patches are applied.
_enabled: List[SubclassPatcher] = []


class SubclassPatcher:
    """The patches of a class and its subclasses, or of those that ``only`` accepts."""

    def __init__(
        self, root: type, only: Optional[Callable[[Any], bool]] = None
    ) -> None:
        self._root = root
        self._only = only
        self._wrappers: Dict[str, Wrapper] = {}  # by attribute
        self._reason = "not applied yet"
        self._of_root = [Patch(root, "__init_subclass__", self._init_subclass)]

    def add(self, attribute: str, wrapper: Wrapper) -> None:
        """Patch one more method, from the next :meth:`apply` on."""
        self._wrappers[attribute] = wrapper
        if self._is_wanted(self._root) and self._bypasses(self._root, attribute):
            self._of_root.append(Patch(self._root, attribute, wrapper))

    @property
    def patches(self) -> List[Patch]:
        """Those of the root first, then those of the subclasses there are now."""
        return [*self._of_root, *self._of_subclasses()]

    def apply(self) -> None:
        """Patch the root and each subclass that there is by now."""
        if self not in _enabled:
            _enabled.append(self)
        self._reason = (
            "created or changed unnoticed: it is patched when it is used, or by apply()"
        )
        _apply(self.patches)

    def revert(self) -> None:
        """Restore all classes, in reverse order."""
        if self in _enabled:
            _enabled.remove(self)
        self._reason = "reverted"
        for patch in reversed(self.patches):
            patch.revert()

    def ensure_patched(self, cls: Any) -> None:
        """Patch a class, and its bases below the root, while the root is patched."""
        for base in cls.__mro__ if self in _enabled else ():
            if base is not self._root:
                _apply(self._patches_of(base))

    def overrides(self) -> List[Tuple[str, bool]]:
        """Methods of loaded subclasses that override the root's; whether patched."""
        patches = self._of_subclasses()
        return [(patch.name, patch.inspect().state == "active") for patch in patches]

    def _of_subclasses(self) -> List[Patch]:
        patches = []
        for cls in class_tree(self._root)[1:]:
            patches += self._patches_of(cls)
        return patches

    def _patches_of(self, cls: Any) -> List[Patch]:
        """Those of the methods by which a class bypasses the patches of its bases."""
        names = self._wrappers if self._is_wanted(cls) else ()
        return [
            Patch(cls, name, self._wrappers[name], reason=self._reason)
            for name in names
            if self._bypasses(cls, name)
        ]

    def _is_wanted(self, cls: Any) -> bool:
        return self._root in cls.__mro__ and (self._only is None or self._only(cls))

    def _bypasses(self, cls: Any, attribute: str) -> bool:
        """Whether a method of a class is its own, or not that of a patched base."""
        for base in cls.__mro__:
            if base is not cls and (base is self._root or self._is_wanted(base)):
                return False  # patched itself, where its method is not the root's
            if attribute in vars(base):
                return True  # its own, or of a base that is not to be patched
        return False

    def _init_subclass(self, original: Original, args: Args, kwargs: Kwargs) -> None:
        original(*args, **kwargs)
        with lock:
            self.ensure_patched(args[0])


def ensure_patched(cls: Any) -> None:
    """Patch what was missed of a class, while the patches are applied.

    A class escapes ``__init_subclass__`` where a base of it does not call
    ``super()`` there, and a method may be replaced after the class was created.
    """
    with lock:
        for patcher in _enabled:
            patcher.ensure_patched(cls)


def _apply(patches: List[Patch]) -> None:
    for patch in patches:
        try:
            patch.apply()
        except Exception as error:  # a metaclass refuses
            message = f"{patch.name} stays unpatched, and its losses are not reported: "
            warnings.warn(f"{message}{error}", VallossCompatWarning, stacklevel=4)
