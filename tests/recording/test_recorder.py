"""Which results count, over which ranks, and when an epoch ends."""

from __future__ import annotations

import math

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import ValLoop, loops
from support.native import NATIVE
from support.own_loops import with_loop
from support.tiny import Seen, Spy, counting, element, make_runner, sample

from valloss_compat._recording import recorder as recorder_module
from valloss_compat._recording.accumulator import LossSum


def predictions(metric):
    """The predictions that a metric got, batch by batch."""
    return [[float(s["pred"]) for s in batch] for batch in metric.samples]


class StepsTwice(ValLoop):
    """Two steps an iteration, as for an augmented copy of the batch."""

    @torch.no_grad()
    def run_iter(self, idx, data_batch):
        for _ in range(2):
            outputs = self.runner.model.val_step(data_batch)
            self.evaluator.process(data_samples=outputs, data_batch=data_batch)


def test_result_that_is_changed_in_place_is_evaluated_again(tmp_path):
    """The model reuses one list and one loss element for all results."""
    filled, last = [], element(loss=0)

    def respond(index, inputs):
        last.loss = {"loss": torch.tensor(index + 1.0)}
        filled[:] = [sample(float(index)), last]
        return filled

    metric = Seen()
    runner = make_runner(tmp_path, respond, length=1, metric=metric)
    with_loop(runner, StepsTwice)
    # Of one sample, as mmengine counts them.
    assert runner.val() == {"n/seen": 1.0, "loss": 1.5, "val_loss": 1.5}
    assert predictions(metric) == [[0.0], [1.0]]


def test_hooks_get_no_loss_element_of_a_list_that_is_filled_again(tmp_path):
    """The first result of that list has none, the second one has."""
    filled, spy = [], Spy()

    def respond(index, inputs):
        filled[:] = [sample(), element(loss=torch.tensor(3.0))][: index + 1]
        return filled

    runner = make_runner(tmp_path, respond, custom_hooks=[spy])
    assert runner.val()["val_loss"] == 3.0
    assert [len(outputs) for outputs in spy.outputs] == [len(filled), 1]


@pytest.mark.parametrize("change", ["other", "more", "fewer"])
def test_hooks_get_predictions_that_a_loop_changed_after_the_evaluation(
    tmp_path, change
):
    """The loss counts once."""

    class Changes(ValLoop):
        @torch.no_grad()
        def run_iter(self, idx, data_batch):
            outputs = self.runner.model.val_step(data_batch)
            self.evaluator.process(data_samples=outputs, data_batch=data_batch)
            new = {"other": [9.0], "more": [9.0, 8.0], "fewer": []}[change]
            outputs[:-1] = [sample(value) for value in new]
            self.runner.call_hook(
                "after_val_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs
            )
            self.wanted = new

    spy, metric = Spy(), Seen()
    runner = make_runner(tmp_path, counting, metric=metric, custom_hooks=[spy])
    loop = with_loop(runner, Changes)
    assert runner.val() == {"n/seen": 2.0, "loss": 1.5, "val_loss": 1.5}
    assert loop.val_loss.sums()["loss"].weight == 2
    assert predictions(metric) == [[0.0], [0.0]]
    assert [[float(s.pred) for s in o] for o in spy.outputs] == [loop.wanted] * 2


class OnlyCallsHooks(ValLoop):
    """Passes results to hooks, changed in between, and evaluates none."""

    @torch.no_grad()
    def run_iter(self, idx, data_batch):
        outputs = self.runner.model.val_step(data_batch)
        self.extract(outputs)
        for value in (5.0, 6.0):
            self.runner.call_hook("after_val_iter", batch_idx=idx, outputs=outputs)
            outputs[0] = sample(value)

    def extract(self, outputs):
        """Do nothing."""


class CallsNativeHelper(OnlyCallsHooks):
    """Passes results to mmengine's helper, as native ``run_iter`` does."""

    def extract(self, outputs):
        loops._update_losses(outputs, self.val_loss)


def test_result_that_is_not_evaluated_does_not_count(tmp_path):
    """Hooks get it without its losses, on every release."""
    spy = Spy()
    runner = make_runner(tmp_path, counting, custom_hooks=[spy], metric=Zero())
    with_loop(runner, OnlyCallsHooks)
    assert runner.val() == {"n/seen": 0.0}
    assert {len(outputs) for outputs in spy.outputs} == {1}


@pytest.mark.skipif(not NATIVE, reason="the helper came with mmengine 0.10.5")
def test_result_that_the_native_helper_gets_counts_once(tmp_path):
    """The changes that hooks get do not count again."""
    runner = make_runner(tmp_path, counting, metric=Zero())
    loop = with_loop(runner, CallsNativeHelper)
    assert runner.val() == {"n/seen": 0.0, "loss": 1.5, "val_loss": 1.5}
    assert loop.val_loss.sums()["loss"].weight == 2


class Zero(Seen):
    """A metric that needs no results."""

    def evaluate(self, size):
        self.results.append(0)  # mmengine warns if there are none
        return super().evaluate(size)


def test_epoch_ends_with_evaluate(tmp_path):
    """A second ``evaluate`` has no losses to report."""
    runner = make_runner(tmp_path, counting)
    assert runner.val()["val_loss"] == 1.5
    runner.val_evaluator.metrics[0].results.append(1)
    assert runner.val_evaluator.evaluate(1) == {"n/seen": 1.0}
    assert runner.val_loop.val_loss["loss"].mean() == 1.5


def test_ranks_exchange_sums_in_one_collective(tmp_path, monkeypatch):
    """Every rank reports the mean over all; a rank without losses takes part."""
    calls = []

    def gather(mine):
        calls.append(mine[1])
        return [mine, ("batch", {"loss": LossSum(9.0, 2, None)}), ("batch", {})]

    monkeypatch.setattr(recorder_module, "get_world_size", lambda: 3)
    monkeypatch.setattr(recorder_module, "all_gather_object", gather)
    runner = make_runner(tmp_path, counting)
    assert runner.val() == {"n/seen": 2.0, "loss": 3.0, "val_loss": 3.0}
    assert runner.val_loop.val_loss["loss"].mean() == 3.0
    runner.model.respond = lambda *_: [sample()]
    assert runner.val() == {"n/seen": 2.0, "loss": 4.5, "val_loss": 4.5}
    assert calls == [{"loss": LossSum(3.0, 2, None)}, {}]
    # Outside of a run as well, as metrics wait for all ranks there.
    runner.val_evaluator.metrics[0].results.append(1)
    assert runner.val_evaluator.evaluate(1)["val_loss"] == 4.5
    # One rank may evaluate alone where no metric does.
    runner.val_evaluator.metrics.clear()
    assert runner.val_evaluator.evaluate(1) == {}
    assert len(calls) == 3


def test_ranks_with_different_weightings_raise(tmp_path, monkeypatch):
    """Two weightings in one mean would be a wrong number."""
    monkeypatch.setattr(recorder_module, "get_world_size", lambda: 2)
    monkeypatch.setattr(
        recorder_module, "all_gather_object", lambda own: [own, ("sample", {})]
    )
    with pytest.raises(RuntimeError, match=r"weighting is \('batch', 'sample'\)"):
        make_runner(tmp_path, counting).val()


def test_stale_epoch_of_a_failed_run_is_not_continued(tmp_path):
    """Batches that are evaluated by hand afterwards have their own mean."""
    runner = make_runner(tmp_path, counting)
    assert runner.val()["val_loss"] == 1.5

    def fail_at_the_second(index, inputs):
        assert index != 3
        return counting(index, inputs)

    runner.model.respond = fail_at_the_second
    with pytest.raises(AssertionError):
        runner.val()
    runner.model.respond = counting
    runner.model.calls = 0
    loop = runner.val_loop
    loop.evaluator.metrics[0].results.clear()
    for idx, batch in enumerate(loop.dataloader):
        loop.run_iter(idx, batch)
    assert loop.evaluator.evaluate(2)["val_loss"] == 1.5


class WithSecond(Hook):
    """Also gives each result to an evaluator of its own."""

    def __init__(self):
        self.second, self.reported = Evaluator([Seen()]), []

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        self.second.process([sample(), element(loss=torch.tensor(2.0))])

    before_test_iter = before_val_iter

    def after_val_epoch(self, runner, metrics=None):
        self.reported.append(set(self.second.evaluate(2)))

    after_test_epoch = after_val_epoch


def test_evaluator_of_a_hook_has_the_stage_of_the_run(tmp_path):
    """In a validation, and in a test after it."""
    hook = WithSecond()
    runner = make_runner(tmp_path, counting, custom_hooks=[hook])
    runner.val()
    runner.test()
    expected = [{"n/seen", "loss", f"{stage}_loss"} for stage in ("val", "test")]
    assert hook.reported == expected


class CallsSuper(Evaluator):
    """Calls the process of its base."""

    def process(self, data_samples, data_batch=None):
        super().process(data_samples, data_batch)


def test_nested_process_extracts_and_counts_once(tmp_path, monkeypatch):
    """One loss element a result, and the index of the loop's batch."""
    messages = []
    monkeypatch.setattr("valloss_compat._recording.epoch.warn_in_log", messages.append)

    def respond(index, inputs):
        return [sample(), element(loss=9.0), element(loss=[1.0, math.nan][index])]

    runner = make_runner(tmp_path, respond, val_evaluator=CallsSuper([Seen()]))
    metrics = runner.val()
    assert metrics["n/seen"] == 4.0
    assert math.isnan(metrics["val_loss"])
    (message,) = messages
    assert message.endswith("first in the batch with index 1")
