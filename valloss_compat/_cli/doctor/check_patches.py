"""Apply the patches, and check that they are active."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any, Dict, List

from valloss_compat import _api
from valloss_compat._api import Status
from valloss_compat._cli.doctor.report import Finding, note, ok, problem
from valloss_compat._patches.mmengine_api import import_targets
from valloss_compat._version import __version__
from valloss_compat.errors import CommandError
from valloss_compat.options import VARIABLE

CHECK = "patches"
_INACTIVE = """{0.target} is {0.state}: {0.reason}. Expected: the patch of \
valloss_compat, or a wrapper around it. Fix: import valloss_compat after the code that \
replaces it, or call the original there"""


def apply_patches() -> List[Finding]:
    """Apply the patches unless they are applied, and return the warnings.

    They are not applied again, as that would hide patches that were replaced since.

    Raises:
        CommandError: If mmengine cannot be patched.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            import_targets(["mmengine.runner.loops"])  # also if the mode is 'off'
            if _api.status().mode == "off":
                _api.apply()
        except (ImportError, RuntimeError, ValueError) as error:
            raise CommandError(str(error)) from None
    messages = [w for w in caught if "valloss_compat" in type(w.message).__module__]
    return [note(CHECK, str(w.message)) for w in messages]


def describe_environment(status: Status) -> Dict[str, Any]:
    """Return name -> ``version`` and ``where`` (a path), for JSON."""
    python = ".".join(map(str, sys.version_info[:3]))
    environment: Dict[str, Any] = {}
    environment["python"] = {"version": python, "where": sys.executable}
    versions = {"torch": status.torch, "mmengine": status.mmengine}
    for name, version in {**versions, "valloss_compat": __version__}.items():
        file = getattr(sys.modules.get(name), "__file__", None)
        where = os.path.dirname(file) if file else None
        environment[name] = {"version": version, "where": where}
    environment["mmengine"]["distribution"] = status.distribution
    return environment


def check_patches(status: Status) -> List[Finding]:
    """Check the plan, patches that are not active, and overrides of patched methods."""
    findings = [_check_plan(status)]
    if status.plan in ("add", "correct", "parity"):
        findings += [
            problem(CHECK, _INACTIVE.format(patch))
            for patch in status.patches
            if patch.state != "active"
        ]
    unpatched = set(status.unpatched_overrides)
    for names, state in (
        (set(status.overrides) - unpatched, "are patched as well"),
        (unpatched, "are not patched"),
    ):
        text = f"these methods override a patched one, and {state}: "
        findings += [note(CHECK, text + ", ".join(sorted(names)))] if names else []
    return findings + [note(CHECK, text) for text in status.notes]


def _check_plan(status: Status) -> Finding:
    reason = status.reason
    if status.mode == "off":
        return problem(CHECK, f"nothing is patched: {reason}. Fix: unset {VARIABLE}")
    if status.plan == "unknown":
        return problem(
            CHECK,
            "nothing is patched, because this mmengine has an unknown structure: "
            f"{reason}. Fix: update valloss_compat",
        )
    if status.plan == "native":
        return ok(CHECK, f"nothing to patch: {reason}")
    active = sum(patch.state == "active" for patch in status.patches)
    return ok(CHECK, f"{active} patches are active: {reason}")
