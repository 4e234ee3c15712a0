"""EarlyStoppingHook: its rules and limits, and its messages in the log."""

from __future__ import annotations

import inspect
import logging
import math
import types

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.runner import BaseLoop, EpochBasedTrainLoop
from support.tiny import Spy, element, loader, make_runner, sample

from hooks.hook_class import BackportedHook, has_native_hook, lacks_native_hook
from valloss_compat.hooks import EarlyStoppingHook


class Stoppable(BaseLoop):
    """A loop that records that it was stopped."""

    stop_training = False

    def __init__(self):
        """Without a dataloader."""

    def run(self):
        """Nothing."""


@pytest.mark.parametrize("kind", [BackportedHook, EarlyStoppingHook])
@pytest.mark.parametrize(
    ("options", "values", "end"),
    [
        ({"monitor": "val_loss", "patience": 0}, [0.5, 0.9, 0.1], 2),
        ({"monitor": "acc", "patience": 1, "min_delta": 0.25}, [0.25, 0.5, 0.75], None),
        ({"monitor": "acc", "stopping_threshold": 0.5}, [0.25, 0.5, 0.75], 3),
    ],
    ids=["without patience", "just min_delta is enough", "the threshold is not"],
)
def test_values_on_a_limit_count_as_in_mmengine(kind, options, values, end):
    """Larger values of 'acc' are better. A native hook is tested as well."""
    loop = Stoppable()
    runner = types.SimpleNamespace(
        train_loop=loop, _train_loop=loop, logger=logging.getLogger("early_stopping")
    )
    hook, stopped_at = kind(**options), None
    for number, value in enumerate(values, 1):
        hook.after_val_epoch(runner, {options["monitor"]: value})
        stopped_at = stopped_at or (number if loop.stop_training else None)
    assert stopped_at == end


class TestBackportedHook:
    """The hook for old releases, tested on all of them."""

    def test_unknown_rule_is_rejected(self):
        with pytest.raises(ValueError, match="rule is 'more', but 'greater' or 'less'"):
            BackportedHook("val_loss", rule="more")

    def test_name_without_a_rule_is_rejected(self):
        with pytest.raises(ValueError, match="no rule for 'speed' can be inferred"):
            BackportedHook("speed")

    def test_strict_explains_the_missing_metric(self):
        Evaluator([]).process([sample()])  # outside of a run, as the hook below
        with pytest.raises(RuntimeError, match="There is no loss among them"):
            BackportedHook("val_loss", strict=True).after_val_epoch(None, {"acc": 1.0})

    def test_loop_that_cannot_be_stopped_is_rejected(self):
        class Loop(BaseLoop):
            def __init__(self):
                """Without a dataloader."""

            def run(self):
                """Nothing."""

        class Runner:
            train_loop = Loop()

        with pytest.raises(
            TypeError, match=r"cannot stop a .*Loop. Fix: derive it from"
        ):
            BackportedHook("val_loss").before_train(Runner())
        Runner.train_loop.stop_training = False
        BackportedHook("val_loss").before_train(Runner())

    def test_validation_without_training_stops_nothing(self, tmp_path):
        hook = BackportedHook("val_loss", patience=1)
        runner = make_runner(
            tmp_path,
            lambda *_: [sample(), element(loss=torch.ones(()))],
            custom_hooks=[hook],
        )
        for _ in range(3):
            runner.val()
        assert hook.wait_count == 2

    @pytest.mark.filterwarnings("ignore:init_weights of Model has been called")
    def test_stopped_training_stays_stopped(self, tmp_path):
        hook = BackportedHook("val_loss", patience=1)
        values = iter([0.5, 0.9, 0.8, 0.7])
        runner = make_runner(
            tmp_path,
            lambda *_: [sample(), element(loss=next(values))],
            length=1,
            train_dataloader=loader(1),
            train_cfg={"by_epoch": True, "max_epochs": 4},
            optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
            custom_hooks=[hook],
        )
        for _ in range(2):
            runner.train()
            assert (runner.epoch, runner.max_epochs) == (2, 4)

    def test_stopping_one_loop_does_not_stop_another(self):
        class Loop(EpochBasedTrainLoop):
            def __init__(self):
                self._max_epochs, self._epoch = 9, 3

        class Runner:
            train_loop = _train_loop = Loop()
            logger = logging.getLogger("early_stopping")

        vars(Runner.train_loop).pop("stop_training", None)
        hook, runner = BackportedHook("val_loss", patience=1), Runner()
        for value in (0.5, 0.9):
            hook.after_val_epoch(runner, {"val_loss": value})
        assert runner.train_loop.max_epochs == 3
        hook.after_train(runner)
        assert runner.train_loop.max_epochs == 9
        hook.before_train(runner)
        assert runner.train_loop.max_epochs == 3
        runner.train_loop = Loop()
        hook.before_train(runner)
        assert runner.train_loop.max_epochs == 9


def train(tmp_path, values, **options):
    """Train one epoch a value, with early stopping on val_loss."""

    def respond(index, inputs):
        return [sample(), element(**values[index])]

    spy = Spy()
    hook = {"type": "EarlyStoppingHook", "monitor": "val_loss", "patience": 1}
    hook.update(options.pop("hook", {}))
    runner = make_runner(
        tmp_path,
        respond,
        length=1,
        train_dataloader=loader(1),
        train_cfg={"by_epoch": True, "max_epochs": len(values)},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        custom_hooks=[spy, hook],
        **options,
    )
    runner.train()
    return runner, spy


def logged(tmp_path):
    """Return the text of the log file."""
    return "".join(path.read_text() for path in tmp_path.rglob("*.log"))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_log_gives_the_reason_for_not_finite_values(tmp_path, value):
    """With the hook of mmengine, a warning of the shim does."""
    values = [{"loss": 0.5}, {"loss": value}, {"loss": 0.1}]
    runner, _ = train(tmp_path, values, log_level="INFO")
    assert runner.epoch == 2
    kind = "NaN" if math.isnan(value) else "infinite"
    assert f"is {kind}" in logged(tmp_path)


@lacks_native_hook
@pytest.mark.parametrize(
    ("values", "hook", "reason"),
    [
        (
            [0.5, 0.9],
            {},
            "early stopping: val_loss did not improve in 1 validations; its best "
            "value was 0.500",
        ),
        (
            [0.5, 0.125],
            {"stopping_threshold": 0.25},
            "early stopping: val_loss = 0.125 is less than the limit 0.25",
        ),
    ],
)
def test_log_gives_the_numbers_behind_the_stop(tmp_path, values, hook, reason):
    values = [{"loss": value} for value in [*values, 0.0]]
    runner, _ = train(tmp_path, values, log_level="INFO", hook=hook)
    assert runner.epoch == 2
    assert reason in logged(tmp_path)


@pytest.mark.filterwarnings("ignore:Skip early stopping process:UserWarning")
def test_missing_loss_is_explained_once(tmp_path):
    """With the metrics that exist, the cause, and a fix."""
    train(tmp_path, [{"l1": 0.5}] * 3, log_level="WARNING")
    text = (
        "EarlyStoppingHook monitors 'val_loss', but the metrics of this validation "
        "are 'l1', 'n/seen'. No name in the loss element contains 'loss', so there is "
        "no val_loss. Fix: rename one"
    )
    assert logged(tmp_path).count(text) == 1


def test_missing_loss_is_explained_where_save_best_raises(tmp_path):
    """The KeyError of mmengine only has the name of the metric."""
    checkpoint = {"type": "CheckpointHook", "interval": 1, "save_best": "other_loss"}
    hooks = {"default_hooks": {"checkpoint": checkpoint}, "log_level": "WARNING"}
    with pytest.raises(KeyError):
        train(tmp_path, [{"loss": 0.5}], **hooks)
    text = (
        "CheckpointHook monitors 'other_loss', but the metrics of this validation are "
        "'loss', 'n/seen', 'val_loss'. Fix: monitor one of these"
    )
    assert logged(tmp_path).count(text) == 1


def test_existing_metric_and_test_without_loss_are_not_mentioned(tmp_path):
    """A metric that is not a loss is not mentioned either."""
    runner, _ = train(tmp_path, [{"loss": 0.5}], log_level="WARNING")
    runner.model.respond = lambda *_: [sample(), element(loss=0.5)]
    assert "val_loss" not in runner.test()
    assert "monitors" not in logged(tmp_path)


@has_native_hook
def test_backported_hook_has_the_native_arguments():
    """Names, order and defaults of the constructor."""

    def arguments(function):
        parameters = inspect.signature(function).parameters.values()
        return [(p.name, p.default, p.kind) for p in parameters]

    assert arguments(BackportedHook.__init__) == arguments(EarlyStoppingHook.__init__)
    assert BackportedHook.priority == EarlyStoppingHook.priority


@has_native_hook
@pytest.mark.parametrize(
    "monitor", ["val_loss", "loss", "coco/bbox_mAP", "acc", "top1"]
)
def test_backported_hook_infers_the_native_rules(monitor):
    """The attributes that depend on the rule are the same, too."""
    backported, native = BackportedHook(monitor), EarlyStoppingHook(monitor)
    for name in ("rule", "min_delta", "best_score", "wait_count", "patience"):
        assert getattr(backported, name) == getattr(native, name)
