"""Patched classes that are collected, methods that are deleted or replaced."""

from __future__ import annotations

import gc
import weakref

import pytest
from mmengine.evaluator import Evaluator
from mmengine.runner import ValLoop

import valloss_compat
from valloss_compat._patches.patch import Patch, marker_of


def create_classes():
    """Create fifty classes of each kind, with functions that refer to their class."""

    def make(base, method):
        def hello(self, *args):
            return super(created, self)

        created = type("Many", (base,), {method: hello})
        return created

    return [
        cls
        for _ in range(50)
        for cls in (make(ValLoop, "run"), make(Evaluator, "evaluate"))
    ]


@pytest.mark.parametrize("mode", ["default", "parity"])
def test_patched_classes_can_be_garbage_collected(mode):
    """Also those that were patched, reverted and patched again."""
    valloss_compat.apply(mode=mode)
    classes = create_classes()
    before = [dict(vars(cls)) for cls in classes]
    valloss_compat.revert()
    more = create_classes()
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


def test_deleted_method_is_reported_and_the_rest_is_patched():
    """No wrapper is installed in its place."""
    valloss_compat.apply(mode="default")
    name = "mmengine.evaluator.evaluator.Evaluator.process"

    def row(status):
        return next(patch for patch in status.patches if patch.target == name)

    original = marker_of(vars(Evaluator)["process"]).original
    try:
        for again in (valloss_compat.apply, valloss_compat.revert):
            del Evaluator.process
            patch = row(valloss_compat.status())
            assert (patch.state, patch.owner) == ("replaced", "nothing")
            assert patch.reason == "somebody deleted it; nothing is used now"
            status = again()
            assert row(status)[1:3] == ("inactive", "somebody deleted it")
            applied = again is valloss_compat.apply
            assert status.active == applied
            assert (marker_of(Evaluator.evaluate) is not None) == applied
            Evaluator.process = original
            assert row(valloss_compat.apply()).state == "active"
    finally:
        Evaluator.process = original
        valloss_compat.apply()


def shout(original, *args):
    """The wrapper of these tests."""
    return original(*args).upper()


def test_replaced_wrapper_is_reported_and_disabled():
    """Other code may hold it where it cannot be found."""

    class Base:
        def greet(self):
            return "hello"

    patch = Patch(Base, "greet", shout)
    patch.apply()
    installed = Base.greet
    Base.greet = lambda self: "another"
    assert patch.inspect().state == "replaced"
    patch.revert()
    assert patch.inspect().state == "disabled"
    assert "was put over ours and stays" in patch.inspect().reason
    assert installed(Base()) == "hello"
    del Base.greet
    assert patch.inspect().state == "disabled"
    patch.revert()
    assert patch.inspect()[:2] == ("inactive", "somebody deleted it")
