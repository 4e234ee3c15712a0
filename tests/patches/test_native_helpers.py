"""The helpers of native mmengine, for loops that call them themselves."""

from __future__ import annotations

import pytest
import torch
from mmengine.runner import ValLoop, loops
from support.native import NATIVE
from support.own_loops import with_loop
from support.tiny import Spy, counting, element, make_runner, sample

import valloss_compat
from valloss_compat import configure
from valloss_compat._patches import results
from valloss_compat._recording.epoch import EpochLosses
from valloss_compat._recording.recorder import Recorder

RESULT = [1, element(loss=torch.tensor(3.0))]


def never(*args):
    """An original that must not be called."""
    raise AssertionError(args)


def test_loop_with_a_dict_of_its_own_uses_the_original_helpers():
    """Only for results with a loss element: the original indexes any result."""
    recorder = Recorder(native=True)
    for result in ({"a": 1}, None, [], torch.ones(3)):
        outputs, losses = results.update_losses(recorder, never, (result, {}), {})
        assert outputs is result
        assert losses == {}
    given = {"losses": {"mine": 1}}
    called = results.update_losses(recorder, lambda *args: args, (RESULT,), given)
    assert called == (RESULT, {"mine": 1})
    called = results.parse_losses(recorder, lambda *args: args, ({}, "val"), {})
    assert called == ({}, "val")


def test_losses_are_accumulated_and_reported_once():
    """An epoch that has ended starts over with the next losses."""
    recorder, epoch = Recorder(), EpochLosses()
    for _ in range(2):
        outputs, losses = results.update_losses(recorder, never, (RESULT, epoch), {})
        assert outputs == [1]
        assert losses is epoch
        results.update_losses(recorder, never, ([1], epoch), {})
        means = results.parse_losses(recorder, never, (epoch, "test"), {})
        assert means == {"loss": 3.0, "test_loss": 3.0}
        epoch.reported = epoch.ended = True
        assert results.parse_losses(recorder, never, (epoch, "test"), {}) == {}


class WithHelpers(ValLoop):
    """A loop written for mmengine 0.10.5 or later."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.val_loss = {}

    @torch.no_grad()
    def run_iter(self, idx, data_batch):
        self.runner.call_hook("before_val_iter", batch_idx=idx, data_batch=data_batch)
        outputs = self.runner.model.val_step(data_batch)
        outputs, self.val_loss = loops._update_losses(outputs, self.val_loss)
        self.evaluator.process(data_samples=outputs, data_batch=data_batch)
        self.runner.call_hook("after_val_iter", batch_idx=idx, outputs=outputs)

    def run(self):
        self.val_loss.clear()
        self.runner.call_hook("before_val_epoch")
        for idx, data_batch in enumerate(self.dataloader):
            self.run_iter(idx, data_batch)
        metrics = self.evaluator.evaluate(len(self.dataloader.dataset))
        if self.val_loss:
            metrics.update(loops._parse_losses(self.val_loss, "val"))
        return metrics


class WithoutEvaluator(WithHelpers):
    """Reports the losses and evaluates nothing."""

    def run_iter(self, idx, data_batch):
        outputs = self.runner.model.val_step(data_batch)
        _, self.val_loss = loops._update_losses(outputs, self.val_loss)

    def run(self):
        self.val_loss.clear()
        for idx, data_batch in enumerate(self.dataloader):
            self.run_iter(idx, data_batch)
        return loops._parse_losses(self.val_loss, "val")


@pytest.mark.parametrize("mode", ["default", "parity"])
@pytest.mark.parametrize("cls", [WithHelpers, WithoutEvaluator])
def test_loop_written_for_the_helpers_works_on_every_release(tmp_path, cls, mode):
    """Each epoch has its own losses."""
    valloss_compat.apply(mode=mode)
    spy = Spy()
    runner = make_runner(tmp_path, counting, custom_hooks=[spy])
    with_loop(runner, cls)
    for mean in (1.5, 3.5):
        metrics = runner.val()
        metrics.pop("n/seen", None)
        assert metrics == {"loss": mean, "val_loss": mean}
    assert {len(outputs) for outputs in spy.outputs} <= {1}


class Attached(WithHelpers):
    """Relies on the ``val_loss`` of native ValLoop."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if not NATIVE:
            del self.val_loss

    def run_iter(self, idx, data_batch):
        assert isinstance(self.val_loss, EpochLosses)
        super().run_iter(idx, data_batch)


def test_weighting_by_sample_leaves_the_result_to_the_evaluator(tmp_path):
    """Only the evaluator gets the batch, which has the number of samples."""
    configure(weighting="sample")

    def respond(index, inputs):
        return [*inputs, element(loss=torch.stack(list(inputs)).mean())]

    runner = make_runner(tmp_path, respond, length=3, batch_size=2)
    with_loop(runner, Attached)
    assert runner.val()["val_loss"] == 1.0


def test_no_total_is_reported_where_no_name_has_loss(tmp_path):
    """The helper of native mmengine reports 0."""
    runner = make_runner(tmp_path, lambda *_: [sample(), element(acc=1.0)])
    with_loop(runner, Attached)
    assert runner.val() == {"n/seen": 2.0, "acc": 1.0}


def test_revert_removes_the_helpers():
    """Where mmengine has none of its own."""
    valloss_compat.apply()
    assert hasattr(loops, "_update_losses")
    valloss_compat.revert()
    assert hasattr(loops, "_update_losses") == NATIVE
    assert hasattr(loops, "_parse_losses") == NATIVE


class AnyEvaluator:
    """An evaluator of another class, which a TestLoop accepts."""

    dataset_meta = None

    def process(self, data_samples, data_batch=None):
        self.size = len(data_samples)

    def evaluate(self, size):
        return {"any": 1.0}


@pytest.mark.skipif(not NATIVE, reason="the helpers came with mmengine 0.10.5")
def test_losses_with_another_kind_of_evaluator_are_reported_as_natively(tmp_path):
    """What works on native releases does not change."""
    runner = make_runner(tmp_path, counting)
    runner.test_loop.evaluator = AnyEvaluator()
    assert runner.test() == {"any": 1.0, "loss": 1.5, "test_loss": 1.5}
    assert runner.test_loop.evaluator.size == 1


def test_helpers_work_for_any_dict():
    """As in mmengine 0.10.5, and also for results that cannot be indexed."""
    outputs, losses = loops._update_losses(RESULT, {})
    assert outputs == [1]
    assert loops._parse_losses(losses, "val") == {"loss": 3.0, "val_loss": 3.0}
    assert loops._update_losses(None, {}) == (None, {})
