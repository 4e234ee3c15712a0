"""Loops and hooks: where losses go, and that no epoch sees another's."""

from __future__ import annotations

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import ValLoop, loops
from tiny import Spy, element, make_runner, sample

import valloss_compat

NATIVE = hasattr(loops, "_update_losses")


def counting(index, inputs):
    """The losses 1, 2, 3 ... one a batch."""
    return [sample(), element(loss=torch.tensor(index + 1.0))]


def with_loop(runner, loop_class, stage="val", **attributes):
    """Give a runner a loop of the given class."""
    loop = loop_class(
        runner,
        getattr(runner, f"_{stage}_dataloader"),
        getattr(runner, f"_{stage}_evaluator"),
    )
    vars(loop).update(attributes)
    setattr(runner, f"_{stage}_loop", loop)
    return loop


def test_hooks_and_metrics_see_clean_results(tmp_path):
    """The loss element reaches neither; the losses reach after_val_epoch."""
    spy = Spy()
    runner = make_runner(tmp_path, counting, custom_hooks=[spy])
    metrics = runner.val()
    assert metrics == {"n/seen": 2.0, "loss": 1.5, "val_loss": 1.5}
    assert spy.metrics == [metrics]
    assert [len(outputs) for outputs in spy.outputs] == [1, 1]
    assert [len(seen) for seen in runner.val_evaluator.metrics[0].samples] == [1, 1]


def test_losses_of_an_epoch_stay_readable_until_the_next(tmp_path):
    """loop.val_loss maps names to something with mean(); a new epoch is empty."""
    at_start = []

    class Look(Hook):
        def before_val_iter(self, runner, batch_idx, data_batch=None):
            at_start.append(dict(runner.val_loop.val_loss))

    runner = make_runner(tmp_path, counting, length=1, custom_hooks=[Look()])
    assert runner.val()["val_loss"] == 1.0
    assert runner.val_loop.val_loss["loss"].mean() == 1.0
    assert runner.val()["val_loss"] == 2.0
    assert runner.val_loop.val_loss["loss"].mean() == 2.0
    assert at_start == [{}, {}]
    assert runner.test()["test_loss"] == 3.0
    assert runner.test_loop.test_loss["loss"].mean() == 3.0


def test_a_model_without_losses_is_reported_as_before(tmp_path):
    """Nothing is added."""
    assert make_runner(tmp_path, lambda *_: [sample()]).val() == {"n/seen": 2.0}


class OwnRun(ValLoop):
    """Two passes under their own prefixes, as mmdet's TeacherStudentValLoop."""

    def run(self):
        self.runner.call_hook("before_val_epoch")
        metrics = {}
        for prefix in ("teacher", "student"):
            for index, batch in enumerate(self.dataloader):
                self.run_iter(index, batch)
            found = self.evaluator.evaluate(len(self.dataloader.dataset))
            metrics.update({f"{prefix}/{key}": value for key, value in found.items()})
        return metrics


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


def test_each_pass_of_a_loop_has_its_own_loss(tmp_path):
    """A run of its own with two passes: no pass sees the other's losses."""
    runner = make_runner(tmp_path, counting)
    with_loop(runner, OwnRun)
    for first in (1.5, 5.5):
        metrics = runner.val()
        assert metrics["teacher/val_loss"] == first
        assert metrics["student/val_loss"] == first + 2


@pytest.mark.parametrize("loop_class", [OwnRunIter, SuperTwice])
def test_loops_that_override_report_each_loss_once(tmp_path, loop_class):
    """With and without super(); what is evaluated is clean."""
    runner = make_runner(tmp_path, counting)
    with_loop(runner, loop_class)
    assert runner.val() == {"n/seen": 2.0, "loss": 1.5, "val_loss": 1.5}


def test_a_loop_of_a_loop_counts_for_itself(tmp_path):
    """A validation inside a test: each has its own losses."""
    inner = make_runner(tmp_path, lambda *_: [element(loss=torch.tensor(70.0))])
    found = []

    class ValidateInside(Hook):
        def before_test_iter(self, runner, batch_idx, data_batch=None):
            found.append(inner.val()["val_loss"])

    runner = make_runner(tmp_path, counting, custom_hooks=[ValidateInside()])
    assert runner.test()["test_loss"] == 1.5
    assert found == [70.0, 70.0]


def test_a_hook_may_call_val_step(tmp_path):
    """Only what is evaluated counts, not what a hook asks the model for."""

    class Ask(Hook):
        def before_val_iter(self, runner, batch_idx, data_batch=None):
            runner.model.val_step(data_batch)

        def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            runner.model.val_step(data_batch)

    runner = make_runner(tmp_path, counting, custom_hooks=[Ask()])
    assert runner.val()["val_loss"] == (2 + 5) / 2


def test_a_hook_that_calls_val_step_does_not_lend_its_losses(tmp_path):
    """Where the evaluated result itself has none."""

    class Ask(Hook):
        def before_val_iter(self, runner, batch_idx, data_batch=None):
            runner.model.val_step(data_batch)

    def respond(index, inputs):
        return [sample()] if index == 1 else counting(index, inputs)

    runner = make_runner(tmp_path, respond, custom_hooks=[Ask()])
    assert runner.val()["val_loss"] == 4.0


def test_an_epoch_that_raises_halfway_leaves_nothing(tmp_path):
    """No shadow on the runner, no losses for the next epoch."""

    def respond(index, inputs):
        if index == 1:
            raise RuntimeError("halfway")
        return counting(index, inputs)

    runner = make_runner(tmp_path, respond)
    with pytest.raises(RuntimeError, match="halfway"):
        runner.val()
    assert "call_hook" not in vars(runner)
    assert runner.val()["val_loss"] == (3 + 4) / 2


def test_run_iter_outside_of_an_epoch_does_not_leak(tmp_path):
    """As mmpretrain's EMAHook calls it after the epoch."""
    runner = make_runner(tmp_path, counting)
    loop = with_loop(runner, ValLoop)
    batch = next(iter(loop.dataloader))
    runner.call_hook("before_val_epoch")
    loop.run_iter(0, batch)
    assert loop.val_loss["loss"].mean() == 1.0
    assert loop.evaluator.evaluate(1)["val_loss"] == 1.0
    loop.run_iter(0, batch)
    assert runner.val()["val_loss"] == (3 + 4) / 2


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
    found = {"n/seen": 2.0, "loss": 1.5, "val_loss": 1.5}
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


def test_after_a_change_of_mode_the_loop_holds_the_new_losses(tmp_path):
    """The same loop, used in default mode, in parity mode and again."""
    runner = make_runner(tmp_path, counting)
    for mode, mean in (("default", 1.5), ("parity", 3.5), ("default", 5.5)):
        valloss_compat.revert()
        valloss_compat.apply(mode=mode)
        assert runner.val()["val_loss"] == mean
        assert runner.val_loop.val_loss["loss"].mean() == mean


def test_after_revert_validation_is_as_released(tmp_path):
    """Also with a loop that was used under the patch."""
    runner = make_runner(tmp_path, lambda *_: [sample(), element(loss=torch.ones(()))])
    assert runner.val()["val_loss"] == 1.0
    valloss_compat.revert()
    metrics = runner.val()
    if NATIVE:
        assert metrics == {"n/seen": 2.0, "loss": 1.0, "val_loss": 1.0}
    else:
        assert metrics == {"n/seen": 4.0}
