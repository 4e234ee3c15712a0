"""Which mmengine this is is seen by its features."""

from __future__ import annotations

import types

import pytest
from mmengine.evaluator import Evaluator
from mmengine.runner import loops

from valloss_compat import dispatch

NATIVE = hasattr(loops, "_update_losses")


@pytest.fixture
def shape():
    """Look at a copy of mmengine's loops, changed as told."""

    def look(evaluator=Evaluator, **changes):
        copy = types.ModuleType(loops.__name__)
        vars(copy).update(vars(loops))
        for name, value in changes.items():
            if value is None:
                vars(copy).pop(name, None)
            else:
                setattr(copy, name, value)
        return dispatch.shape_of(copy, evaluator)

    return look


def compiled(source, name):
    """A function that says it comes from mmengine's own file."""
    namespace = {}
    exec(compile(source, loops.__file__, "exec"), namespace)
    return namespace[name]


def test_this_mmengine_is_known(shape):
    """Every release in the matrix is."""
    assert shape() == (NATIVE, "")


def test_the_helpers_make_it_native(shape):
    """Not the version number."""
    helper = compiled("def helper(): pass", "helper")
    both = {"_update_losses": helper, "_parse_losses": helper}
    assert shape(**both) == (True, "")
    assert shape(_update_losses=None, _parse_losses=None) == (
        (True, "ValLoop has a val_loss, and none of the known helpers")
        if NATIVE
        else (False, "")
    )
    assert shape(_update_losses=helper, _parse_losses=None) == (
        True,
        "there is _update_losses without its twin",
    )


def test_a_loop_that_is_gone_is_an_unknown_shape(shape):
    """Named by what is missing."""
    assert shape(ValLoop=None).unknown == "there is no run_iter where it was"
    assert shape(evaluator=object).unknown == "there is no process where it was"


def test_a_loop_that_works_otherwise_is_an_unknown_shape(shape):
    """Named by what it no longer calls."""
    run_iter = compiled("def run_iter(self, idx, batch): self.model(batch)", "run_iter")
    changed = type("ValLoop", (loops.ValLoop,), {"run_iter": run_iter})
    assert shape(ValLoop=changed).unknown == "ValLoop.run_iter no longer calls val_step"


def test_a_foreign_wrapper_is_no_unknown_shape(shape):
    """It hides the code; nothing speaks against patching."""
    changed = type("ValLoop", (loops.ValLoop,), {"run_iter": lambda self, *args: None})
    assert shape(ValLoop=changed).unknown == ""
    builtin = type("ValLoop", (loops.ValLoop,), {"run_iter": len})
    assert shape(ValLoop=builtin).unknown == ""


@pytest.mark.parametrize(
    ("mode", "native", "name"),
    [
        ("default", False, "add"),
        ("default", True, "correct"),
        ("parity", False, "add"),
        ("parity", True, "native"),
    ],
)
def test_plans(monkeypatch, mode, native, name):
    """One plan for each mode and shape; parity leaves what is native alone."""
    monkeypatch.setattr(dispatch, "shape_of", lambda *_: dispatch.Shape(native, ""))
    plan = dispatch.plan(mode)
    assert plan.name == name
    assert plan.reason
    targets = [patch.name for patch in plan.patches]
    assert "mmengine.registry.registry.Registry.get" in targets
    assert (len(targets) == 1) == (name == "native")


def test_an_unknown_shape_is_left_alone(monkeypatch):
    """Nothing is planned, and the reason is told."""
    monkeypatch.setattr(dispatch, "shape_of", lambda *_: dispatch.Shape(True, "odd"))
    plan = dispatch.plan("default")
    assert (plan.name, plan.reason, plan.parts) == ("unknown", "odd", [])
