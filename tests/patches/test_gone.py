"""What is gone: classes that died, a deleted method, a wrapper that nobody holds."""

from __future__ import annotations

import gc
import weakref

import pytest
from mmengine.evaluator import Evaluator
from mmengine.runner import ValLoop

import valloss_compat
from valloss_compat._patches.patch import Patch, marker_of


def many():
    """Fifty of each kind, with functions that name their class."""

    def make(base, method):
        def hello(self, *args):
            return super(made, self)

        made = type("Many", (base,), {method: hello})
        return made

    return [
        cls
        for _ in range(50)
        for cls in (make(ValLoop, "run"), make(Evaluator, "evaluate"))
    ]


@pytest.mark.parametrize("mode", ["default", "parity"])
def test_classes_die_as_they_do_without_us(mode):
    """Also those that were patched, reverted and patched again."""
    valloss_compat.apply(mode=mode)
    classes = many()
    before = [dict(vars(cls)) for cls in classes]
    valloss_compat.revert()
    more = many()
    own = [dict(vars(cls)) for cls in more]
    valloss_compat.apply(mode=mode)
    assert (marker_of(more[0].run) is None) == (mode == "parity")
    valloss_compat.revert()
    for cls, namespace in zip(more, own):
        assert dict(vars(cls)) == namespace
    valloss_compat.apply(mode=mode)
    assert mode == "parity" or "Many" in repr(valloss_compat.status())
    held = [weakref.ref(cls) for cls in classes + more]
    del classes, more, cls, namespace, before, own
    gc.collect()
    assert [ref for ref in held if ref() is not None] == []
    status = valloss_compat.status()
    assert "Many" not in repr(status)
    assert "Many" not in repr(valloss_compat.revert())


def test_what_somebody_deleted_is_told_and_the_rest_is_patched(monkeypatch):
    """Ours has nothing to put itself on; nothing is invented in its place."""
    valloss_compat.apply(mode="default")
    name = "mmengine.runner.loops.ValLoop.run_iter"

    def row(status):
        return next(patch for patch in status.patches if patch.target == name)

    original = marker_of(vars(ValLoop)["run_iter"]).original
    try:
        for again in (valloss_compat.apply, valloss_compat.revert):
            del ValLoop.run_iter
            told = row(valloss_compat.status())
            assert (told.state, told.owner) == ("replaced", "nothing")
            assert told.reason == "somebody deleted it; nothing is used now"
            status = again()
            assert row(status)[1:3] == ("inactive", "somebody deleted it")
            applied = again is valloss_compat.apply
            assert status.active == applied
            assert (marker_of(Evaluator.evaluate) is not None) == applied
            ValLoop.run_iter = original
            assert row(valloss_compat.apply()).state == "active"
    finally:
        ValLoop.run_iter = original
        valloss_compat.apply()


def shout(call, *args):
    """The seam."""
    return call(*args).upper()


def test_of_what_stays_the_wrapper_is_kept():
    """As of mmengine's own: who put theirs there may hold ours out of sight."""

    class Stays:
        def greet(self):
            return "hello"

    patch = Patch(Stays, "greet", shout)
    patch.apply()
    Stays.greet = lambda self: "theirs"
    gc.collect()
    patch.revert()
    assert patch.state == "disabled"
    assert "was put over ours and stays" in patch.reason


def test_a_wrapper_that_nobody_holds_any_more_is_gone():
    """Of a class that may die, nothing but the class keeps ours."""

    class Child:
        def greet(self):
            return "hello"

    def theirs(self):
        return "theirs"

    def in_brackets(inner):
        return lambda self: f"<{inner(self)}>"

    patch = Patch(Child, "greet", shout, weak=True)
    patch.apply()
    Child.greet = theirs
    gc.collect()
    assert patch.look().state == "replaced"
    patch.revert()
    assert (patch.state, patch.reason) == (
        "inactive",
        "reverted; ours is held by nobody any more",
    )
    patch.apply()
    Child.greet = in_brackets(Child.greet)
    patch.revert()
    assert patch.look().state == "disabled"
    del Child.greet
    gc.collect()
    gone = ("inactive", "reverted; ours is held by nobody any more")
    assert patch.look()[:2] == gone
    patch.revert()
    assert (patch.state, patch.reason) == gone
    del Child
    gc.collect()
    assert patch.target is None
    patch.apply()
    patch.revert()
    assert patch.look().owner == "nothing"
