"""apply, revert, configure and status, as a user calls them."""

from __future__ import annotations

import json
import threading

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import Registry
from mmengine.runner import LogProcessor
from support.namespaces import same, targets
from support.native import NATIVE
from support.tiny import Seen, element, make_runner, sample

import valloss_compat
from valloss_compat import _api
from valloss_compat._patches import patch_set
from valloss_compat._patches.mmengine_api import Inspection


def test_second_mode_replaces_the_first():
    """Parity mode leaves native releases unchanged, but finds ValLossHook by name."""
    valloss_compat.revert()
    before = targets()
    valloss_compat.apply()
    status = valloss_compat.apply(mode="parity")
    assert (status.mode, status.plan) == ("parity", "native" if NATIVE else "parity")
    after = targets()
    changed = [place for place in before if after[place] is not before[place]]
    assert (changed == [(id(Registry), "get")]) == NATIVE
    assert valloss_compat.apply(mode="parity") == status


def test_status_is_a_table_and_json():
    """``repr`` is for people, ``as_dict`` for programs."""
    status = valloss_compat.status()
    known = json.loads(json.dumps(status.as_dict()))
    assert known["torch"] == torch.__version__
    assert known["patches"][1] == {
        "target": "mmengine.runner.loops.ValLoop.run",
        "state": "active",
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
        "mmengine.runner.loops.ValLoop.run active valloss_compat "
        f"{valloss_compat.__version__} its own"
    )
    assert lines[5][start] == " "


def test_disabled_patch_of_another_mode_is_reported(monkeypatch):
    """Other code wrapped it before the mode was changed."""
    installed = LogProcessor.get_log_after_epoch
    monkeypatch.setattr(
        LogProcessor, "get_log_after_epoch", lambda *args: installed(*args)
    )
    status = valloss_compat.apply(mode="parity")
    (disabled,) = [patch for patch in status.patches if patch.state == "disabled"]
    assert disabled.target.endswith(".LogProcessor.get_log_after_epoch")
    assert "wraps it and stays" in disabled.reason


def test_table_has_aligned_columns():
    """The reason, which is long, comes last and is not cut."""
    status = valloss_compat.revert()
    header, *rows = repr(status).splitlines()[3 : 4 + len(status.patches)]
    assert len(rows) == len(status.patches) > 0
    assert status.notes == []
    start = {name: header.index(name) for name in header.split()}
    for row, patch in zip(rows, status.patches):
        assert row[: start["state"]].rstrip() == patch.target
        assert row[start["state"] : start["owner"]].rstrip() == "inactive"
        assert row[start["owner"] : start["original"]].strip()
        assert row[start["reason"] :] == "reverted"


def toggle(times):
    for _ in range(times):
        valloss_compat.apply()
        valloss_compat.revert()


def in_threads(count, work, *args):
    """Start threads; return them and the list of what they raise."""
    raised = []

    def run():
        try:
            work(*args)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, raised


@pytest.mark.slow
def test_concurrent_apply_and_revert_leave_a_consistent_state():
    """All patches are applied or all are reverted, never a mixture."""
    valloss_compat.revert()
    before = targets()
    threads, raised = in_threads(4, toggle, 50)
    for thread in threads:
        thread.join()
    assert not raised
    assert same(targets(), before)
    assert {patch.state for patch in valloss_compat.apply().patches} == {"active"}


@pytest.mark.slow
def test_apply_and_revert_in_threads_do_not_break_a_validation(tmp_path):
    """None fails or leaves a patch behind, and the next one is right."""

    class Mine(Evaluator):
        def evaluate(self, size):
            return {**super().evaluate(size), "mine": 1.0}

    runner = make_runner(tmp_path, lambda *_: [sample(), element(loss=torch.ones(()))])
    runner.val_loop.evaluator = Mine([Seen()])
    valloss_compat.revert()
    before = targets()
    threads, raised = in_threads(2, toggle, 100)
    seen = set()
    while any(thread.is_alive() for thread in threads):
        metrics = runner.val()
        assert metrics["mine"] == 1.0
        seen.add(metrics.get("val_loss"))
    for thread in threads:
        thread.join()
    assert not raised
    assert same(targets(), before)
    assert seen <= {1.0, None}
    valloss_compat.apply()
    assert runner.val()["val_loss"] == 1.0


def test_strict_raises_nothing_for_a_known_mmengine(monkeypatch):
    """Its patches are made again and applied."""
    valloss_compat.revert()
    monkeypatch.setattr(_api, "_patch_sets", {})
    status = valloss_compat.apply(strict=True)
    assert status.plan in ("add", "correct")
    assert status.active
    valloss_compat.revert()


def test_warning_of_configure_names_the_line_of_the_user(monkeypatch):
    """Not a line of this package."""
    known = {mode: plan for mode, plan in _api._patch_sets.items() if mode == "default"}
    monkeypatch.setattr(_api, "_patch_sets", known)
    monkeypatch.setattr(
        patch_set, "inspect_mmengine", lambda *_: Inspection(True, "odd")
    )

    def choose():
        valloss_compat.configure(mode="parity")

    with pytest.warns(valloss_compat.VallossCompatWarning, match="odd") as caught:
        choose()
    line = choose.__code__.co_firstlineno + 1
    file = choose.__code__.co_filename
    assert (caught[0].filename, caught[0].lineno) == (file, line)
    valloss_compat.configure(mode="default")


def test_apply_leaves_unknown_mmengine_unpatched_and_warns_once(monkeypatch):
    """With ``strict`` it is an error."""
    valloss_compat.revert()
    before = targets()
    monkeypatch.setattr(_api, "_patch_sets", {})
    monkeypatch.setattr(
        patch_set, "inspect_mmengine", lambda *_: Inspection(True, "odd")
    )
    with pytest.warns(
        valloss_compat.VallossCompatWarning, match="has an unknown str"
    ) as caught:
        status = valloss_compat.apply()
    # It names the file of the caller.
    assert caught[0].filename == toggle.__code__.co_filename
    assert status.plan == "unknown"
    assert not status.active
    valloss_compat.apply()  # no second warning: warnings are errors here
    with pytest.raises(valloss_compat.UnknownMMEngineError, match="structure: odd"):
        valloss_compat.apply(strict=True)
    assert same(targets(), before)
    valloss_compat.revert()


def test_dir_has_the_public_names_alone():
    assert dir(valloss_compat) == sorted(valloss_compat.__all__)
