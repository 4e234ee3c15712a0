"""Apply, revert, configure, status: what a user calls."""

from __future__ import annotations

import threading
import warnings
from typing import Dict, List, Optional

from valloss_compat import dispatch, options
from valloss_compat.errors import UnknownMMEngineError, VallossCompatWarning
from valloss_compat.family import Family
from valloss_compat.options import Options
from valloss_compat.status import PatchStatus, Status, version_of

_lock = threading.RLock()
_plans: Dict[str, dispatch.Plan] = {}
_mode = "off"


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
    with _lock:
        known = options.snapshot()
        chosen = options.choose(mode=mode, strict=strict)
        try:
            return _apply(chosen)
        except Exception:
            options.restore(known)
            raise


def _apply(chosen: Options) -> Status:
    global _mode
    mode = chosen.mode
    if mode == "off":
        return status()
    plan = _plans.get(mode)
    if plan is None:
        plan = dispatch.plan(mode)
        if plan.name == "unknown" and not chosen.strict:
            warnings.warn(
                f"nothing is patched, because mmengine {version_of('mmengine')} "
                f"is not as valloss_compat knows it: {plan.reason}",
                VallossCompatWarning,
                stacklevel=4,
            )
    if plan.name == "unknown" and chosen.strict:
        raise UnknownMMEngineError(
            f"mmengine {version_of('mmengine')} is not as valloss_compat knows "
            f"it: {plan.reason}. Update valloss_compat, or leave strict out to "
            "go on unpatched."
        )
    _plans[mode] = plan
    if _mode not in ("off", mode):
        revert()
    plan.apply()
    _mode = mode
    return status()


def revert() -> Status:
    """Put back the very objects that were patched.

    Where somebody else wrapped one of our wrappers, theirs stays and ours is
    switched off inside; :func:`status` says so, and :func:`apply` wakes it.

    Returns:
        Status: As it is now.
    """
    global _mode
    with _lock:
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
    with _lock:
        known = options.snapshot()
        chosen = options.choose(
            mode=mode, weighting=weighting, sync_dist=sync_dist, strict=strict
        )
        try:
            if chosen.mode == "off":  # the environment says so by now
                revert()
            elif _mode not in ("off", chosen.mode):
                _apply(chosen)
        except Exception:
            options.restore(known)
            raise
        return chosen


def status() -> Status:
    """Tell what is patched and what is not; imports nothing.

    Returns:
        Status: Its ``repr`` is a table, ``as_dict()`` is for JSON.
    """
    with _lock:
        plan = _plans.get(_mode)
        quiet = [patch for known in _plans.values() for patch in known.patches]
        patches = plan.patches if plan else [p for p in quiet if p.state == "quiet"]
        overriding: List[str] = []
        for part in plan.parts if plan else []:
            overriding += part.overriding() if isinstance(part, Family) else []
        return Status(
            mode=_mode,
            plan=plan.name if plan else "none",
            reason=plan.reason if plan else _why_off(),
            options=options.current(),
            mmengine=version_of("mmengine"),
            torch=version_of("torch"),
            patches=[PatchStatus(p.name, *p.look()) for p in patches],
            overriding=overriding,
        )


def _why_off() -> str:
    if options.current().mode == "off":
        return f"{options.VARIABLE}=off in the environment"
    return "reverted; apply() patches again" if _plans else "not applied yet"
