"""What is patched and what is not, to be read by people and by programs."""

from __future__ import annotations

import sys
from typing import Any, Dict, List, NamedTuple, Optional

from valloss_compat.options import Options


class PatchStatus(NamedTuple):
    """The state of one patch.

    Attributes:
        target (str): Full name of what is patched.
        state (str): ``'applied'``, ``'not applied'``, ``'quiet'`` (ours is
            below somebody else's wrapper and only calls the original) or
            ``'not seen'`` (somebody replaced ours, or hides it).
        reason (str): Why, where it is not plain.
    """

    target: str
    state: str
    reason: str


class Status(NamedTuple):
    """What this package did to the mmengine of this process.

    Attributes:
        mode (str): ``'off'``, ``'default'`` or ``'parity'``.
        plan (str): ``'add'``, ``'correct'``, ``'native'``, ``'unknown'`` or
            ``'none'`` where nothing was applied yet.
        reason (str): Why this plan.
        options (Options): As they are now.
        mmengine (str, optional): Version of the imported mmengine.
        torch (str, optional): Version of the imported torch.
        patches (list[PatchStatus]): One entry a patch.
        overriding (list[str]): Methods of subclasses that override a patched
            one, and are patched themselves.
    """

    mode: str
    plan: str
    reason: str
    options: Options
    mmengine: Optional[str]
    torch: Optional[str]
    patches: List[PatchStatus]
    overriding: List[str]

    @property
    def active(self) -> bool:
        """Whether at least one patch is applied."""
        return any(patch.state == "applied" for patch in self.patches)

    def as_dict(self) -> Dict[str, Any]:
        """The same as plain dicts, lists and strings, for JSON."""
        known = self._asdict()
        known["options"] = self.options.as_dict()
        known["patches"] = [dict(patch._asdict()) for patch in self.patches]
        return dict(known)

    def __repr__(self) -> str:
        shown = [f"{k}={v}" for k, v in self.options.as_dict().items() if k != "mode"]
        lines = [
            f"valloss_compat: mode {self.mode}, plan {self.plan}"
            + (f" ({self.reason})" if self.reason else ""),
            f"options {', '.join(shown)}",
            f"mmengine {self.mmengine or 'not imported'}, "
            f"torch {self.torch or 'not imported'}",
        ]
        width = max([len(patch.target) for patch in self.patches], default=0)
        for patch in self.patches:
            line = f"  {patch.target:<{width}}  {patch.state}"
            lines.append(line + (f": {patch.reason}" if patch.reason else ""))
        return "\n".join(lines)


def version_of(module: str) -> Optional[str]:
    """Version of a module if it is imported, without importing it."""
    version = getattr(sys.modules.get(module), "__version__", None)
    return None if version is None else str(version)
