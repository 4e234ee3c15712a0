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
            below somebody else's wrapper, or was put back by somebody, and
            only calls the original) or ``'not seen'`` (somebody replaced,
            deleted or hides ours, or mmengine was loaded anew).
        reason (str): Why; empty for a plain ``'applied'``, never for others.
        owner (str): Who stands there now: ``'valloss_compat'`` and the
            version of the copy that made the wrapper, or the full name of
            what is there.
        original (str): Full name of what stood there before us, or stands
            there where we are not.
    """

    target: str
    state: str
    reason: str
    owner: str
    original: str


class Status(NamedTuple):
    """What this package did to the mmengine of this process.

    Attributes:
        mode (str): ``'off'``, ``'default'`` or ``'parity'``.
        plan (str): ``'add'``, ``'correct'``, ``'native'``, ``'unknown'`` or
            ``'none'`` where nothing is applied.
        reason (str): Why this plan.
        options (Options): As they are now.
        mmengine (str, optional): Version of the imported mmengine.
        distribution (str, optional): Name of the distribution whose files it
            is: ``'mmengine'``, ``'mmengine-lite'``, ``'mmengine-open'``,
            ``'onedl-mmengine'``; None where no metadata tells.
        torch (str, optional): Version of the imported torch.
        patches (list[PatchStatus]): One entry a target, also where nothing is
            applied; empty only where no mmengine was looked at.
        overriding (list[str]): Full names of the methods of loaded subclasses
            that override a patched one. In mode ``'default'`` those of loops
            and evaluators are patched themselves, but for the next.
        escaping (list[str]): Those of ``overriding`` that are not patched:
            those of log processors, of a class whose metaclass refuses, and
            of a class that was made past our ``__init_subclass__``, until it
            is built or the next ``apply()``. Empty while nothing is applied.
        notes (list[str]): What else needs attention: distributions that
            overwrote each other, an mmengine that was loaded anew, classes
            whose metaclass does not let us look.
    """

    mode: str
    plan: str
    reason: str
    options: Options
    mmengine: Optional[str]
    distribution: Optional[str]
    torch: Optional[str]
    patches: List[PatchStatus]
    overriding: List[str]
    escaping: List[str]
    notes: List[str]

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
        whose = f" (distribution {self.distribution})" if self.distribution else ""
        lines = [
            f"valloss_compat: mode {self.mode}, plan {self.plan}"
            + (f" ({self.reason})" if self.reason else ""),
            f"options {', '.join(shown)}",
            f"mmengine {self.mmengine or 'not imported'}{whose}, "
            f"torch {self.torch or 'not imported'}",
        ]
        lines += [f"note: {note}" for note in self.notes]
        if self.patches:
            lines += _table([PatchStatus._fields, *self.patches])
        if self.overriding:
            lines += ["overriding:", *map(self._shown, self.overriding)]
        return "\n".join(lines)

    def _shown(self, name: str) -> str:
        return f"  {name}{' (not patched)' if name in self.escaping else ''}"


def _table(rows: List[Any]) -> List[str]:
    """Columns side by side; the reason, which is long, comes last."""
    shown = []
    for target, state, reason, owner, original in rows:
        who, before = ("its own" if n == target else n for n in (owner, original))
        shown.append((target, state, who, before, reason))
    widths = [max(map(len, column)) for column in zip(*shown)]
    widths[-1] = 0
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip()
        for row in shown
    ]


def version_of(module: str) -> Optional[str]:
    """Version of a module if it is imported, without importing it."""
    version = getattr(sys.modules.get(module), "__version__", None)
    return None if version is None else str(version)
