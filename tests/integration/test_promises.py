"""What the patches promise: one test for each promise.

Promises that need more than one test have a file:

- Wrappers of other libraries: ``patches/test_third_party_wrappers.py``
- Plans by feature, unknown newer releases: ``integration/test_future_mmengine.py``
- Order of imports: ``integration/test_import_order.py``
- Environment variable: ``integration/test_import.py``, ``test_options.py``
- ``doctor`` with its JSON and exit code: ``cli/doctor/test_doctor.py``
- Self-check of ``doctor``: ``cli/doctor/test_trial_run.py``
- Unmodified scripts: ``cli/test_run_patching.py``
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
from valloss_compat._patches.patch import marker_of


@pytest.fixture
def _no_dead_class():
    """Collect classes of earlier tests, which would be in the first status only."""
    gc.collect()


def test_second_apply_changes_nothing():
    """The wrappers are the same objects."""
    before = targets()
    status = valloss_compat.apply()
    assert same(targets(), before)
    assert status.mode == "default"
    assert status.plan == ("correct" if NATIVE else "add")
    assert status.active
    assert {patch.state for patch in status.patches} == {"active"}


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["default", "parity"])
def test_revert_restores_the_original_objects(mode):
    """In every namespace, after a hundred cycles; also those of subclasses."""

    class Before(Evaluator):
        def evaluate(self, size):
            """Nothing."""

    created = [Before]
    valloss_compat.revert()
    before = targets()
    assert not any(marker_of(thing) for thing in before.values())
    own = vars(Before)["evaluate"]
    for cycle in range(100):
        valloss_compat.apply(mode=mode)
        if cycle == 50:

            class Between(Evaluator):
                process = Evaluator.process

            created.append(Between)
        valloss_compat.revert()
    after = targets()
    assert same(before, {key: after[key] for key in before})
    assert vars(Before)["evaluate"] is own
    assert vars(created[1])["process"] is vars(Evaluator)["process"]
    assert not any(marker_of(thing) for thing in after.values())
    status = valloss_compat.status()
    assert (status.mode, status.plan, status.active) == ("off", "none", False)
    valloss_compat.revert()


def test_conflict_is_reported_and_the_third_party_wrapper_stays(monkeypatch, tmp_path):
    """Revert disables the patch below it and gives the reason; apply enables it."""
    installed = Evaluator.evaluate

    def third_party(self, size):
        return {**installed(self, size), "third_party": 1.0}

    runner = make_runner(tmp_path, lambda *_: [sample(), element(loss=torch.ones(()))])
    runner.val()
    monkeypatch.setattr(Evaluator, "evaluate", third_party)
    status = valloss_compat.revert()
    assert Evaluator.evaluate is third_party
    (disabled,) = [patch for patch in status.patches if patch.state == "disabled"]
    name = f"{__name__}.{third_party.__qualname__}"
    assert disabled.owner == name
    assert disabled.reason == (
        f"{name} wraps it and stays, so that it only calls the original"
    )
    assert disabled.original == "mmengine.evaluator.evaluator.Evaluator.evaluate"
    assert disabled.reason in repr(status)
    assert runner.val()["third_party"] == 1.0
    valloss_compat.apply()
    assert runner.val()["val_loss"] == 1.0
    assert Evaluator.evaluate is third_party


def test_status_names_overriding_subclasses():
    """Of loops and evaluators, by their full names."""

    class Mine(ValLoop):
        def run(self):
            """Nothing."""

    name = f"{__name__}.test_status_names_overriding_subclasses.<locals>.Mine"
    assert f"{name}.run" in valloss_compat.status().overrides


@pytest.mark.usefixtures("_no_dead_class")
@pytest.mark.parametrize("mode", ["default", "parity"])
def test_status_names_overriding_subclasses_in_every_mode(mode):
    """Also where they are not patched, and after a revert."""

    class Mine(ValLoop):
        def run(self):
            """Nothing."""

    name = f"{__name__}.{Mine.__qualname__}.run"
    valloss_compat.revert()
    overrides = valloss_compat.apply(mode=mode).overrides
    assert (name in overrides) == (mode == "default" or not NATIVE)
    assert valloss_compat.revert().overrides == overrides


@pytest.mark.usefixtures("_no_dead_class")
def test_each_patch_has_a_reason_after_a_revert():
    """And the owner of what is called now."""
    applied = [patch.target for patch in valloss_compat.status().patches]
    patches = valloss_compat.revert().patches
    assert [patch.target for patch in patches] == applied
    assert {(patch.state, patch.reason) for patch in patches} == {
        ("inactive", "reverted")
    }
    assert patches[1].owner == patches[1].original == patches[1].target
    # No class of mmengine defines it.
    assert patches[0].owner == "builtins.object.__init_subclass__"


def test_each_inactive_patch_has_a_reason_on_native_releases():
    """Parity mode leaves these unchanged."""
    valloss_compat.revert()
    for patch in valloss_compat.apply(mode="parity").patches:
        if NATIVE and not patch.target.endswith("Registry.get"):
            assert patch.state == "inactive"
            assert patch.reason == "this mmengine has a validation loss of its own"
            assert patch.owner == patch.original == patch.target
        else:
            assert (patch.state, patch.reason) == ("active", "")


def patches():
    """All patches of the default mode, with their targets."""
    valloss_compat.apply()
    return _api._patch_sets["default"].patches


def test_marker_of_each_wrapper_has_owner_and_version():
    """And what the wrapper replaced."""
    for patch in patches():
        marker = marker_of(vars(patch.target)[patch.attribute])
        assert (marker.owner, marker.version) == (
            "valloss_compat",
            valloss_compat.__version__,
        )
        assert (marker.target, marker.attribute) == (patch.target, patch.attribute)


def test_each_wrapper_has_the_metadata_of_its_original():
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
