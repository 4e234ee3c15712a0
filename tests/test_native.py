"""The helpers of native mmengine, for callers that are not its own loops."""

from __future__ import annotations

import pytest
import torch
from mmengine.runner import loops
from test_loops import counting
from tiny import Spy, element, make_runner, sample

from valloss_compat.meter import LossMeters
from valloss_compat.patches import native
from valloss_compat.recorder import Recorder

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
    recorder = Recorder()
    for result in ({"a": 1}, None, [], torch.ones(3)):
        outputs, losses = native.update_losses(recorder, never, result, {})
        assert outputs is result
        assert losses == {}
    called = native.update_losses(recorder, lambda *args: args, RESULT, {"mine": 1})
    assert called == (RESULT, {"mine": 1})
    assert native.parse_losses(recorder, lambda *args: args, {}, "val") == ({}, "val")


def test_meters_of_ours_are_filled_outside_of_an_iteration():
    """And reported unless they are reported already."""
    recorder, meters = Recorder(), LossMeters()
    outputs, losses = native.update_losses(recorder, never, RESULT, meters)
    assert outputs == [1]
    assert losses is meters
    native.update_losses(recorder, never, [1], meters)
    assert native.parse_losses(recorder, never, meters, "test") == {
        "loss": 3.0,
        "test_loss": 3.0,
    }
    meters.reported = True
    assert native.parse_losses(recorder, never, meters, "test") == {}


def test_within_an_iteration_the_losses_are_taken_once():
    """Whether the shadow on the model took them before or not."""
    recorder = Recorder()
    iteration = recorder.begin_iteration(object(), "val")
    taken = recorder.take(iteration, RESULT)
    assert native.update_losses(recorder, never, taken, LossMeters())[0] is taken
    assert native.update_losses(recorder, never, RESULT, LossMeters())[0] == [1]
    assert [losses for _, losses in iteration.taken] == [RESULT[-1].loss] * 2


@needs_helpers
def test_the_real_helpers_work_for_a_dict_of_ones_own():
    """As released, but for what cannot be indexed."""
    outputs, losses = loops._update_losses(RESULT, {})
    assert outputs == [1]
    assert loops._parse_losses(losses, "val") == {"loss": 3.0, "val_loss": 3.0}
    assert loops._update_losses(None, {}) == (None, {})


def test_hooks_see_clean_results_where_the_shadow_was_replaced(tmp_path):
    """On native releases its own helper hands the result over once more."""
    spy = Spy()
    runner = make_runner(tmp_path, counting, custom_hooks=[spy])
    model = runner.model

    class Replace(type(spy)):
        def before_val_iter(self, runner, batch_idx, data_batch=None):
            vars(model)["val_step"] = lambda data: type(model).val_step(model, data)

    runner.register_hook(Replace())
    assert runner.val()["val_loss"] == 1.5
    native_helpers = hasattr(loops, "_update_losses")
    assert {len(outputs) for outputs in spy.outputs} == {1 if native_helpers else 2}
    assert all(isinstance(outputs[0], type(sample())) for outputs in spy.outputs)
