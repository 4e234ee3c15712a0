"""What a user calls: apply, revert, configure, status."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional

from valloss_compat import options
from valloss_compat._distribution import Distribution, distributions_of
from valloss_compat._patches.patch import PatchStatus, lock
from valloss_compat._patches.patch_set import PatchSet
from valloss_compat.errors import UnknownMMEngineError, VallossCompatWarning
from valloss_compat.options import Options

if TYPE_CHECKING:  # Python 3.7 has no Literal
    from typing import Literal


class Status(NamedTuple):
    """What this package did to mmengine; its ``repr`` is a table.

    Attributes:
        mode (str): ``'off'``, ``'default'`` or ``'parity'``.
        plan (str): ``'add'``, ``'correct'``, ``'parity'``, ``'native'``,
            ``'unknown'``, or ``'none'`` where nothing is applied.
        reason (str): Why this plan.
        options (Options): As they are now.
        mmengine (str, optional): Version of the imported mmengine.
        distribution (str, optional): Name of the distribution that it comes from,
            ``'mmengine'`` or a fork; None where no metadata tells.
        torch (str, optional): Version of the imported torch.
        patches (list[PatchStatus]): One entry a target, also where nothing is
            applied; empty only where no mmengine was inspected.
        overrides (list[str]): Full names of the methods of loaded subclasses
            that override a patched one.
        unpatched_overrides (list[str]): Those of ``overrides`` that are not patched
            themselves: of log processors and registries, of a class whose metaclass
            refuses, and of one that was created without ``__init_subclass__``, until
            it is used or the next ``apply()``. Empty while nothing is applied.
        notes (list[str]): What else needs attention: distributions that overwrote
            each other, an mmengine that was loaded again.
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
        """Whether at least one patch is active."""
        return any(patch.state == "active" for patch in self.patches)

    def as_dict(self) -> Dict[str, Any]:
        """The same as plain dicts, lists and strings, for JSON."""
        document = self._asdict()
        document["options"] = self.options.as_dict()
        document["patches"] = [dict(patch._asdict()) for patch in self.patches]
        return dict(document)

    def __repr__(self) -> str:
        shown = [f"{k}={v}" for k, v in self.options.as_dict().items() if k != "mode"]
        origin = f" (distribution {self.distribution})" if self.distribution else ""
        lines = [
            f"valloss_compat: mode {self.mode}, plan {self.plan} ({self.reason})",
            f"options {', '.join(shown)}",
            f"mmengine {self.mmengine or 'not imported'}{origin}, "
            f"torch {self.torch or 'not imported'}",
        ]
        lines += [f"note: {note}" for note in self.notes]
        if self.patches:
            lines += _table([PatchStatus._fields, *self.patches])
        if self.overrides:
            lines.append("overriding:")
        for name in self.overrides:
            unpatched = " (not patched)" if name in self.unpatched_overrides else ""
            lines.append(f"  {name}{unpatched}")
        return "\n".join(lines)


def _table(rows: List[Any]) -> List[str]:
    """Columns side by side; the reason, which is long, comes last."""
    shown = []
    for target, state, reason, owner, original in rows:
        names = ("its own" if name == target else name for name in (owner, original))
        shown.append((target, state, *names, reason))
    widths = [max(map(len, column)) for column in zip(*shown)]
    widths[-1] = 0
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip()
        for row in shown
    ]


_patch_sets: Dict[str, PatchSet] = {}  # by mode
_mode = "off"
_latest: Optional[PatchSet] = None  # stays after a revert, to show what was reverted


def apply(
    mode: Optional[Literal["default", "parity"]] = None, strict: Optional[bool] = None
) -> Status:
    """Patch the installed mmengine; called once by ``import valloss_compat``.

    Calling it again changes nothing, except with another mode: then the
    patches of the former mode are reverted first.

    Args:
        mode (str, optional): As of :class:`Options`, None: as the options are.
        strict (bool, optional): The same.

    Returns:
        Status: What was patched, and what not and why.

    Raises:
        ValueError: If the mode is unknown, or contradicts ``VALLOSS_COMPAT``.
        UnusableMMEngineError: If mmengine is missing or fails to import.
        UnknownMMEngineError: If ``strict`` and mmengine is not built as expected.
    """
    with lock:
        start(mode, strict)
        return status()


def start(mode: Optional[str] = None, strict: Optional[bool] = None) -> None:
    """Do what :func:`apply` does without making a status: for the import."""
    with lock, options.choosing(mode=mode, strict=strict) as chosen:
        _apply(chosen)


def _apply(chosen: Options, stacklevel: int = 4) -> None:
    """Exchange the patches; a warning names the caller that ``stacklevel`` counts."""
    global _mode, _latest
    mode = chosen.mode
    if mode == "off":  # the environment says so by now
        _revert()
        return
    patch_set = known = _patch_sets.get(mode)
    if known is not None and known.reloaded():
        known.revert()
        patch_set = None
    patch_set = patch_set or PatchSet(mode)
    if patch_set.name == "unknown":
        mmengine = f"mmengine {_version_of('mmengine')} has an unknown structure: "
        if chosen.strict:
            raise UnknownMMEngineError(
                f"{mmengine}{patch_set.reason}. Fix: update valloss_compat, or leave "
                "strict out to train unpatched"
            )
        if patch_set is not known:
            warnings.warn(
                f"nothing is patched, because {mmengine}{patch_set.reason}",
                VallossCompatWarning,
                stacklevel=stacklevel,
            )
    _patch_sets[mode] = _latest = patch_set
    if _mode not in ("off", mode):
        _patch_sets[_mode].revert()
    patch_set.apply()
    _mode = mode


def revert() -> Status:
    """Put back the very objects that were patched.

    Where another library wrapped one of our wrappers, its wrapper stays and the one
    inside is disabled; :func:`status` says so, and :func:`apply` enables it.
    """
    with lock:
        _revert()
        return status()


def _revert() -> None:
    global _mode
    if _mode in _patch_sets:
        _patch_sets[_mode].revert()
    _mode = "off"


def configure(
    *,
    mode: Optional[Literal["default", "parity"]] = None,
    weighting: Optional[Literal["batch", "sample"]] = None,
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

    Raises:
        ValueError: If a value is not known, contradicts another option, or
            contradicts the environment variable ``VALLOSS_COMPAT``.
    """
    given = {"weighting": weighting, "sync_dist": sync_dist, "strict": strict}
    with lock, options.choosing(mode=mode, **given) as chosen:
        if _mode not in ("off", chosen.mode):
            _apply(chosen, stacklevel=3)
    return chosen


def status() -> Status:
    """Show what is patched and what is not; imports nothing of mmengine."""
    with lock:
        current = _patch_sets.get(_mode)
        shown = current or _latest
        patches = list(shown.patches) if shown else []
        names = {patch.name for patch in patches}
        for other in _patch_sets.values():  # a wrapper of another library may keep some
            patches += [
                patch
                for patch in other.patches
                if patch.name not in names and patch.inspect().state == "disabled"
            ]
        overrides = shown.overrides() if shown else []
        distributions = distributions_of(sys.modules.get("mmengine"))
        return Status(
            mode=_mode,
            plan=current.name if current else "none",
            reason=current.reason if current else _reason_for_off(),
            options=options.current(),
            mmengine=_version_of("mmengine"),
            distribution=distributions[0].name if distributions else None,
            torch=_version_of("torch"),
            patches=[patch.inspect() for patch in patches],
            overrides=[name for name, _ in overrides],
            unpatched_overrides=[
                name for name, is_patched in overrides if current and not is_patched
            ],
            notes=_notes(shown, distributions),
        )


def _notes(shown: Optional[PatchSet], distributions: List[Distribution]) -> List[str]:
    notes = []
    if len(distributions) > 1:
        names = " and ".join(f"{one.name} {one.version}" for one in distributions)
        notes.append(
            f"{names} are installed in one environment and have overwritten files of "
            "each other. Fix: uninstall all of them, then install one"
        )
    reloaded = shown.reloaded() if shown else []
    if reloaded:
        notes.append(
            f"{', '.join(reloaded)} was loaded again after it was patched. Fix: "
            "call valloss_compat.apply()"
        )
    return notes


def _reason_for_off() -> str:
    if options.current().mode == "off":
        return f"{options.VARIABLE}=off in the environment"
    return "reverted; apply() patches again" if _patch_sets else "not applied yet"


def _version_of(module: str) -> Optional[str]:
    """Version of a module if it is imported, without importing it."""
    version = getattr(sys.modules.get(module), "__version__", None)
    return None if version is None else str(version)
