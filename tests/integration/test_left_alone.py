"""What is somebody's own and stays so: attributes, stand-ins for runners, hooks."""

from __future__ import annotations

import copy
import inspect
import logging
import types
from unittest.mock import Mock

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner, ValLoop
from support.native import NATIVE
from support.own_loops import with_loop
from support.tiny import Model, Seen, counting, loader, make_runner, sample


class FromNone(ValLoop):
    """A user's own account, that begins with None."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.val_loss = None

    @torch.no_grad()
    def run_iter(self, idx, data_batch):
        outputs = self.runner.model.val_step(data_batch)
        self.evaluator.process(data_samples=outputs, data_batch=data_batch)
        loss = outputs[-1].loss["loss"]
        self.val_loss = loss if self.val_loss is None else self.val_loss + loss


class OnlyNone(FromNone):
    """Sets it and never again."""

    def run_iter(self, idx, data_batch):
        ValLoop.run_iter(self, idx, data_batch)


@pytest.mark.skipif(NATIVE, reason="native mmengine itself wants a dict there")
def test_an_account_that_begins_with_none_is_its_loops(tmp_path):
    """The losses are reported all the same."""
    runner = make_runner(tmp_path, counting)
    loop = with_loop(runner, FromNone)
    assert runner.val()["val_loss"] == 1.5
    assert loop.val_loss == 3.0


def test_none_stays_unless_native_mmengine_needs_a_mapping_there(tmp_path):
    """Which would raise by itself, and does not with us."""
    runner = make_runner(tmp_path, counting)
    loop = with_loop(runner, OnlyNone)
    assert runner.val()["val_loss"] == 1.5
    assert (loop.val_loss is None) != NATIVE


class Strict(ValLoop):
    """Knows its attributes, and takes no other."""

    names = ("_runner", "dataloader", "_dataloader", "evaluator", "fp16")

    def __setattr__(self, name, value):
        if name not in self.names:
            raise AttributeError(name)
        super().__setattr__(name, value)


@pytest.mark.skipif(NATIVE, reason="native mmengine itself has to set it")
def test_a_loop_that_takes_no_val_loss_has_none(tmp_path):
    """The losses are reported all the same."""
    runner = make_runner(tmp_path, counting)
    loop = with_loop(runner, Strict)
    assert runner.val()["val_loss"] == 1.5
    assert not hasattr(loop, "val_loss")


class Slots:
    """A runner with no more than a loop needs, and no weak reference."""

    __slots__ = ("call_hook", "hooks", "model", "visualizer")


@pytest.mark.parametrize("hooks", [None, [], ()])
@pytest.mark.parametrize("make", [types.SimpleNamespace, Mock, Slots])
def test_a_stand_in_for_a_runner_validates(make, hooks):
    """As the unit tests of downstream libraries have them."""
    runner = make()
    runner.model = Model(counting)
    runner.visualizer = Mock()
    if make is not Mock:
        runner.call_hook = lambda *args, **kwargs: None
    if hooks is not None:
        runner.hooks = hooks
    loop = ValLoop(runner, loader(2), Evaluator([Seen()]))
    assert loop.run() == {"n/seen": 2.0, "loss": 1.5, "val_loss": 1.5}


class NotReady(Hook):
    """Neither stops nor saves by it: what its monitor is, is its own affair."""

    @property
    def monitor(self):
        raise RuntimeError("not ready")


def test_the_monitor_of_a_hook_of_another_kind_is_not_read(tmp_path):
    """A run that worked without us works with us."""
    runner = make_runner(tmp_path, lambda *_: [sample()], custom_hooks=[NotReady()])
    assert runner.val() == {"n/seen": 2.0}


class BuiltLate(ValLoop):
    """Has an attribute that a ValLoop has not, and that nobody may read yet."""

    @property
    def evaluators(self):
        raise RuntimeError("not built yet")


def test_evaluators_of_a_val_loop_are_not_read(tmp_path):
    """It has its one; others are for loops that derive from BaseLoop alone."""
    runner = make_runner(tmp_path, counting)
    with_loop(runner, BuiltLate)
    assert runner.val()["val_loss"] == 1.5


def test_within_a_validation_call_hook_looks_like_the_method(tmp_path):
    """For who logs its name or asks whose it is; a copy of the runner works too."""
    found = []

    class Ask(Hook):
        def after_val_epoch(self, runner, metrics=None):
            method = runner.call_hook
            found.append((method.__name__, method.__self__ is runner))
            found.append(copy.copy(method).__name__)
            found.append(list(inspect.signature(method).parameters))
            assert not hasattr(method, "no_such_thing")

    make_runner(tmp_path, counting, custom_hooks=[Ask()]).val()
    parameters = list(inspect.signature(Runner.call_hook).parameters)
    assert found == [("call_hook", True), "call_hook", parameters[1:]]


def test_one_dict_of_metrics_for_all_epochs_holds_no_metric_of_a_losss_name(tmp_path):
    """What is there from the epoch before is ours, and no reason for a warning."""

    class OneDict(Evaluator):
        found = {"acc": 0.5}  # noqa: RUF012

        def evaluate(self, size):
            return self.found

    runner = make_runner(tmp_path, counting, val_evaluator=OneDict([Seen()]))
    said = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())
    runner.logger.addHandler(handler)
    runner.logger.setLevel(logging.WARNING)
    for mean in (1.5, 3.5):
        assert runner.val() == {"acc": 0.5, "loss": mean, "val_loss": mean}
    OneDict.found["loss"] = 8.0
    assert said == []
    runner.val()
    assert ["'loss' has the name of a metric" in text for text in said] == [True]
