"""What the patches promise, one test a promise, by name.

Those that need more than a test stand where they can be looked at from all
sides: reversal where others patched before or after us in test_foreign.py,
dispatch by feature and the unknown newer mmengine in test_future.py, the order
of imports in test_import_order.py, the environment variable in test_import.py,
the JSON and exit code of doctor in cli/test_doctor.py, its self-check in
cli/test_doctor_self_check.py, the runner in cli/test_run_training.py.
"""

from __future__ import annotations

import gc
import inspect

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.runner import ValLoop
from support.namespaces import same, targets
from support.native import NATIVE
from support.tiny import element, make_runner, sample

import valloss_compat
from valloss_compat import _api
from valloss_compat._patches.patch import MISSING, marker_of


@pytest.fixture
def _no_dead_class():
    """One of a test before, collected between two statuses, is in the first alone."""
    gc.collect()


def test_idempotent_apply_twice_changes_nothing():
    """Idempotent: the very same wrappers."""
    before = targets()
    status = valloss_compat.apply()
    assert same(targets(), before)
    assert status.mode == "default"
    assert status.plan == ("correct" if NATIVE else "add")
    assert status.active
    assert {patch.state for patch in status.patches} == {"active"}


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["default", "parity"])
def test_reversible_to_the_very_same_objects(mode):
    """A thousand times, in every namespace; subclasses made before and between."""

    class Before(Evaluator):
        def evaluate(self, size):
            """Nothing."""

    made = [Before]
    valloss_compat.revert()
    before = targets()
    assert not any(marker_of(thing) for thing in before.values())
    own = vars(Before)["evaluate"]
    for cycle in range(1000):
        valloss_compat.apply(mode=mode)
        if cycle == 500:

            class Between(Evaluator):
                process = Evaluator.process

            made.append(Between)
        valloss_compat.revert()
    after = targets()
    assert same(before, {key: after[key] for key in before})
    assert vars(Before)["evaluate"] is own
    assert vars(made[1])["process"] is vars(Evaluator)["process"]
    assert not any(marker_of(thing) for thing in after.values())
    status = valloss_compat.status()
    assert (status.mode, status.plan, status.active) == ("off", "none", False)
    valloss_compat.revert()


def test_conflict_is_shown_theirs_stays_and_ours_goes_quiet(monkeypatch, tmp_path):
    """Revert says so, and a later apply wakes it."""
    ours = Evaluator.evaluate

    def theirs(self, size):
        return {**ours(self, size), "theirs": 1.0}

    runner = make_runner(tmp_path, lambda *_: [sample(), element(loss=torch.ones(()))])
    runner.val()
    monkeypatch.setattr(Evaluator, "evaluate", theirs)
    status = valloss_compat.revert()
    assert Evaluator.evaluate is theirs
    (quiet,) = [patch for patch in status.patches if patch.state == "disabled"]
    theirs_name = f"{__name__}.{theirs.__qualname__}"
    assert quiet.owner == theirs_name
    assert quiet.reason == (
        f"{theirs_name} was put over ours and stays; ours only calls the original now"
    )
    assert quiet.original == "mmengine.evaluator.evaluator.Evaluator.evaluate"
    assert quiet.reason in repr(status)
    assert runner.val()["theirs"] == 1.0
    valloss_compat.apply()
    assert runner.val()["val_loss"] == 1.0
    assert Evaluator.evaluate is theirs


def test_names_overriding_subclasses():
    """Of loops and evaluators, as full names."""

    class Mine(ValLoop):
        def run(self):
            """Nothing."""

    name = f"{__name__}.test_names_overriding_subclasses.<locals>.Mine"
    assert f"{name}.run" in valloss_compat.status().overrides


@pytest.mark.usefixtures("_no_dead_class")
@pytest.mark.parametrize("mode", ["default", "parity"])
def test_names_overriding_subclasses_in_every_mode(mode):
    """Also where they are not patched themselves, and after a revert."""

    class Mine(ValLoop):
        def run(self):
            """Nothing."""

    name = f"{__name__}.{Mine.__qualname__}.run"
    valloss_compat.revert()
    overrides = valloss_compat.apply(mode=mode).overrides
    assert (name in overrides) == (mode == "default" or not NATIVE)
    assert valloss_compat.revert().overrides == overrides


@pytest.mark.usefixtures("_no_dead_class")
def test_a_reason_for_each_patch_not_applied_after_a_revert():
    """Each with the reason, and who stands there now."""
    applied = [patch.target for patch in valloss_compat.status().patches]
    patches = valloss_compat.revert().patches
    assert [patch.target for patch in patches] == applied
    assert {(patch.state, patch.reason) for patch in patches} == {
        ("inactive", "reverted")
    }
    assert patches[1].owner == patches[1].original == patches[1].target
    # Which a loop inherits from nobody of mmengine's.
    assert patches[0].owner == "builtins.object.__init_subclass__"


def test_a_reason_for_each_patch_not_applied_where_mmengine_is_native():
    """Parity leaves native releases alone, and says so of each target."""
    valloss_compat.revert()
    for patch in valloss_compat.apply(mode="parity").patches:
        if NATIVE and not patch.target.endswith("Registry.get"):
            assert patch.state == "inactive"
            assert patch.reason == "this mmengine has the convention itself"
            assert patch.owner == patch.original == patch.target
        else:
            assert (patch.state, patch.reason) == ("active", "")


def patches():
    """All patches of the default mode, with their targets."""
    valloss_compat.apply()
    return _api._patch_sets["default"].patches


def test_the_mark_on_each_wrapper_says_owner_and_version():
    """And what it is over."""
    for patch in patches():
        marker = marker_of(vars(patch.target)[patch.attribute])
        assert (marker.owner, marker.version) == (
            "valloss_compat",
            valloss_compat.__version__,
        )
        assert (marker.target, marker.attribute) == (patch.target, patch.attribute)
        assert marker.inherited == (marker.original is MISSING)


def test_signature_parity_each_wrapper_has_the_face_of_its_original():
    """Signature, docstring, name, qualified name, module and annotations."""
    valloss_compat.revert()
    places = [
        (patch.target, patch.attribute) for patch in _api._patch_sets["default"].patches
    ]
    places = [place for place in places if hasattr(*place)]
    originals = [getattr(*place) for place in places]
    valloss_compat.apply()
    for place, original in zip(places, originals):
        wrapper = getattr(*place)
        assert wrapper is not original
        assert wrapper.__doc__ == original.__doc__
        assert wrapper.__module__ == original.__module__
        assert wrapper.__name__ == original.__name__
        annotations = getattr(original, "__annotations__", {})
        assert wrapper.__annotations__ == annotations
        if inspect.isbuiltin(original):  # object's __init_subclass__ takes anything
            assert list(inspect.signature(wrapper).parameters) == ["args", "kwargs"]
        else:
            assert wrapper.__qualname__ == original.__qualname__
            assert inspect.signature(wrapper) == inspect.signature(original)
