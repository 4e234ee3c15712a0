"""User-defined loops: each loss is reported once, and their attributes are kept."""

from __future__ import annotations

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.runner import ValLoop
from support.native import NATIVE
from support.own_loops import with_loop
from support.tiny import Seen, Spy, counting, make_runner, sample


class OwnRunIter(ValLoop):
    """Overrides ``run_iter`` and evaluates a copy of the results."""

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
def test_loops_that_override_methods_report_each_loss_once(tmp_path, loop_class):
    """With and without ``super()``; metrics get no loss element."""
    runner = make_runner(tmp_path, counting)
    with_loop(runner, loop_class)
    assert runner.val() == {"n/seen": 2.0, "loss": 1.5, "val_loss": 1.5}


class ReadsItsLoss(ValLoop):
    """A backport by the user: removes the loss element before the evaluation."""

    @torch.no_grad()
    def run_iter(self, idx, data_batch):
        *outputs, last = self.runner.model.val_step(data_batch)
        self.losses.append(float(last.loss["loss"]))
        self.evaluator.process(data_samples=outputs, data_batch=data_batch)


def test_loop_that_removes_the_loss_element_itself_is_left_alone(tmp_path):
    """It gets the loss element, and all samples are evaluated."""
    runner = make_runner(tmp_path, counting)
    loop = with_loop(runner, ReadsItsLoss, losses=[])
    assert runner.val() == {"n/seen": 2.0}
    assert loop.losses == [1.0, 2.0]


def test_losses_of_a_loop_that_runs_another_are_reported_by_its_evaluator(tmp_path):
    """The evaluator that gets the results reports their losses."""
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
    if not NATIVE:  # natively the loop that does not run keeps its losses
        found.update(loss=1.5, val_loss=1.5)
    assert runner.val() == {"inner": found}


def test_loop_with_a_list_of_evaluators_reports_the_loss(tmp_path):
    """Each evaluator reports the losses of what it got."""

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
    """The outer one extracts, and passes results without losses to the inner one."""

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
    """Reuses one list for all results."""

    def run_iter(self, idx, data_batch):
        outputs = []
        for _ in range(2):
            outputs[:] = [sample()]
            self.runner.call_hook("after_val_iter", batch_idx=idx, outputs=outputs)
            outputs[:] = self.runner.model.val_step(data_batch)
            self.evaluator.process(data_samples=outputs, data_batch=data_batch)


def test_reused_list_counts_with_its_new_losses(tmp_path):
    """Its former contents are not remembered."""
    runner = make_runner(tmp_path, counting)
    with_loop(runner, Refills)
    assert runner.val()["val_loss"] == 2.5


def test_val_loop_with_several_evaluators_reports_each(tmp_path):
    """The loop itself calls them."""

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


def test_two_lists_of_samples_with_one_loss_element_are_both_evaluated(tmp_path):
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
    """Methods of a class that is no loop, without ``super()``."""

    def run_iter(self, idx, data_batch):
        self.outputs = self.runner.model.val_step(data_batch)
        self.evaluator.process(data_samples=self.outputs, data_batch=data_batch)
        self.runner.call_hook("after_val_iter", batch_idx=idx, outputs=self.outputs)

    def run(self):
        for index, batch in enumerate(self.dataloader):
            self.run_iter(index, batch)
        return self.evaluator.evaluate(2)


def test_loop_with_methods_of_a_mixin_reports_the_loss(tmp_path):
    """Each epoch has its own losses, and hooks get no loss element."""
    spy = Spy()
    runner = make_runner(tmp_path, counting, custom_hooks=[spy])
    runner.call_hook("before_val_epoch")
    loop = with_loop(runner, type("Mixed", (Mixin, ValLoop), {}))
    loop.run_iter(0, next(iter(loop.dataloader)))
    assert runner.val()["val_loss"] == (2 + 3) / 2
    assert {len(outputs) for outputs in spy.outputs} == {1}
    assert len(loop.outputs) == 2


def test_user_val_loss_attribute_of_a_mixin_loop_is_not_overwritten(tmp_path):
    """It is a number, also on releases that use a dict."""
    runner = make_runner(tmp_path, counting)
    runner.call_hook("before_val_epoch")
    loop = with_loop(runner, type("Mixed", (Mixin, ValLoop), {}), val_loss=0.25)
    assert runner.val()["val_loss"] == 1.5
    assert loop.val_loss == 0.25


class OwnAccount(ValLoop):
    """Counts in ``val_loss``, as loops for old releases may."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.val_loss = 0

    def run_iter(self, idx, data_batch):
        super().run_iter(idx, data_batch)
        self.val_loss += 1


class OnTheClass(ValLoop):
    """Has a property that accepts only what native mmengine sets."""

    @property
    def val_loss(self):
        return {}

    @val_loss.setter
    def val_loss(self, value):
        assert value == {}


@pytest.mark.skipif(NATIVE, reason="native mmengine itself wants a dict there")
def test_user_val_loss_attribute_is_not_overwritten(tmp_path):
    """The losses are reported all the same."""
    runner = make_runner(tmp_path, counting)
    loop = with_loop(runner, OwnAccount)
    assert runner.val()["val_loss"] == 1.5
    assert loop.val_loss == 2


@pytest.mark.skipif(NATIVE, reason="native mmengine itself has to set it")
def test_val_loss_property_is_not_set(tmp_path):
    """The losses are reported all the same."""
    runner = make_runner(tmp_path, counting)
    with_loop(runner, OnTheClass)
    assert runner.val()["val_loss"] == 1.5
