"""How the hook replaces a step: for one call, in any loop, and nothing stays."""

from __future__ import annotations

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.runner import ValLoop

import valloss_compat
from loss_forward.models import (
    Classifier,
    Predicted,
    Watch,
    expected,
    hook,
    loader,
    make_runner,
)
from loss_forward.rejection import rejected
from valloss_compat.errors import UnsupportedError
from valloss_compat.hooks.val_loss_hook import PatchedStep

KNOWN = expected(Classifier())["val_loss"]


def test_parity_reports_it_as_native_does(tmp_path):
    """The losses go through mmengine's own code where it has any."""
    valloss_compat.apply(mode="parity")
    spy = Watch()
    metrics = make_runner(tmp_path, hook(), spy).val()
    assert metrics["val_loss"] == pytest.approx(KNOWN, rel=1e-6)
    assert [len(outputs) for outputs in spy.outputs] == [4, 4, 2]


def test_a_val_step_of_the_instance_is_used_and_restored(tmp_path):
    """A compiled one, say; then nothing is reused."""
    runner = make_runner(tmp_path, hook())
    calls = []
    own = runner.model.val_step

    def mine(data):
        calls.append(1)
        return own(data)

    vars(runner.model)["val_step"] = mine
    assert runner.val_loop.run()["val_loss"] == pytest.approx(KNOWN, rel=1e-6)
    assert vars(runner.model)["val_step"] is mine
    assert len(calls) == 3


def test_a_patched_step_that_was_replaced_is_left_alone():
    model = Classifier()
    step = PatchedStep(model, "val_step", lambda step: "patched")
    vars(model)["val_step"] = len
    assert not step.remove()
    assert model.val_step is len


class Inside(Hook):
    """Calls a hook that the Runner does not know."""

    def before_val(self, runner):
        hook().before_val(runner)


def test_a_hook_that_another_hook_calls_is_not_registered(tmp_path):
    runner = make_runner(tmp_path, Inside())
    before = runner.hooks
    assert set(runner.val()) == {"mean/score"}
    assert runner.hooks == before


@pytest.mark.parametrize("mode", ["predict", "loss"])
def test_nothing_stays_if_the_model_raises(tmp_path, monkeypatch, mode):
    """No patched step, no replaced forward, and the flags as they were."""

    def fails(self, *args):
        raise KeyError("mine")

    monkeypatch.setattr(Classifier, mode, fails)
    runner = make_runner(tmp_path, hook())
    with pytest.raises((KeyError, UnsupportedError)):
        runner.val()
    for module in runner.model.modules():
        assert not {"val_step", "forward"} & set(vars(module))
        assert not module.training


def test_a_tuple_stays_one(tmp_path, monkeypatch):
    """Hooks get the type that the model returns."""
    plain = Classifier.predict
    monkeypatch.setattr(
        Classifier, "predict", lambda *args: tuple(plain(*args)), raising=True
    )
    spy = Watch()
    assert make_runner(tmp_path, hook(), spy).val()["val_loss"] == pytest.approx(KNOWN)
    assert {type(outputs) for outputs in spy.outputs} == {tuple}


class Delegates(Hook):
    """Calls a hook of its own, which the Runner does not know, at each event."""

    def __init__(self):
        self.inner = hook()

    def before_val(self, runner):
        self.inner.before_val(runner)

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        self.inner.before_val_iter(runner, batch_idx, data_batch)

    def after_val_iter(self, runner, *args, **kwargs):
        self.inner.after_val_iter(runner, *args, **kwargs)


def test_a_hook_that_another_hook_calls_reports_the_loss(tmp_path):
    metrics = make_runner(tmp_path, Delegates()).val()
    assert metrics["val_loss"] == pytest.approx(KNOWN, rel=1e-6)


class OwnLoop(ValLoop):
    """Calls the hooks, and the model past val_step or with other arguments."""

    def __init__(self, *args, way, **kwargs):
        super().__init__(*args, **kwargs)
        self.way = way

    @torch.no_grad()
    def run_iter(self, idx, data_batch):
        self.runner.call_hook("before_val_iter", batch_idx=idx, data_batch=data_batch)
        model = self.runner.model
        if self.way == "keyword":
            outputs = model.val_step(data=data_batch)
        elif self.way == "two arguments":
            outputs = model.val_step(data_batch, idx)
        else:
            outputs = model.test_step(data_batch)
        self.evaluator.process(outputs, data_batch)
        self.runner.call_hook(
            "after_val_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs
        )


def own_loop(work_dir, way, **options):
    runner = make_runner(work_dir, hook(**options))
    runner._val_loop = OwnLoop(
        runner, loader(), runner.build_evaluator([Predicted()]), way=way
    )
    return runner


@pytest.mark.parametrize("way", ["keyword", "two arguments"])
def test_a_loop_with_its_own_iterations(tmp_path, monkeypatch, way):
    """What calls val_step gets the losses, however it calls it."""
    plain = Classifier.val_step
    monkeypatch.setattr(
        Classifier, "val_step", lambda self, data, index=None: plain(self, data)
    )
    metrics = own_loop(tmp_path, way).val_loop.run()
    assert metrics["val_loss"] == pytest.approx(KNOWN)


def test_a_loop_that_does_not_call_val_step_is_rejected(tmp_path):
    """There is nothing to append to."""
    runner = own_loop(tmp_path, "test_step")
    with pytest.raises(UnsupportedError, match="do not call val_step"):
        runner.val_loop.run()
    assert "val_step" not in vars(runner.model)
    metrics = own_loop(tmp_path, "test_step", on_unsupported="warn").val_loop.run()
    assert set(metrics) == {"mean/score"}


class Accuracy(BaseMetric):
    """Has the name of an accuracy that mode 'loss' returns, and another number."""

    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        return {"acc": 77.0}


def test_metric_of_the_same_name_is_kept(tmp_path, logged):
    runner = make_runner(
        tmp_path, hook(), val_evaluator=[Accuracy()], log_level="WARNING"
    )
    for _ in range(2):
        metrics = runner.val_loop.run()
        assert metrics["acc"] == 77.0
        assert metrics["val_loss"] == pytest.approx(KNOWN, rel=1e-6)
    assert logged().count("the loss 'acc' has the name of a metric, which is kept") == 1


def test_losses_without_the_word_loss_in_a_name_are_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr(Classifier, "loss", lambda s, scores, d: {"cls": scores})
    rejected(
        tmp_path, Classifier(), "mode 'loss' returned cls, but val_loss is the sum"
    )
