"""Apply, revert, status: what a user calls."""

from __future__ import annotations

import os
import threading
import warnings
from typing import Dict, List, Optional

from valloss_compat import dispatch
from valloss_compat.errors import UnknownMMEngineError, VallossCompatWarning
from valloss_compat.family import Family
from valloss_compat.status import PatchStatus, Status, version_of

VARIABLE = "VALLOSS_COMPAT"
MODES = ("default", "parity")

_lock = threading.RLock()
_plans: Dict[str, dispatch.Plan] = {}
_mode = "off"


def apply(mode: Optional[str] = None, strict: bool = False) -> Status:
    """Patch the installed mmengine; called once by ``import valloss_compat``.

    Calling it again changes nothing, except with another mode: then the
    patches of the former mode are reverted first.

    Args:
        mode (str, optional): ``'default'`` for the contract of this package,
            ``'parity'`` for the behaviour of native mmengine 0.10.7, bug for
            bug. Defaults to what the environment variable ``VALLOSS_COMPAT``
            says, which may also be ``'off'``.
        strict (bool): Whether to raise instead of warn where the shape of
            mmengine is not known. Defaults to False.

    Returns:
        Status: What was patched, and what not and why.

    Raises:
        ValueError: If the mode is unknown, or contradicts ``VALLOSS_COMPAT``.
        UnusableMMEngineError: If mmengine is missing or fails to import.
        UnknownMMEngineError: If ``strict`` and the shape is not known.
    """
    global _mode
    mode = _choose(mode)
    with _lock:
        if mode == "off":
            return status()
        if _mode not in ("off", mode):
            revert()
        plan = _plans.get(mode)
        if plan is None:
            plan = _plans[mode] = dispatch.plan(mode)
            if plan.name == "unknown" and not strict:
                warnings.warn(
                    f"nothing is patched, because mmengine {version_of('mmengine')} "
                    f"is not as valloss_compat knows it: {plan.reason}",
                    VallossCompatWarning,
                    stacklevel=3,
                )
        if plan.name == "unknown" and strict:
            raise UnknownMMEngineError(
                f"mmengine {version_of('mmengine')} is not as valloss_compat knows "
                f"it: {plan.reason}. Update valloss_compat, or leave strict out to "
                "go on unpatched."
            )
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
            reason=plan.reason if plan else "",
            mmengine=version_of("mmengine"),
            torch=version_of("torch"),
            patches=[PatchStatus(p.name, *p.look()) for p in patches],
            overriding=overriding,
        )


def _choose(mode: Optional[str]) -> str:
    """The mode that argument and environment agree on."""
    if mode is not None and mode not in MODES:
        raise ValueError(
            f"mode is {mode!r}, but one of {', '.join(MODES)} is expected "
            f"(to switch off, call revert() or set {VARIABLE}=off)"
        )
    wanted = os.environ.get(VARIABLE, "").strip().lower()
    if wanted not in ("", "off", *MODES):
        raise ValueError(
            f"the environment variable {VARIABLE} is {wanted!r}, but one of off, "
            f"{', '.join(MODES)} is expected: correct or unset it"
        )
    if mode is not None and wanted and wanted != mode:
        raise ValueError(
            f"mode is {mode!r}, but the environment says {VARIABLE}={wanted}: "
            "unset the variable or leave the argument out"
        )
    return mode or wanted or "default"
