"""Losses of loops: each epoch and each pass has its own."""

from __future__ import annotations

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import ValLoop, loops
from support.native import NATIVE
from support.own_loops import OwnRun, ValidateInside, with_loop
from support.tiny import Spy, counting, element, make_runner, sample

import valloss_compat


def test_hooks_and_metrics_get_results_without_the_loss_element(tmp_path):
    """Hooks get the losses in ``after_val_epoch``."""
    spy = Spy()
    runner = make_runner(tmp_path, counting, custom_hooks=[spy])
    metrics = runner.val()
    assert metrics == {"n/seen": 2.0, "loss": 1.5, "val_loss": 1.5}
    assert spy.metrics == [metrics]
    assert [len(outputs) for outputs in spy.outputs] == [1, 1]
    assert [len(seen) for seen in runner.val_evaluator.metrics[0].samples] == [1, 1]


def test_losses_of_an_epoch_stay_readable_until_the_next(tmp_path):
    """``loop.val_loss`` maps names to objects with ``mean()``; a new epoch is empty."""
    at_start = []

    class RecordsLosses(Hook):
        def before_val_iter(self, runner, batch_idx, data_batch=None):
            at_start.append(dict(runner.val_loop.val_loss))

    runner = make_runner(tmp_path, counting, length=1, custom_hooks=[RecordsLosses()])
    assert runner.val()["val_loss"] == 1.0
    assert runner.val_loop.val_loss["loss"].mean() == 1.0
    assert runner.val()["val_loss"] == 2.0
    assert runner.val_loop.val_loss["loss"].mean() == 2.0
    assert runner.val_loop.val_loss.sums()["loss"].weight == 1  # recorded once
    assert at_start == [{}, {}]
    assert runner.test()["test_loss"] == 3.0
    assert runner.test_loop.test_loss["loss"].mean() == 3.0


def test_model_without_losses_has_unchanged_metrics(tmp_path):
    assert make_runner(tmp_path, lambda *_: [sample()]).val() == {"n/seen": 2.0}


def test_error_of_a_loop_without_a_runner_is_its_own():
    class Bare(ValLoop):
        def __init__(self):
            """Without super()."""

        def run(self):
            raise KeyError("mine")

    valloss_compat.apply()  # it has not been built as mmengine does
    with pytest.raises(KeyError, match="mine"):
        Bare().run()


def test_each_pass_of_a_loop_has_its_own_loss(tmp_path):
    """``run`` has two passes: none reports losses of the other."""
    runner = make_runner(tmp_path, counting)
    with_loop(runner, OwnRun)
    for first in (1.5, 5.5):
        metrics = runner.val()
        assert metrics["teacher/val_loss"] == first
        assert metrics["student/val_loss"] == first + 2


class OwnTestRun(loops.TestLoop):
    """Overrides ``run``."""

    def run(self):
        self.runner.call_hook("before_test_epoch")
        for index, batch in enumerate(self.dataloader):
            self.run_iter(index, batch)
        return self.evaluator.evaluate(len(self.dataloader.dataset))


def test_test_loop_that_overrides_run_reports_a_test_loss(tmp_path):
    runner = make_runner(tmp_path, counting)
    with_loop(runner, OwnTestRun, "test")
    for mean in (1.5, 3.5):
        metrics = runner.test()
        assert metrics == {"n/seen": 2.0, "loss": mean, "test_loss": mean}


def test_validation_inside_a_test_has_its_own_losses(tmp_path):
    """A hook of the test validates with another runner."""
    inner = make_runner(tmp_path, lambda *_: [element(loss=torch.tensor(70.0))])
    inside = ValidateInside(inner)
    runner = make_runner(tmp_path, counting, custom_hooks=[inside])
    assert runner.test()["test_loss"] == 1.5
    assert inside.found == [70.0, 70.0]


def test_results_that_only_a_hook_requests_do_not_count(tmp_path):
    """The evaluated results do."""

    class Ask(Hook):
        def before_val_iter(self, runner, batch_idx, data_batch=None):
            runner.model.val_step(data_batch)

        def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            runner.model.val_step(data_batch)

    runner = make_runner(tmp_path, counting, custom_hooks=[Ask()])
    assert runner.val()["val_loss"] == (2 + 5) / 2


def test_losses_of_a_hooks_val_step_do_not_replace_missing_ones(tmp_path):
    """The evaluated result of one batch has no losses."""

    class Ask(Hook):
        def before_val_iter(self, runner, batch_idx, data_batch=None):
            runner.model.val_step(data_batch)

    def respond(index, inputs):
        return [sample()] if index == 1 else counting(index, inputs)

    runner = make_runner(tmp_path, respond, custom_hooks=[Ask()])
    assert runner.val()["val_loss"] == 4.0


def test_epoch_that_raises_leaves_no_losses_to_the_next(tmp_path):
    """Nor an attribute on the runner."""

    def respond(index, inputs):
        if index == 1:
            raise RuntimeError("halfway")
        return counting(index, inputs)

    runner = make_runner(tmp_path, respond)
    with pytest.raises(RuntimeError, match="halfway"):
        runner.val()
    assert "call_hook" not in vars(runner)
    assert runner.val_loop.evaluator.evaluate(1) == {"n/seen": 1.0}
    assert runner.val()["val_loss"] == (3 + 4) / 2


@pytest.mark.parametrize("stage", ["val", "test"])
def test_retried_run_has_no_losses_of_the_failed_one(tmp_path, stage):
    """As in loops that continue after an out-of-memory error."""

    class Retries(getattr(loops, f"{stage.capitalize()}Loop")):
        def run(self):
            try:
                return super().run()
            except RuntimeError:
                self.evaluator.metrics[0].results.clear()
                return super().run()

    def respond(index, inputs):
        if index == 1:
            raise RuntimeError("out of memory")
        return [sample(), element(loss=torch.tensor(1.0 if index else 100.0))]

    runner = make_runner(tmp_path, respond)
    with_loop(runner, Retries, stage)
    found = getattr(runner, stage)()
    assert found == {"n/seen": 2.0, "loss": 1.0, f"{stage}_loss": 1.0}


def test_losses_of_run_iter_outside_an_epoch_do_not_get_into_the_next(tmp_path):
    """As mmpretrain's EMAHook calls it after the epoch."""
    runner = make_runner(tmp_path, counting)
    loop = with_loop(runner, ValLoop)
    batch = next(iter(loop.dataloader))
    assert runner.val()["val_loss"] == (1 + 2) / 2
    loop.run_iter(0, batch)
    assert loop.val_loss["loss"].mean() == 3.0
    assert loop.evaluator.evaluate(1)["val_loss"] == 3.0
    loop.run_iter(0, batch)
    assert runner.val()["val_loss"] == (5 + 6) / 2


def test_run_iter_of_another_runner_within_an_epoch_has_its_own_losses(tmp_path):
    """Hooks of that runner get no loss element either."""
    spy = Spy()
    inner = make_runner(tmp_path, counting, custom_hooks=[spy])
    loop = with_loop(inner, ValLoop)
    assert inner.val()["val_loss"] == 1.5

    class IterateInside(Hook):
        def before_test_iter(self, runner, batch_idx, data_batch=None):
            loop.run_iter(batch_idx, data_batch)

    runner = make_runner(tmp_path, counting, custom_hooks=[IterateInside()])
    assert runner.test()["test_loss"] == 1.5
    assert [len(outputs) for outputs in spy.outputs] == [1, 1, 1, 1]
    assert loop.val_loss["loss"].mean() == 3.5


def test_loop_has_the_losses_of_the_new_mode_after_a_change(tmp_path):
    """It runs in default mode, in parity mode, and in default mode again."""
    runner = make_runner(tmp_path, counting)
    for mode, mean in (("default", 1.5), ("parity", 3.5), ("default", 5.5)):
        valloss_compat.revert()
        valloss_compat.apply(mode=mode)
        assert runner.val()["val_loss"] == mean
        assert runner.val_loop.val_loss["loss"].mean() == mean


def test_validation_after_revert_is_that_of_unpatched_mmengine(tmp_path):
    """Also with a loop that ran while the patches were active."""
    runner = make_runner(tmp_path, lambda *_: [sample(), element(loss=torch.ones(()))])
    assert runner.val()["val_loss"] == 1.0
    valloss_compat.revert()
    metrics = runner.val()
    if NATIVE:
        assert metrics == {"n/seen": 2.0, "loss": 1.0, "val_loss": 1.0}
    else:
        assert metrics == {"n/seen": 4.0}
