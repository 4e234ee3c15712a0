"""The plan for a mode and an mmengine."""

from __future__ import annotations

import sys

import pytest
from support.native import NATIVE

import valloss_compat
from valloss_compat._patches import patch_set
from valloss_compat._patches.mmengine_api import Inspection


@pytest.mark.parametrize(
    ("mode", "native", "name"),
    [
        ("default", False, "add"),
        ("default", True, "correct"),
        ("parity", False, "parity"),
        ("parity", True, "native"),
    ],
)
def test_plan_depends_on_mode_and_mmengine(monkeypatch, mode, native, name):
    """Parity mode patches only the registry of native releases."""
    monkeypatch.setattr(
        patch_set, "inspect_mmengine", lambda *_: Inspection(native, "")
    )
    plan = patch_set.PatchSet(mode)
    assert plan.name == name
    assert plan.reason
    targets = [patch.name for patch in plan.patches]
    assert "mmengine.registry.registry.Registry.get" in targets
    assert (len(plan.parts) == 1) == (name == "native")


def test_unknown_mmengine_is_not_patched(monkeypatch):
    """Each target is listed with the reason."""
    valloss_compat.revert()
    monkeypatch.setattr(
        patch_set, "inspect_mmengine", lambda *_: Inspection(True, "odd")
    )
    plan = patch_set.PatchSet("default")
    assert (plan.name, plan.reason) == ("unknown", "odd")
    plan.apply()
    states = [patch.inspect() for patch in plan.patches]
    assert {(state.state, state.reason) for state in states} == {("inactive", "odd")}
    assert plan.patches[0].name == "mmengine.runner.loops.ValLoop.run"
    assert states[0].owner == states[0].original == plan.patches[0].name
    plan.revert()
    assert states == [patch.inspect() for patch in plan.patches]


def test_failed_import_of_a_wrapper_makes_mmengine_unknown(monkeypatch):
    """It is reported and does not end a training."""
    monkeypatch.delattr("mmengine.logging.HistoryBuffer")
    for name in [name for name in sys.modules if name.startswith("valloss_compat")]:
        if "recorder" in name or "_patches." in name:
            monkeypatch.delitem(sys.modules, name)
    plan = patch_set.PatchSet("parity" if not NATIVE else "default")
    assert plan.name == "unknown"
    assert "HistoryBuffer" in plan.reason
