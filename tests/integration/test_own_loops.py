"""Loops of somebody's own: each loss is reported once, and what is theirs stays so."""

from __future__ import annotations

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.runner import ValLoop
from support.native import NATIVE
from support.own_loops import with_loop
from support.tiny import Seen, Spy, counting, make_runner, sample


class OwnRunIter(ValLoop):
    """Its own run_iter, which changes the results before they are evaluated."""

    @torch.no_grad()
    def run_iter(self, idx, data_batch):
        outputs = self.runner.model.val_step(data_batch)
        self.evaluator.process(data_samples=list(outputs), data_batch=data_batch)


class SuperTwice(ValLoop):
    """Calls super() from both methods."""

    def run(self):
        return super().run()

    def run_iter(self, idx, data_batch):
        super().run_iter(idx, data_batch)


@pytest.mark.parametrize("loop_class", [OwnRunIter, SuperTwice])
def test_loops_that_override_report_each_loss_once(tmp_path, loop_class):
    """With and without super(); what is evaluated is clean."""
    runner = make_runner(tmp_path, counting)
    with_loop(runner, loop_class)
    assert runner.val() == {"n/seen": 2.0, "loss": 1.5, "val_loss": 1.5}


class ReadsItsLoss(ValLoop):
    """A user's own backport: takes the loss element off before it evaluates."""

    @torch.no_grad()
    def run_iter(self, idx, data_batch):
        *outputs, last = self.runner.model.val_step(data_batch)
        self.mine.append(float(last.loss["loss"]))
        self.evaluator.process(data_samples=outputs, data_batch=data_batch)


def test_a_loop_that_takes_the_loss_off_itself_is_left_alone(tmp_path):
    """It finds the element where the model put it, and no sample is lost."""
    runner = make_runner(tmp_path, counting)
    loop = with_loop(runner, ReadsItsLoss, mine=[])
    assert runner.val() == {"n/seen": 2.0}
    assert loop.mine == [1.0, 2.0]


def test_a_loop_that_hands_on_to_another_reports_it_there(tmp_path):
    """The losses go with what is evaluated, to the evaluator that evaluates it."""
    runner = make_runner(tmp_path, counting)
    inner = with_loop(runner, ValLoop)

    class Outer(ValLoop):
        def run_iter(self, idx, data_batch):
            inner.run_iter(idx, data_batch)

        def run(self):
            return {**super().run(), "inner": inner.evaluator.evaluate(2)}

    outer = with_loop(runner, Outer)
    outer.evaluator = Evaluator([])
    found = {"n/seen": 2.0}
    if not NATIVE:  # there the loop that does not run keeps the losses for itself
        found.update(loss=1.5, val_loss=1.5)
    assert runner.val() == {"inner": found}


def test_a_loop_with_a_list_of_evaluators_runs(tmp_path):
    """Each reports what it was given."""

    class Several(ValLoop):
        def run(self):
            metrics = {}
            batch = next(iter(self.dataloader))
            for evaluator in self.evaluator:
                evaluator.process(self.runner.model.val_step(batch))
                metrics.update(evaluator.evaluate(1))
            return metrics

    runner = make_runner(tmp_path, counting)
    loop = with_loop(runner, Several)
    loop.evaluator = [loop.evaluator]
    assert runner.val()["val_loss"] == 1.0


def test_evaluator_of_evaluators_reports_the_loss_once(tmp_path):
    """The outer one extracts: what it hands on has no losses."""

    class Both(Evaluator):
        def process(self, data_samples, data_batch=None):
            self.inner.process(data_samples, data_batch)

        def evaluate(self, size):
            return {f"in/{k}": v for k, v in self.inner.evaluate(size).items()}

    both = Both([])
    both.inner = Evaluator([Seen()])
    runner = make_runner(tmp_path, counting, val_evaluator=both)
    assert runner.val() == {"in/n/seen": 2.0, "loss": 1.5, "val_loss": 1.5}


class Refills(ValLoop):
    """Uses one list for all results, as nothing forbids."""

    def run_iter(self, idx, data_batch):
        outputs = []
        for _ in range(2):
            outputs[:] = [sample()]
            self.runner.call_hook("after_val_iter", batch_idx=idx, outputs=outputs)
            outputs[:] = self.runner.model.val_step(data_batch)
            self.evaluator.process(data_samples=outputs, data_batch=data_batch)


def test_a_list_that_is_filled_again_has_its_new_losses(tmp_path):
    """Nothing is remembered of a list but what is in it."""
    runner = make_runner(tmp_path, counting)
    with_loop(runner, Refills)
    assert runner.val()["val_loss"] == 2.5


def test_a_val_loop_that_holds_more_evaluators_reports_each(tmp_path):
    """What it does with them is its own affair."""

    class Prefixes(ValLoop):
        def run(self):
            found = {}
            for name, evaluator in zip("ab", self.evaluators):
                evaluator.process(self.runner.model.val_step({"inputs": []}))
                for key, value in evaluator.evaluate(1).items():
                    found[f"{name}/{key}"] = value
            return found

    runner = make_runner(tmp_path, counting)
    with_loop(runner, Prefixes, evaluators=[Evaluator([]), Evaluator([])])
    found = runner.val()
    assert (found["a/val_loss"], found["b/val_loss"]) == (1.0, 2.0)


def test_other_samples_with_the_same_loss_are_evaluated_as_they_are(tmp_path):
    """A loop may give two evaluators two views of one result."""
    second = Seen()

    class Twice(ValLoop):
        def run_iter(self, idx, data_batch):
            outputs = self.runner.model.val_step(data_batch)
            self.evaluator.process(data_samples=outputs, data_batch=data_batch)
            other = [sample(9.0), outputs[-1]]
            self.second.process(data_samples=other, data_batch=data_batch)

        def run(self):
            return {**super().run(), "second": self.second.evaluate(2)}

    runner = make_runner(tmp_path, counting)
    with_loop(runner, Twice, second=Evaluator([second]))
    found = runner.val()
    assert (found["val_loss"], found["second"]["val_loss"]) == (1.5, 1.5)
    assert [[float(s["pred"]) for s in batch] for batch in second.samples] == [[9], [9]]


class Mixin:
    """Methods from outside the family, without super()."""

    def run_iter(self, idx, data_batch):
        self.outputs = self.runner.model.val_step(data_batch)
        self.evaluator.process(data_samples=self.outputs, data_batch=data_batch)
        self.runner.call_hook("after_val_iter", batch_idx=idx, outputs=self.outputs)

    def run(self):
        for index, batch in enumerate(self.dataloader):
            self.run_iter(index, batch)
        return self.evaluator.evaluate(2)


def test_a_loop_with_methods_of_a_mixin_is_served(tmp_path):
    """Each epoch has its own losses, and hooks see clean results."""
    spy = Spy()
    runner = make_runner(tmp_path, counting, custom_hooks=[spy])
    runner.call_hook("before_val_epoch")
    loop = with_loop(runner, type("Mixed", (Mixin, ValLoop), {}))
    loop.run_iter(0, next(iter(loop.dataloader)))
    assert runner.val()["val_loss"] == (2 + 3) / 2
    assert {len(outputs) for outputs in spy.outputs} == {1}
    assert len(loop.outputs) == 2


def test_a_loop_that_leaves_nothing_to_mmengine_keeps_its_val_loss(tmp_path):
    """A number by that name, also on releases that have a dict there."""
    runner = make_runner(tmp_path, counting)
    runner.call_hook("before_val_epoch")
    loop = with_loop(runner, type("Mixed", (Mixin, ValLoop), {}), val_loss=0.25)
    assert runner.val()["val_loss"] == 1.5
    assert loop.val_loss == 0.25


class OwnAccount(ValLoop):
    """As users of old releases wrote them: val_loss is a number of their own."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.val_loss = 0

    def run_iter(self, idx, data_batch):
        super().run_iter(idx, data_batch)
        self.val_loss += 1


class OnTheClass(ValLoop):
    """A property that takes what native mmengine sets, and nothing else."""

    @property
    def val_loss(self):
        return {}

    @val_loss.setter
    def val_loss(self, value):
        assert value == {}


@pytest.mark.skipif(NATIVE, reason="native mmengine itself wants a dict there")
def test_a_loop_that_has_a_val_loss_of_its_own_keeps_it(tmp_path):
    """The losses are reported all the same."""
    runner = make_runner(tmp_path, counting)
    loop = with_loop(runner, OwnAccount)
    assert runner.val()["val_loss"] == 1.5
    assert loop.val_loss == 2


@pytest.mark.skipif(NATIVE, reason="native mmengine itself has to set it")
def test_a_property_val_loss_is_not_set(tmp_path):
    """What the class defines is the class's."""
    runner = make_runner(tmp_path, counting)
    with_loop(runner, OnTheClass)
    assert runner.val()["val_loss"] == 1.5
