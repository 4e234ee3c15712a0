"""The helpers of native mmengine, for callers that are not its own loops."""

from __future__ import annotations

import types

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.runner import loops
from support.tiny import counting, element, make_runner

from valloss_compat._patches import native_helpers
from valloss_compat._recording.accumulator import EpochAccumulators
from valloss_compat._recording.native_recorder import NativeRecorder

RESULT = [1, element(loss=torch.tensor(3.0))]

needs_helpers = pytest.mark.skipif(
    not hasattr(loops, "_update_losses"),
    reason="the helpers came with mmengine 0.10.5",
)


def never(*args):
    """The original, where it must not be called."""
    raise AssertionError(args)


def test_a_loop_that_keeps_its_own_account_gets_the_original():
    """Only where there is a loss element: the original indexes whatever it gets."""
    recorder = NativeRecorder()
    for result in ({"a": 1}, None, [], torch.ones(3)):
        outputs, losses = native_helpers.update_losses(recorder, never, result, {})
        assert outputs is result
        assert losses == {}
    called = native_helpers.update_losses(
        recorder, lambda *args: args, RESULT, {"mine": 1}
    )
    assert called == (RESULT, {"mine": 1})
    assert native_helpers.parse_losses(recorder, lambda *args: args, {}, "val") == (
        {},
        "val",
    )


def test_meters_of_ours_are_filled_outside_of_an_iteration():
    """And reported unless they are reported already."""
    recorder, meters = NativeRecorder(), EpochAccumulators()
    outputs, losses = native_helpers.update_losses(recorder, never, RESULT, meters)
    assert outputs == [1]
    assert losses is meters
    native_helpers.update_losses(recorder, never, [1], meters)
    assert native_helpers.parse_losses(recorder, never, meters, "test") == {
        "loss": 3.0,
        "test_loss": 3.0,
    }
    meters.reported = True
    assert native_helpers.parse_losses(recorder, never, meters, "test") == {}


def test_within_an_iteration_the_losses_are_taken_once():
    """They are recorded when an evaluator gets what the helper returned."""
    recorder, evaluator = NativeRecorder(), Evaluator([])
    recorder.begin_iteration(object(), "val", None)
    for _ in range(2):
        outputs, _ = native_helpers.update_losses(
            recorder, never, RESULT, EpochAccumulators()
        )
        assert outputs == [1]
    assert recorder.process(evaluator, outputs, None) is outputs
    assert recorder.evaluate(evaluator, {}) == {"loss": 3.0, "val_loss": 3.0}


def test_losses_that_no_evaluator_of_ours_sees_are_recorded_for_native_run():
    """A broken iteration records nothing."""
    recorder = NativeRecorder()
    loop = types.SimpleNamespace(evaluator=Evaluator([]))
    for completed in (True, True, False):
        iteration = recorder.begin_iteration(loop, "test", None)
        native_helpers.update_losses(recorder, never, RESULT, loop.test_loss)
        recorder.end_iteration(iteration, completed)
    assert loop.test_loss["loss"].mean() == 3.0
    assert loop.test_loss.sums()["loss"].weight == 2


class AnyEvaluator:
    """None of mmengine's family, as a TestLoop takes it."""

    dataset_meta = None

    def process(self, data_samples, data_batch=None):
        self.size = len(data_samples)

    def evaluate(self, size):
        return {"any": 1.0}


@needs_helpers
def test_an_evaluator_that_is_none_is_reported_as_native_does(tmp_path):
    """On native releases nothing that works changes."""
    runner = make_runner(tmp_path, counting)
    runner.test_loop.evaluator = AnyEvaluator()
    assert runner.test() == {"any": 1.0, "loss": 1.5, "test_loss": 1.5}
    assert runner.test_loop.evaluator.size == 1


@needs_helpers
def test_the_real_helpers_work_for_a_dict_of_ones_own():
    """As released, but for what cannot be indexed."""
    outputs, losses = loops._update_losses(RESULT, {})
    assert outputs == [1]
    assert loops._parse_losses(losses, "val") == {"loss": 3.0, "val_loss": 3.0}
    assert loops._update_losses(None, {}) == (None, {})
