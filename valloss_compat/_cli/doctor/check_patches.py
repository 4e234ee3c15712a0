"""Apply the patches, and check that they are active."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any, Dict, List

from valloss_compat import _api
from valloss_compat._api import Status
from valloss_compat._cli.doctor.findings import Finding, note, ok, problem
from valloss_compat._patches.mmengine_api import import_targets
from valloss_compat.errors import CommandError
from valloss_compat.options import VARIABLE


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
    return [note("patches", str(w.message)) for w in messages]


def describe_environment(status: Status) -> Dict[str, Any]:
    """Describe the versions of this environment.

    Args:
        status (Status): The status after :func:`apply_patches`.

    Returns:
        dict: Name -> ``version`` and ``where`` (a path), for JSON.
    """
    environment: Dict[str, Any] = {
        "python": {
            "version": ".".join(map(str, sys.version_info[:3])),
            "where": sys.executable,
        }
    }
    for name in ("torch", "mmengine", "valloss_compat"):
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        version = getattr(module, "__version__", None)
        environment[name] = {
            "version": None if version is None else str(version),
            "where": os.path.dirname(file) if file else None,
        }
    environment["mmengine"]["distribution"] = status.distribution
    return environment


def check_patches(status: Status) -> List[Finding]:
    """Check that the patches are active.

    Args:
        status (Status): The status after :func:`apply_patches`.

    Returns:
        list[Finding]: One for the plan, one for each patch that is not active, and
        notes on overrides.
    """
    findings = [_check_plan(status)]
    for patch in status.patches:
        if status.plan not in ("add", "correct", "parity") or patch.state == "active":
            continue
        findings.append(
            problem(
                "patches",
                f"{patch.target} is {patch.state}: {patch.reason}. Expected: the patch "
                "of valloss_compat, or a wrapper around it. Fix: import valloss_compat "
                "after the code that replaces it, or call the original there",
            )
        )
    patched_overrides = sorted(set(status.overrides) - set(status.unpatched_overrides))
    if patched_overrides:
        findings.append(
            note(
                "patches",
                "these methods override a patched one, and are patched as well: "
                f"{', '.join(patched_overrides)}",
            )
        )
    if status.unpatched_overrides:
        findings.append(
            note(
                "patches",
                "these methods override a patched one, and are not patched: "
                f"{', '.join(sorted(status.unpatched_overrides))}",
            )
        )
    return findings + [note("patches", text) for text in status.notes]


def _check_plan(status: Status) -> Finding:
    active = sum(patch.state == "active" for patch in status.patches)
    if status.mode == "off":
        return problem(
            "patches",
            f"nothing is patched: {status.reason}. Fix: unset {VARIABLE}",
        )
    if status.plan == "unknown":
        return problem(
            "patches",
            "nothing is patched, because this mmengine has an unknown structure: "
            f"{status.reason}. Fix: update valloss_compat",
        )
    if status.plan == "native":
        return ok("patches", f"nothing to patch: {status.reason}")
    return ok("patches", f"{active} patches are active: {status.reason}")
