"""Hooks: what they see, and that neither model nor runner keeps anything of ours."""

from __future__ import annotations

import types

from mmengine.hooks import Hook
from support.tiny import Spy, counting, make_runner

from valloss_compat._patches.loops import CallHookShadow


def test_a_hook_may_look_for_the_loss_element_itself(tmp_path):
    """val_step returns what the model returns, also to hooks."""
    found = []

    class PatchState(Hook):
        def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            assert "val_step" not in vars(runner.model)
            found.append(float(runner.model.val_step(data_batch)[-1].loss["loss"]))

    runner = make_runner(tmp_path, counting, custom_hooks=[PatchState()])
    assert runner.val()["val_loss"] == (1 + 3) / 2
    assert found == [2.0, 4.0]


def test_hooks_get_the_very_object_that_is_evaluated(tmp_path):
    """One cleaned result, not one for each who asks."""
    seen = []
    spy = Spy()
    runner = make_runner(tmp_path, counting, custom_hooks=[spy])
    evaluator = runner.build_evaluator(runner._val_evaluator)
    process = evaluator.process.__wrapped__

    def listening(self, data_samples, data_batch=None):
        seen.append(data_samples)
        process(self, data_samples, data_batch)

    Listening = type("Listening", (type(evaluator),), {"process": listening})
    runner.val_loop.evaluator = Listening(evaluator.metrics)
    assert runner.val()["val_loss"] == 1.5
    assert [one is other for one, other in zip(seen, spy.outputs)] == [True, True]


def test_what_stood_on_the_runner_is_put_back(tmp_path):
    """A call_hook on the instance is kept, and runs."""
    spy = Spy()
    runner = make_runner(tmp_path, counting, custom_hooks=[spy])
    called = []

    def mine(fn_name, **kwargs):
        called.append(fn_name)
        type(runner).call_hook(runner, fn_name, **kwargs)

    vars(runner)["call_hook"] = mine
    assert runner.val()["val_loss"] == 1.5
    assert vars(runner)["call_hook"] is mine
    assert called.count("after_val_iter") == 2
    assert [len(outputs) for outputs in spy.outputs] == [1, 1]


def shadow_of(runner, clean):
    """A shadow for a recorder that cleans outputs like this."""
    return CallHookShadow(runner, types.SimpleNamespace(clean=clean))


def test_what_replaces_the_shadow_meanwhile_stays():
    """And calls through to hooks as before; ours goes quiet."""
    calls = []
    runner = types.SimpleNamespace()
    runner.call_hook = lambda *args, **kwargs: calls.append((args, kwargs))
    shadow = shadow_of(runner, lambda outputs: outputs[:-1])
    runner.call_hook("after_val_iter", outputs=[1, 2])
    runner.call_hook("before_val_iter", batch_idx=0)
    ours = runner.call_hook
    theirs = runner.call_hook = lambda *args, **kwargs: ours(*args, **kwargs)
    shadow.remove()
    assert runner.call_hook is theirs
    runner.call_hook("after_val_iter", outputs=[1, 2])
    assert calls == [
        (("after_val_iter",), {"outputs": [1]}),
        (("before_val_iter",), {"batch_idx": 0}),
        (("after_val_iter",), {"outputs": [1, 2]}),
    ]


def test_shadows_removed_in_any_order_leave_nothing():
    """As when two threads validate with one runner."""
    runner = types.SimpleNamespace(call_hook=len)
    first = shadow_of(runner, list)
    second = shadow_of(runner, list)
    first.remove()
    second.remove()
    assert runner.call_hook is len


def test_shadows_that_always_overlap_make_no_chain():
    """Two threads, thousands of iterations."""
    runner = types.SimpleNamespace(call_hook=lambda name, outputs: outputs)
    last = shadow_of(runner, lambda outputs: outputs)
    for _ in range(5000):
        following = shadow_of(runner, lambda outputs: outputs + 1)
        last.remove()
        assert runner.call_hook("after_val_iter", outputs=1) == 2
        last = following


def test_what_has_no_call_hook_is_left_alone():
    """No namespace, or no such method."""
    for runner in (None, object(), types.SimpleNamespace()):
        shadow_of(runner, lambda outputs: outputs).remove()
        assert not hasattr(runner, "call_hook")
