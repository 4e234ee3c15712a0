"""Results that change in place: what was taken off before is not taken for the new."""

from __future__ import annotations

import pytest
import torch
from mmengine.runner import ValLoop, loops
from support.native import NATIVE
from support.own_loops import with_loop
from support.tiny import Seen, Spy, counting, element, make_runner, sample


def predictions(metric):
    """What a metric was given, batch by batch."""
    return [[float(s["pred"]) for s in batch] for batch in metric.samples]


class StepsTwice(ValLoop):
    """Two steps an iteration, as for an augmented copy of the batch."""

    @torch.no_grad()
    def run_iter(self, idx, data_batch):
        for _ in range(2):
            outputs = self.runner.model.val_step(data_batch)
            self.evaluator.process(data_samples=outputs, data_batch=data_batch)


def test_a_model_that_refills_one_list_and_one_element_is_evaluated_anew(tmp_path):
    """The second step's predictions, and its loss."""
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
def test_hooks_see_predictions_that_a_loop_changed_after_the_evaluation(
    tmp_path, change
):
    """And the loss counts once all the same."""

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


class ShowsOnly(ValLoop):
    """Shows hooks the results, changed between; evaluates none of them."""

    @torch.no_grad()
    def run_iter(self, idx, data_batch):
        outputs = self.runner.model.val_step(data_batch)
        self.hand_over(outputs)
        for value in (5.0, 6.0):
            self.runner.call_hook("after_val_iter", batch_idx=idx, outputs=outputs)
            outputs[0] = sample(value)

    def hand_over(self, outputs):
        """To nobody."""


class HandsOver(ShowsOnly):
    """To native mmengine's own helper, as its ``run_iter`` does."""

    def hand_over(self, outputs):
        loops._update_losses(outputs, self.val_loss)


def test_a_result_that_only_hooks_see_counts_nowhere(tmp_path):
    """On every release: what counts is evaluated, or handed to native mmengine."""
    spy = Spy()
    runner = make_runner(tmp_path, counting, custom_hooks=[spy], metric=Zero())
    with_loop(runner, ShowsOnly)
    assert runner.val() == {"n/seen": 0.0}
    assert {len(outputs) for outputs in spy.outputs} == {1}


@pytest.mark.skipif(not NATIVE, reason="the helper came with mmengine 0.10.5")
def test_a_result_that_is_handed_to_native_mmengine_counts_once(tmp_path):
    """Not again for each change that a hook sees."""
    runner = make_runner(tmp_path, counting, metric=Zero())
    loop = with_loop(runner, HandsOver)
    assert runner.val() == {"n/seen": 0.0, "loss": 1.5, "val_loss": 1.5}
    assert loop.val_loss.sums()["loss"].weight == 2


class Zero(Seen):
    """A metric that is content with nothing."""

    def evaluate(self, size):
        self.results.append(0)  # mmengine warns of none
        return super().evaluate(size)
