"""Validations with different runners, models and hooks."""

from __future__ import annotations

import gc
import sys
import tracemalloc

import pytest
import torch
from mmengine import runner as runners
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from support.native import NATIVE
from support.tiny import Seen, Spy, counting, element, loader, make_runner, sample

import valloss_compat

TRAINING = {
    "train_cfg": {"by_epoch": True, "max_epochs": 2},
    "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1}},
}

needs_flexible_runner = pytest.mark.skipif(
    not hasattr(runners, "FlexibleRunner") and not hasattr(runners, "_flexible_runner"),
    reason="FlexibleRunner came with mmengine 0.8.0",
)
needs_compile = pytest.mark.skipif(
    not hasattr(Runner, "_maybe_compile") or not hasattr(torch, "compile"),
    reason="torch.compile came with torch 2.0, mmengine's use of it with 0.7.1",
)
needs_dynamo = pytest.mark.skipif(
    sys.version_info >= (3, 12)
    and tuple(map(int, torch.__version__.split(".")[:2])) < (2, 4),
    reason="torch before 2.4: 'Dynamo is not supported on Python 3.12+'",
)


def train(tmp_path, respond, **options):
    """Train two epochs with a validation after each."""
    spy = Spy()
    runner = make_runner(
        tmp_path,
        respond,
        train_dataloader=loader(8),
        **{
            **TRAINING,
            **options,
            "custom_hooks": [*options.get("custom_hooks", []), spy],
        },
    )
    runner.train()
    return runner, spy


@needs_flexible_runner
@pytest.mark.parametrize("mode", ["default", "parity"])
def test_flexible_runner_reports_the_loss(tmp_path, mode):
    """In a training, in a validation and in a test."""
    valloss_compat.apply(mode=mode)
    flexible = runners._flexible_runner.FlexibleRunner
    runner, spy = train(tmp_path, counting, runner_class=flexible)
    assert [metrics["val_loss"] for metrics in spy.metrics] == [1.5, 3.5]
    assert {len(outputs) for outputs in spy.outputs} == {1}
    assert "call_hook" not in vars(runner)
    assert runner.val()["val_loss"] == 5.5
    assert runner.test()["test_loss"] == 7.5


@needs_flexible_runner
def test_flexible_runner_of_the_user_with_a_call_hook_of_its_own(tmp_path):
    class Counting(runners._flexible_runner.FlexibleRunner):
        epochs = 0

        def call_hook(self, fn_name, **kwargs):
            self.epochs += fn_name == "after_val_epoch"
            super().call_hook(fn_name, **kwargs)

    runner, spy = train(tmp_path, counting, runner_class=Counting)
    assert [metrics["val_loss"] for metrics in spy.metrics] == [1.5, 3.5]
    assert {len(outputs) for outputs in spy.outputs} == {1}
    assert runner.epochs == 2


@needs_flexible_runner
def test_flexible_runner_logs_that_it_is_patched(tmp_path, capsys):
    flexible = runners._flexible_runner.FlexibleRunner
    make_runner(tmp_path, counting, runner_class=flexible, log_level="INFO").val()
    assert "".join(capsys.readouterr()).count("patches of mmengine") == 1


@needs_compile
@needs_dynamo
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # warnings of torch's tracing
def test_compiled_model_reports_the_loss(tmp_path):
    """By mmengine's option in a training, and by a user who compiles ``val_step``."""

    def respond(index, inputs):  # in terms that torch 2.1 can trace as well
        return [BaseDataElement(pred=inputs[0]), element(loss=inputs[0].sum() + 1)]

    runner, spy = train(tmp_path, respond, cfg={"compile": {"backend": "eager"}})
    assert [metrics["val_loss"] for metrics in spy.metrics] == [1.5, 1.5]
    runner.model.val_step = torch.compile(runner.model.val_step, backend="eager")
    assert runner.val()["val_loss"] == 1.5


def test_loss_is_that_of_the_averaged_model(tmp_path):
    """With mmengine's EMAHook, which swaps the weights for a validation."""
    options = {"default_hooks": {"checkpoint": None}}
    model = []

    def respond(index, inputs):
        return [sample(), element(loss=model[0].weight.detach().clone())]

    class Note(Hook):
        weights = ()

        def before_run(self, runner):
            model.append(runner.model)

        def before_val(self, runner):
            averaged = next(h for h in runner.hooks if isinstance(h, EMAHook)).ema_model
            Note.weights += (float(averaged.module.weight),)

    _, spy = train(tmp_path, respond, custom_hooks=[EMAHook(), Note()], **options)
    assert len(set(Note.weights)) == 2
    assert [metrics["val_loss"] for metrics in spy.metrics] == pytest.approx(
        Note.weights
    )


@pytest.mark.parametrize("stage", ["val", "test"])
def test_validation_leaves_no_attributes_on_model_or_runner(tmp_path, stage):
    """Also one that raises, in the model or in a hook."""
    broken = []

    class Break(Hook):
        def after_val_iter(self, runner, *args, **kwargs):
            assert broken != ["hook"]

        after_test_iter = after_val_iter

    def respond(index, inputs):
        assert broken != ["model"]
        return counting(index, inputs)

    runner = make_runner(tmp_path, respond, custom_hooks=[Break()])
    run = getattr(runner, stage)
    getattr(runner, f"{stage}_loop")  # a Runner builds it when it is first used
    before = {key: id(value) for key, value in vars(runner.model).items()}
    names = set(vars(runner))
    for where in ("nowhere", "model", "hook", "nowhere"):
        broken[:] = [where]
        if where == "nowhere":
            assert f"{stage}_loss" in run()
        else:
            with pytest.raises(AssertionError):
                run()
        after = {key: id(value) for key, value in vars(runner.model).items()}
        assert before.keys() == after.keys()
        assert {k for k in before if before[k] != after[k]} <= {"calls", "training"}
        assert set(vars(runner)) == names


def test_validation_inside_a_test_of_the_same_runner_has_its_own_losses(tmp_path):
    """The test continues with its own."""
    found = []

    class ValidateInside(Hook):
        def after_test_iter(self, runner, *args, **kwargs):
            found.append(runner.val()["val_loss"])

    metric = {"val_evaluator": [Seen()], "test_evaluator": [Seen()]}
    runner = make_runner(tmp_path, counting, custom_hooks=[ValidateInside()], **metric)
    assert runner.test()["test_loss"] == (1 + 4) / 2
    assert found == [2.5, 5.5]
    assert "call_hook" not in vars(runner)


def test_iteration_based_training_reports_the_loss(tmp_path):
    """Each validation reports its own losses."""
    cfg = {"by_epoch": False, "max_iters": 4, "val_interval": 2}
    _, spy = train(tmp_path, counting, train_cfg=cfg)
    assert [metrics["val_loss"] for metrics in spy.metrics] == [1.5, 3.5]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_batches(tmp_path):
    """With 100 times as many batches, less than one byte more is kept for each."""
    kept = []
    for length in (20, 2000):
        runner = make_runner(tmp_path, counting, length=length, metric=Nothing())
        runner.val()
        tracemalloc.start()
        runner.val()
        gc.collect()
        sizes = tracemalloc.take_snapshot().filter_traces(
            [tracemalloc.Filter(True, "*valloss_compat*")]
        )
        tracemalloc.stop()
        kept.append(sum(trace.size for trace in sizes.statistics("filename")))
    assert kept[1] - kept[0] < 2000 - 20


class Nothing(Seen):
    """A metric that keeps nothing."""

    def process(self, data_batch, data_samples):
        self.results[:] = [0]


def test_hook_that_calls_val_step_gets_the_loss_element(tmp_path):
    """``val_step`` is not patched."""
    found = []

    class CallsTheModel(Hook):
        def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            assert "val_step" not in vars(runner.model)
            found.append(float(runner.model.val_step(data_batch)[-1].loss["loss"]))

    runner = make_runner(tmp_path, counting, custom_hooks=[CallsTheModel()])
    assert runner.val()["val_loss"] == (1 + 3) / 2
    assert found == [2.0, 4.0]


def test_instance_call_hook_is_called_and_not_replaced(tmp_path):
    """It gets the result with its losses; hooks get it without them."""
    spy = Spy()
    runner = make_runner(tmp_path, counting, custom_hooks=[spy])
    called = []

    def own(fn_name, **kwargs):
        called.append(fn_name)
        type(runner).call_hook(runner, fn_name, **kwargs)

    vars(runner)["call_hook"] = own
    assert runner.val()["val_loss"] == 1.5
    assert vars(runner)["call_hook"] is own
    assert called.count("after_val_iter") == 2
    assert [len(outputs) for outputs in spy.outputs] == [1, 1]


def test_hooks_of_a_training_get_their_outputs_unchanged(tmp_path):
    """Only the results of validations and tests have loss elements."""
    result = [sample(), element(loss=torch.ones(()))]
    seen = []

    class Watches(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            seen.append(outputs)

    runner = make_runner(tmp_path, counting, custom_hooks=[])
    runner._hooks = [Watches()]
    runner.call_hook("after_train_iter", batch_idx=0, outputs=result)
    assert seen == [result]
    assert seen[0] is result


def test_hooks_may_have_arguments_of_any_name(tmp_path):
    """Also those of the wrapper's own arguments."""
    seen = []

    class Exports(Hook):
        def after_export(self, runner, **kwargs):
            seen.append(kwargs)

    runner = make_runner(tmp_path, counting, custom_hooks=[Exports()])
    runner.call_hook("after_export", recorder=1, original=2)
    assert seen == [{"recorder": 1, "original": 2}]


class CallsItself(Runner):
    """Calls the hooks without ``super()``."""

    def call_hook(self, fn_name, **kwargs):
        for hook in self._hooks:
            getattr(hook, fn_name, lambda *_, **__: None)(self, **kwargs)


class CallsSuper(Runner):
    """Calls the method of its base."""

    def call_hook(self, fn_name, **kwargs):
        super().call_hook(fn_name, **kwargs)


@pytest.mark.parametrize(
    ("cls", "mode"),
    [(CallsItself, "default"), (CallsSuper, "default"), (CallsItself, "parity")],
)
def test_runner_that_overrides_call_hook_is_patched(tmp_path, capsys, cls, mode):
    """One loss element is extracted; an earlier one stays, as for metrics."""
    valloss_compat.apply(mode=mode)
    spy = Spy()

    def respond(index, inputs):
        return [sample(), element(loss=5.0), element(loss=torch.tensor(1.0))]

    options = {"runner_class": cls, "log_level": "INFO"}
    runner = make_runner(tmp_path, respond, custom_hooks=[spy], **options)
    assert runner.val()["val_loss"] == 1.0
    assert [len(outputs) for outputs in spy.outputs] == [2, 2]
    is_patched = mode == "default" or not NATIVE
    assert "".join(capsys.readouterr()).count("patches of mmengine") == is_patched
