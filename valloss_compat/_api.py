"""Apply, revert, configure, status: what a user calls."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional

from valloss_compat import options
from valloss_compat._patches import patch_set
from valloss_compat._patches.patch import lock
from valloss_compat._patches.plans import PatchSet
from valloss_compat.errors import UnknownMMEngineError, VallossCompatWarning
from valloss_compat.options import Options


class PatchStatus(NamedTuple):
    """The state of one patch.

    Attributes:
        target (str): Full name of what is patched.
        state (str): ``'active'``, ``'inactive'``, ``'disabled'`` (ours is
            below somebody else's wrapper, or was put back by somebody, and
            only calls the original) or ``'replaced'`` (somebody replaced,
            deleted or hides ours, or mmengine was loaded anew).
        reason (str): Why; empty for a plain ``'active'``, never for others.
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
        overrides (list[str]): Full names of the methods of loaded subclasses
            that override a patched one. In mode ``'default'`` those of loops
            and evaluators are patched themselves, but for the next.
        unpatched_overrides (list[str]): Those of ``overrides`` that are not patched:
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
    overrides: List[str]
    unpatched_overrides: List[str]
    notes: List[str]

    @property
    def active(self) -> bool:
        """Whether at least one patch is applied."""
        return any(patch.state == "active" for patch in self.patches)

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
        if self.overrides:
            lines += ["overriding:", *map(self._shown, self.overrides)]
        return "\n".join(lines)

    def _shown(self, name: str) -> str:
        return f"  {name}{' (not patched)' if name in self.unpatched_overrides else ''}"


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


if TYPE_CHECKING:
    from valloss_compat._distribution import Distribution

_plans: Dict[str, PatchSet] = {}
_mode = "off"
_latest: Optional[PatchSet] = None  # stays after a revert, to tell what was reverted


def apply(mode: Optional[str] = None, strict: Optional[bool] = None) -> Status:
    """Patch the installed mmengine; called once by ``import valloss_compat``.

    Calling it again changes nothing, except with another mode: then the
    patches of the former mode are reverted first.

    Args:
        mode (str, optional): As of :class:`Options`. Defaults to None: as the
            options are.
        strict (bool, optional): As of :class:`Options`. Defaults to None: as
            the options are.

    Returns:
        Status: What was patched, and what not and why.

    Raises:
        ValueError: If the mode is unknown, or contradicts ``VALLOSS_COMPAT``.
        UnusableMMEngineError: If mmengine is missing or fails to import.
        UnknownMMEngineError: If ``strict`` and the shape is not known.
    """
    with lock:
        start(mode, strict)
        return status()


def start(mode: Optional[str] = None, strict: Optional[bool] = None) -> None:
    """Do what :func:`apply` does, without the price of a status: for the import."""
    with lock:
        known = options.snapshot()
        chosen = options.choose(mode=mode, strict=strict)
        try:
            _apply(chosen)
        except Exception:
            options.restore(known)
            raise


def _apply(chosen: Options, stacklevel: int = 4) -> None:
    """Exchange the patches; a warning names the caller that ``stacklevel`` counts."""
    global _mode, _latest
    mode = chosen.mode
    if mode == "off":
        return
    plan = _plans.get(mode)
    if plan is not None and plan.replaced():
        # mmengine was loaded anew: what is in place now is to be patched.
        plan.revert()
        plan = None
    if plan is None:
        plan = patch_set.plan(mode)
        if plan.name == "unknown" and not chosen.strict:
            _warn_of_unknown(plan, stacklevel + 1)
    if plan.name == "unknown" and chosen.strict:
        raise UnknownMMEngineError(
            f"mmengine {version_of('mmengine')} is not as valloss_compat knows "
            f"it: {plan.reason}. Update valloss_compat, or leave strict out to "
            "go on unpatched."
        )
    _plans[mode] = _latest = plan
    if _mode not in ("off", mode):
        _plans[_mode].revert()
    plan.apply()
    _mode = mode


def _warn_of_unknown(plan: PatchSet, stacklevel: int) -> None:
    warnings.warn(
        f"nothing is patched, because mmengine {version_of('mmengine')} is not as "
        f"valloss_compat knows it: {plan.reason}",
        VallossCompatWarning,
        stacklevel=stacklevel,
    )


def revert() -> Status:
    """Put back the very objects that were patched.

    Where somebody else wrapped one of our wrappers, theirs stays and ours is
    switched off inside; :func:`status` says so, and :func:`apply` wakes it.

    Returns:
        Status: As it is now.
    """
    global _mode
    with lock:
        if _mode in _plans:
            _plans[_mode].revert()
        _mode = "off"
        return status()


def configure(
    *,
    mode: Optional[str] = None,
    weighting: Optional[str] = None,
    sync_dist: Optional[bool] = None,
    strict: Optional[bool] = None,
) -> Options:
    """Choose options, for this process; what is left out stays as it is.

    A change of mode exchanges the patches at once, if any are applied. The
    other options hold from the next validation on.

    Args:
        mode (str, optional): See :class:`Options`, as for all of these.
        weighting (str, optional): How much each batch counts.
        sync_dist (bool, optional): Whether the means are over all ranks.
        strict (bool, optional): Whether an unknown mmengine is an error.

    Returns:
        Options: As they are now.

    Raises:
        ValueError: If a value is not known, contradicts another option, or
            contradicts the environment variable ``VALLOSS_COMPAT``.
    """
    with lock:
        known = options.snapshot()
        chosen = options.choose(
            mode=mode, weighting=weighting, sync_dist=sync_dist, strict=strict
        )
        try:
            if chosen.mode == "off":  # the environment says so by now
                revert()
            elif _mode not in ("off", chosen.mode):
                _apply(chosen, stacklevel=3)
        except Exception:
            options.restore(known)
            raise
        return chosen


def status() -> Status:
    """Tell what is patched and what is not; imports nothing of mmengine.

    Returns:
        Status: Its ``repr`` is a table, ``as_dict()`` is for JSON.
    """
    # Not at the top: applying does without.
    from valloss_compat._distribution import distributions_of

    with lock:
        plan = _plans.get(_mode)
        shown = plan or _latest
        patches = list(shown.patches) if shown else []
        for other in _plans.values():
            if other is not shown:
                patches += [p for p in other.patches if p.look().state == "disabled"]
        whose = distributions_of(sys.modules.get("mmengine"))
        return Status(
            mode=_mode,
            plan=plan.name if plan else "none",
            reason=plan.reason if plan else _why_off(),
            options=options.current(),
            mmengine=version_of("mmengine"),
            distribution=whose[0].name if whose else None,
            torch=version_of("torch"),
            patches=[PatchStatus(p.name, *p.look()) for p in patches],
            overrides=shown.overrides if shown else [],
            unpatched_overrides=shown.unpatched_overrides if shown else [],
            notes=_notes(shown, whose),
        )


def _notes(plan: Optional[PatchSet], whose: List[Distribution]) -> List[str]:
    notes = []
    if len(whose) > 1:
        names = " and ".join(f"{known.name} {known.version}" for known in whose)
        notes.append(
            f"{names} are installed over each other, and each has overwritten files "
            "of the other: uninstall all of them, then install the one you want"
        )
    notes += plan.odd() if plan else []
    replaced = plan.replaced() if plan else []
    if replaced:
        notes.append(
            f"{', '.join(replaced)} was loaded anew after it was patched: call "
            "valloss_compat.apply() to patch what is in place now"
        )
    return notes


def _why_off() -> str:
    if options.current().mode == "off":
        return f"{options.VARIABLE}=off in the environment"
    return "reverted; apply() patches again" if _plans else "not applied yet"
