"""Parity mode with loops and hooks that the conformance tests do not have."""

from __future__ import annotations

import types

import pytest
import torch
from mmengine.hooks import Hook
from support.own_loops import OwnRun, ValidateInside, with_loop
from support.tiny import counting, element, make_runner, sample

import valloss_compat
from valloss_compat._recording.parity_recorder import ParityRecorder, update_losses


@pytest.fixture(autouse=True)
def _parity():
    valloss_compat.revert()
    valloss_compat.apply(mode="parity")


def test_loop_with_its_own_run_reports_no_losses(tmp_path):
    """Natively only ``ValLoop.run`` clears and reports them."""
    runner = make_runner(tmp_path, counting)
    with_loop(runner, OwnRun)
    metrics = runner.val()
    assert set(metrics) == {"teacher/n/seen", "student/n/seen"}
    assert runner.val_loop.val_loss["loss"].mean() == (1 + 2 + 3 + 4) / 4


def test_hook_that_evaluates_again_gets_no_losses(tmp_path):
    """As mmpretrain's EMAHook; natively the loop reports them, once."""
    again = []

    class Again(Hook):
        def after_val_epoch(self, runner, metrics=None):
            loop = runner.val_loop
            for index, batch in enumerate(loop.dataloader):
                loop.run_iter(index, batch)
            again.append(loop.evaluator.evaluate(2))

    runner = make_runner(tmp_path, counting, custom_hooks=[Again()])
    assert runner.val()["val_loss"] == 1.5
    assert again == [{"n/seen": 2.0}]
    assert runner.val()["val_loss"] == (5 + 6) / 2


def test_validation_inside_a_test_has_its_own_losses(tmp_path):
    """Also within an iteration of the test."""
    inner = make_runner(tmp_path, lambda *_: [sample(), element(loss=torch.ones(()))])
    inside = ValidateInside(inner)
    runner = make_runner(tmp_path, counting, custom_hooks=[inside])
    assert runner.test()["test_loss"] == 1.5
    assert inside.found == [1.0, 1.0]


def test_losses_are_recorded_once_an_iteration():
    """However many evaluators get the result; outside of a loop none are recorded."""
    recorder = ParityRecorder()
    loop = types.SimpleNamespace(evaluator=object())
    result = ["sample", element(loss=torch.tensor(4.0))]
    with recorder.run(loop, "test"):  # noqa: SIM117
        with recorder.iteration(loop, "test"), recorder.iteration(loop, "test"):
            for _ in range(2):
                assert recorder.process(object(), result, None) == ["sample"]
            assert recorder.process(object(), ["other"], None) == ["other"]
    assert loop.test_loss["loss"].mean() == 4.0
    assert recorder.process(object(), result, None) is result
    assert recorder.report(object(), {"a": 1}) == {"a": 1}


def test_helper_hands_on_a_result_without_losses():
    """As native mmengine's."""
    assert update_losses([1, 2], {}) == ([1, 2], {})
