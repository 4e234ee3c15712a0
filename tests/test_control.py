"""apply, revert and status, as a user calls them."""

from __future__ import annotations

import json
import threading

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.runner import ValLoop, loops
from tiny import element, make_runner, sample

import valloss_compat
from valloss_compat import control, dispatch
from valloss_compat.shape import Shape
from valloss_compat.wrapper import mark_of

NATIVE = hasattr(loops, "_update_losses")


def targets():
    """What stands in the namespaces that are patched."""
    owners = (loops.ValLoop, loops.TestLoop, Evaluator)
    found = {(owner, key): vars(owner)[key] for owner in owners for key in vars(owner)}
    found.update({(loops, key): value for key, value in vars(loops).items()})
    return found


def same(one, other):
    return one.keys() == other.keys() and all(one[key] is other[key] for key in one)


def test_apply_twice_changes_nothing():
    """Idempotent: the very same wrappers."""
    before = targets()
    status = valloss_compat.apply()
    assert same(targets(), before)
    assert status.mode == "default"
    assert status.plan == ("correct" if NATIVE else "add")
    assert status.active
    assert {patch.state for patch in status.patches} == {"applied"}


def test_revert_puts_the_very_objects_back_after_a_thousand_cycles():
    """Reversible, and again and again."""
    valloss_compat.revert()
    before = targets()
    assert not any(mark_of(thing) for thing in before.values())
    for _ in range(1000):
        valloss_compat.apply()
        valloss_compat.revert()
    assert same(targets(), before)
    status = valloss_compat.status()
    assert (status.mode, status.plan, status.active) == ("off", "none", False)
    valloss_compat.revert()


def test_another_mode_replaces_the_first():
    """Parity leaves native releases untouched."""
    valloss_compat.revert()
    before = targets()
    valloss_compat.apply()
    status = valloss_compat.apply(mode="parity")
    assert (status.mode, status.plan) == ("parity", "native" if NATIVE else "add")
    assert same(targets(), before) == NATIVE
    assert valloss_compat.apply(mode="parity") == status


def test_status_names_overriding_subclasses():
    """Of loops and evaluators, as full names."""

    class Mine(ValLoop):
        def run_iter(self, idx, data_batch):
            """Nothing."""

    name = "test_control.test_status_names_overriding_subclasses.<locals>.Mine"
    assert f"{name}.run_iter" in valloss_compat.status().overriding


def test_status_is_a_table_and_json():
    """Repr for people, as_dict for programs."""
    status = valloss_compat.status()
    known = json.loads(json.dumps(status.as_dict()))
    assert known["torch"] == torch.__version__
    assert known["patches"][1] == {
        "target": "mmengine.runner.loops.ValLoop.run",
        "state": "applied",
        "reason": "",
        "owner": f"valloss_compat {valloss_compat.__version__}",
        "original": "mmengine.runner.loops.ValLoop.run",
    }
    lines = repr(status).splitlines()
    assert lines[0].startswith("valloss_compat: mode default, plan ")
    assert lines[1] == "options weighting=batch, sync_dist=True, strict=False"
    assert lines[2].startswith(f"mmengine {status.mmengine}")
    assert lines[2].endswith(f", torch {status.torch}")
    assert lines[3].split() == ["target", "state", "owner", "original", "reason"]
    start = len("mmengine.runner.loops.ValLoop.run")
    assert " ".join(lines[5].split()) == (
        "mmengine.runner.loops.ValLoop.run applied valloss_compat "
        f"{valloss_compat.__version__} its own"
    )
    assert lines[5][start] == " "


def test_status_lists_the_targets_after_a_revert():
    """Each with the reason, and who stands there now."""
    applied = [patch.target for patch in valloss_compat.status().patches]
    patches = valloss_compat.revert().patches
    assert [patch.target for patch in patches] == applied
    assert {(patch.state, patch.reason) for patch in patches} == {
        ("not applied", "reverted")
    }
    assert patches[1].owner == patches[1].original == patches[1].target
    # Which a loop inherits from nobody of mmengine's.
    assert patches[0].owner == "builtins.object.__init_subclass__"


def test_who_wraps_ours_stays_and_ours_goes_quiet(monkeypatch, tmp_path):
    """Revert says so, and a later apply wakes it."""
    ours = Evaluator.evaluate

    def theirs(self, size):
        return {**ours(self, size), "theirs": 1.0}

    runner = make_runner(tmp_path, lambda *_: [sample(), element(loss=torch.ones(()))])
    runner.val()
    monkeypatch.setattr(Evaluator, "evaluate", theirs)
    status = valloss_compat.revert()
    assert Evaluator.evaluate is theirs
    (quiet,) = [patch for patch in status.patches if patch.state == "quiet"]
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


def test_threads_that_apply_and_revert_end_in_a_whole_state():
    """All applied or all reverted, never a mixture."""

    def toggle():
        for _ in range(50):
            valloss_compat.apply()
            valloss_compat.revert()

    threads = [threading.Thread(target=toggle) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not any(mark_of(thing) for thing in targets().values())
    assert {patch.state for patch in valloss_compat.apply().patches} == {"applied"}


def test_an_unknown_mmengine_gets_one_warning_and_stays_native(monkeypatch):
    """Unless strict: then it is an error."""
    valloss_compat.revert()
    before = targets()
    monkeypatch.setattr(control, "_plans", {})
    monkeypatch.setattr(dispatch, "shape_of", lambda *_: Shape(True, "odd"))
    with pytest.warns(valloss_compat.VallossCompatWarning, match="is not as valloss"):
        status = valloss_compat.apply()
    assert status.plan == "unknown"
    assert not status.active
    valloss_compat.apply()  # no second warning: warnings are errors here
    with pytest.raises(valloss_compat.UnknownMMEngineError, match="knows it: odd"):
        valloss_compat.apply(strict=True)
    assert same(targets(), before)
    valloss_compat.revert()
