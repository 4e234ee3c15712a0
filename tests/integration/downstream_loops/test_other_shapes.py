"""Loops that derive from BaseLoop, in shapes that no library has yet."""

from __future__ import annotations

import pytest
from mmengine.runner import BaseLoop
from support.own_loops import with_loop
from support.tiny import counting, element, make_runner

import valloss_compat
from valloss_compat._patches.loops import validates
from valloss_compat._patches.patch import marker_of


class Own(BaseLoop):
    """As a user would write one: no run_iter, no ValLoop."""

    def __init__(self, runner, dataloader, evaluator):
        super().__init__(runner, dataloader)
        self.evaluator = runner.build_evaluator(evaluator)

    def run(self):
        for batch in self.dataloader:
            self.evaluator.process(self.runner.model.val_step(batch), batch)
        return self.evaluator.evaluate(len(self.dataloader.dataset))


class Template(BaseLoop):
    """Defines run; subclasses define run_iter."""

    def __init__(self, runner, dataloader, evaluator):
        super().__init__(runner, dataloader)
        self.evaluators = [
            runner.build_evaluator(evaluator),
            runner.build_evaluator([]),
        ]

    def run(self):
        found = {}
        for evaluator in self.evaluators:
            for batch in self.dataloader:
                self.run_iter(batch, evaluator)
            metrics = evaluator.evaluate(len(self.dataloader.dataset))
            assert not metrics.keys() & found.keys()
            found.update(metrics)
        return found


class Filled(Template):
    """Defines the iteration."""

    def run_iter(self, data_batch, evaluator):
        evaluator.process(self.runner.model.val_step(data_batch), data_batch)


class WithAnother(Filled):
    """Also uses another evaluator, and calls hooks without metrics."""

    def run(self):
        other = self.runner.build_evaluator([])
        other.process([element(loss=7.0)])
        beside = other.evaluate(1)
        self.runner.call_hook("after_val_epoch", metrics={})
        self.runner.call_hook("after_val_epoch", metrics=None)
        return {**super().run(), "beside": beside}


class FilledAgain(Filled):
    """Inherits all of it."""


class Trains(Own):
    """A loop that also trains counts as a train loop and is not patched."""

    def run_iter(self, data_batch):
        self.runner.model.train_step(data_batch, self.runner.optim_wrapper)


@pytest.mark.parametrize(
    ("loop_class", "values"),
    [(Own, (1.5, 3.5)), (Filled, (2.5, 6.5)), (FilledAgain, (2.5, 6.5))],
)
def test_user_loop_reports_the_loss(tmp_path, loop_class, values):
    """For each validation its own; revert() restores the class."""
    runner = make_runner(tmp_path, counting)
    with_loop(runner, loop_class)
    for value in values:
        assert runner.val_loop.run()["val_loss"] == value
    valloss_compat.revert()
    assert marker_of(loop_class.run) is None


def test_evaluator_of_another_pass_reports_its_own_losses(tmp_path):
    """Within a run that merges the losses of other evaluators."""
    runner = make_runner(tmp_path, counting)
    runner.hooks.clear()  # not all of mmengine's take None
    with_loop(runner, WithAnother)
    found = runner.val_loop.run()
    assert found["val_loss"] == 2.5
    assert found["beside"] == {"loss": 7.0, "val_loss": 7.0}
    assert runner.val_loop.val_loss["loss"].mean() == 2.5


def test_subclass_without_run_or_run_iter_can_be_created():
    """Creating it neither fails nor patches methods that it lacks."""
    made = type("Bare", (BaseLoop,), {"val": lambda self: self.model.val_step()})
    assert validates(made)
    assert not validates(type("Empty", (BaseLoop,), {}))
    targets = [patch.target for patch in valloss_compat.status().patches]
    assert not [target for target in targets if ".Bare." in target]


class Chain:
    """Returns itself for every attribute, as some proxies do."""

    def __getattr__(self, name):
        return self


def test_class_attribute_that_is_no_function_is_ignored():
    """A class attribute may be anything."""
    made = type("Tracks", (BaseLoop,), {"track": Chain()})
    assert not validates(made)
    still = staticmethod(lambda model: model.val_step())
    assert validates(type("Static", (BaseLoop,), {"step": still}))


def test_loop_that_trains_is_not_patched():
    """Even if it also calls val_step."""
    assert validates(Own)
    assert not validates(Trains)
    assert not [name for name in valloss_compat.status().overrides if "Trains" in name]
