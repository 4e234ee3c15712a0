"""The patches that one mode applies to one mmengine, as one thing."""

from __future__ import annotations

import sys
from typing import Any, Dict, List, Optional, Sequence, Union

from valloss_compat._patches.patch import Patch
from valloss_compat._patches.subclasses import SubclassPatcher


class PatchSet:
    """The patches that one mode applies to one mmengine.

    Attributes:
        name (str): ``'add'`` (the convention is added), ``'correct'`` (native
            mmengine is corrected), ``'native'`` (only hooks are found by name) or
            ``'unknown'`` (nothing is patched, for want of a known shape).
        reason (str): Why.
        parts (list): Patches and families of patches, in order.
        places (dict): Full name -> object, of what the plan was made for.
        alone (list): Stand for the targets that this plan leaves alone.
    """

    def __init__(
        self,
        name: str,
        reason: str,
        parts: Sequence[Union[Patch, SubclassPatcher]] = (),
        places: Optional[Dict[str, Any]] = None,
        alone: Sequence[Patch] = (),
    ) -> None:
        self.name = name
        self.reason = reason
        self.parts = list(parts)
        self.places = places or {}
        self.alone = list(alone)

    @property
    def applies(self) -> bool:
        """Whether it patches loops and evaluators; else it tells why not."""
        return self.name in ("add", "correct")

    def apply(self) -> None:
        """Put all patches on."""
        for part in self.parts:
            part.apply()

    def revert(self) -> None:
        """Take all patches off, in reverse order."""
        for part in reversed(self.parts):
            part.revert()

    @property
    def patches(self) -> List[Patch]:
        """The single patches."""
        patches: List[Patch] = []
        for part in self.parts:
            patches.extend(
                part.patches if isinstance(part, SubclassPatcher) else [part]
            )
        return patches + self.alone

    @property
    def overrides(self) -> List[str]:
        """Full names of the methods of loaded subclasses that override ours."""
        return [name for family in self._families() for name in family.overrides()]

    @property
    def unpatched_overrides(self) -> List[str]:
        """Full names of those of them that are not patched."""
        return [
            name for family in self._families() for name in family.unpatched_overrides()
        ]

    def odd(self) -> List[str]:
        """Which classes cannot be looked at, and why."""
        return [note for family in self._families() for note in family.notes()]

    def replaced(self) -> List[str]:
        """Full names of what was loaded anew since the plan was made."""
        return [name for name, cls in self.places.items() if _found(name) is not cls]

    def _families(self) -> List[SubclassPatcher]:
        return [part for part in self.parts if isinstance(part, SubclassPatcher)]


def _found(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(sys.modules.get(module), attribute, None)
