"""EarlyStoppingHook of ours: what it refuses, and what it stops and what not."""

from __future__ import annotations

import logging
import types

import pytest
import torch
from mmengine.runner import BaseLoop, EpochBasedTrainLoop
from support.tiny import element, loader, make_runner, sample

from hooks.hook_class import Ours
from valloss_compat.hooks import EarlyStoppingHook


class Stoppable(BaseLoop):
    """Keeps that it was stopped."""

    stop_training = False

    def __init__(self):
        """Without a dataloader."""

    def run(self):
        """Nothing."""


@pytest.mark.parametrize("kind", [Ours, EarlyStoppingHook])
@pytest.mark.parametrize(
    ("options", "values", "end"),
    [
        ({"monitor": "val_loss", "patience": 0}, [0.5, 0.9, 0.1], 2),
        ({"monitor": "acc", "patience": 1, "min_delta": 0.25}, [0.25, 0.5, 0.75], None),
        ({"monitor": "acc", "stopping_threshold": 0.5}, [0.25, 0.5, 0.75], 3),
    ],
    ids=["without patience", "just min_delta is enough", "the threshold is not"],
)
def test_the_bounds_are_theirs(kind, options, values, end):
    """Larger is better for 'acc'; where mmengine has the hook, it is asked as well."""
    loop = Stoppable()
    runner = types.SimpleNamespace(
        train_loop=loop, _train_loop=loop, logger=logging.getLogger("quiet")
    )
    hook, ended = kind(**options), None
    for number, value in enumerate(values, 1):
        hook.after_val_epoch(runner, {options["monitor"]: value})
        ended = ended or (number if loop.stop_training else None)
    assert ended == end


class TestOurs:
    """What only the hook for old releases does, tried on all of them."""

    def test_a_wrong_rule_is_refused(self):
        with pytest.raises(ValueError, match="rule is 'more', but 'greater' or 'less'"):
            Ours("val_loss", rule="more")

    def test_a_name_without_a_rule_is_refused(self):
        with pytest.raises(ValueError, match="the rule for 'speed' cannot be told"):
            Ours("speed")

    def test_strict_is_an_error_that_explains(self):
        with pytest.raises(RuntimeError, match="There is no loss among them"):
            Ours("val_loss", strict=True).after_val_epoch(None, {"acc": 1.0})

    def test_a_loop_that_cannot_be_stopped_is_refused(self):
        class Loop(BaseLoop):
            def __init__(self):
                """Without a dataloader."""

            def run(self):
                """Nothing."""

        class Runner:
            train_loop = Loop()

        with pytest.raises(TypeError, match="cannot stop a Loop: derive it from"):
            Ours("val_loss").before_train(Runner())
        Runner.train_loop.stop_training = False
        Ours("val_loss").before_train(Runner())

    def test_a_validation_alone_stops_nothing(self, tmp_path):
        hook = Ours("val_loss", patience=1)
        runner = make_runner(
            tmp_path,
            lambda *_: [sample(), element(loss=torch.ones(()))],
            custom_hooks=[hook],
        )
        for _ in range(3):
            runner.val()
        assert hook.wait_count == 2

    @pytest.mark.filterwarnings("ignore:init_weights of Model has been called")
    def test_a_stopped_training_stays_stopped(self, tmp_path):
        hook = Ours("val_loss", patience=1)
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

    def test_another_loop_is_not_stopped_for_the_first(self):
        class Loop(EpochBasedTrainLoop):
            def __init__(self):
                self._max_epochs, self._epoch = 9, 3

        class Runner:
            train_loop = _train_loop = Loop()
            logger = logging.getLogger("quiet")

        vars(Runner.train_loop).pop("stop_training", None)
        hook, runner = Ours("val_loss", patience=1), Runner()
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
