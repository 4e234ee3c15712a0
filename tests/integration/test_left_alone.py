"""What stays as the user has it: attributes, stand-ins for runners, other hooks."""

from __future__ import annotations

import copy
import inspect
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
    """Adds up losses of its own in ``val_loss``, from None on."""

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
    """Sets ``val_loss`` to None and does not use it."""

    def run_iter(self, idx, data_batch):
        ValLoop.run_iter(self, idx, data_batch)


@pytest.mark.skipif(NATIVE, reason="native mmengine itself wants a dict there")
def test_user_val_loss_attribute_that_starts_as_none_is_not_overwritten(tmp_path):
    """The losses are reported all the same."""
    runner = make_runner(tmp_path, counting)
    loop = with_loop(runner, FromNone)
    assert runner.val()["val_loss"] == 1.5
    assert loop.val_loss == 3.0


def test_val_loss_of_none_stays_unless_native_mmengine_needs_a_mapping(tmp_path):
    """Unpatched native mmengine raises."""
    runner = make_runner(tmp_path, counting)
    loop = with_loop(runner, OnlyNone)
    assert runner.val()["val_loss"] == 1.5
    assert (loop.val_loss is None) != NATIVE


class Strict(ValLoop):
    """Accepts only known attributes."""

    names = ("_runner", "dataloader", "_dataloader", "evaluator", "fp16")

    def __setattr__(self, name, value):
        if name not in self.names:
            raise AttributeError(name)
        super().__setattr__(name, value)


@pytest.mark.skipif(NATIVE, reason="native mmengine itself has to set it")
def test_loop_that_rejects_new_attributes_has_no_val_loss(tmp_path):
    """The losses are reported all the same."""
    runner = make_runner(tmp_path, counting)
    loop = with_loop(runner, Strict)
    assert runner.val()["val_loss"] == 1.5
    assert not hasattr(loop, "val_loss")


class Slots:
    """A runner with only what a loop needs, and without weak references."""

    __slots__ = ("call_hook", "hooks", "model", "visualizer")


@pytest.mark.parametrize("hooks", [None, [], ()])
@pytest.mark.parametrize("make", [types.SimpleNamespace, Mock, Slots])
def test_stand_in_for_a_runner_validates(make, hooks):
    """As unit tests of downstream libraries use it."""
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
    """A hook of another kind, with a ``monitor`` that cannot be read."""

    @property
    def monitor(self):
        raise RuntimeError("not ready")


def test_monitor_of_another_kind_of_hook_is_not_read(tmp_path):
    """What runs unpatched runs patched."""
    runner = make_runner(tmp_path, lambda *_: [sample()], custom_hooks=[NotReady()])
    assert runner.val() == {"n/seen": 2.0}


class BuiltLate(ValLoop):
    """Has an attribute ``evaluators`` that cannot be read yet."""

    @property
    def evaluators(self):
        raise RuntimeError("not built yet")


def test_evaluators_of_a_val_loop_are_not_read(tmp_path):
    """A ValLoop has one evaluator; only loops of other kinds may have a list."""
    runner = make_runner(tmp_path, counting)
    with_loop(runner, BuiltLate)
    assert runner.val()["val_loss"] == 1.5


def test_call_hook_looks_like_the_original_within_a_validation(tmp_path):
    """Its name, instance and signature are the same, and it can be copied."""
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
