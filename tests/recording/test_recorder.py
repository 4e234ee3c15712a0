"""Which results count, over which ranks, and when an epoch ends."""

from __future__ import annotations

import pytest
import torch
from mmengine.runner import ValLoop, loops
from support.native import NATIVE
from support.own_loops import with_loop
from support.tiny import Seen, Spy, counting, element, make_runner, sample


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
