"""The model: what stood on it stands there afterwards, copies are whole."""

from __future__ import annotations

import copy
import math
import pickle

import torch
from mmengine.hooks import Hook
from test_loops import counting
from tiny import Spy, make_runner

from valloss_compat.patches.loops import StepShadow


def test_what_a_hook_put_on_the_model_is_put_back(tmp_path):
    """A wrapper on the instance is kept, and runs."""
    runner = make_runner(tmp_path, counting)
    called = []

    def mine(data):
        called.append(1)
        return type(runner.model).val_step(runner.model, data)

    vars(runner.model)["val_step"] = mine
    assert runner.val()["val_loss"] == 1.5
    assert vars(runner.model)["val_step"] is mine
    assert called == [1, 1]


def test_what_replaces_the_shadow_meanwhile_stays(tmp_path):
    """A hook that wraps val_step inside run_iter keeps its wrapper; ours goes quiet."""

    class Wrap(Hook):
        def before_val_iter(self, runner, batch_idx, data_batch=None):
            inner = runner.model.val_step
            vars(runner.model)["val_step"] = lambda data: inner(data)

        def before_test_iter(self, runner, batch_idx, data_batch=None):
            model = runner.model
            vars(model)["test_step"] = lambda data: type(model).test_step(model, data)

    spy = Spy()
    runner = make_runner(tmp_path, counting, custom_hooks=[Wrap(), spy])
    assert runner.val()["val_loss"] == 1.5
    assert vars(runner.model)["val_step"].__name__ == "<lambda>"
    loss = runner.model.val_step(next(iter(runner.val_dataloader)))[-1].loss
    assert loss == {"loss": torch.tensor(3.0)}
    assert runner.test()["test_loss"] == (4 + 5) / 2


def test_a_copy_of_the_model_made_meanwhile_is_a_model_of_its_own(tmp_path):
    """Deepcopy and pickle in a hook: the copy's step is the copy's."""
    copies = []

    class Copy(Hook):
        def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            copies.append(copy.deepcopy(runner.model))

    runner = make_runner(tmp_path, counting, custom_hooks=[Copy()])
    model = runner.model
    assert runner.val()["val_loss"] == 1.5
    assert not vars(model).get("val_step")
    for duplicate in copies:
        assert duplicate.val_step.__self__ is duplicate
        assert len(duplicate.val_step(next(iter(runner.val_dataloader)))) == 2


def test_a_wrapper_on_the_model_is_copied_as_what_it_is():
    """Also while the shadow stands over it, in a copy and in a pickle."""
    model = torch.nn.Identity()
    vars(model)["val_step"] = math.sqrt
    shadow = StepShadow(model, "val_step", str)
    assert model.val_step(4) == "2.0"
    for duplicate in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert vars(duplicate)["val_step"] is math.sqrt
    shadow.remove()
    assert model.val_step is math.sqrt


def test_the_shadow_leaves_alone_what_has_no_step():
    """No namespace, or no such method."""
    for model in (None, object(), torch.nn.Identity()):
        shadow = StepShadow(model, "val_step", lambda result: result)
        shadow.remove()
        assert not hasattr(model, "val_step")
