"""A hook that validates once more after each epoch: mmpretrain's EMAHook."""

from __future__ import annotations

import pytest
from mmengine.hooks import Hook
from support.tiny import Seen, element, loader, sample

from integration.downstream_loops import stand_ins_multi
from integration.downstream_loops.models import LossModel
from integration.downstream_loops.rows import each
from integration.downstream_loops.validation import Validation, clean

# The losses of two epochs. Training inputs are 0 and 1, the weight goes from 1 by
# half a gradient each: 1, 0.5, 0.5, 0; its average: 1, 0.75, 0.625, 0.3125.
AVERAGED, ORIGIN = [0.75, 0.3125], [0.5, 0.0]

pytestmark = pytest.mark.filterwarnings("ignore:The value of momentum in EMA")


class Weighed(LossModel):
    """Its loss is its weight, which shows the weights that it validates with."""

    def forward(self, inputs, data_samples=None, mode="tensor"):
        if mode == "loss":
            return super().forward(inputs, mode=mode)
        loss = self.weight.detach() + self.shift
        return [sample() for _ in inputs] + (
            [] if self.silent else [element(loss=loss)]
        )


class LogReader(Hook):
    """Runs after all other hooks, and keeps the values that would be logged."""

    priority = "LOWEST"

    def __init__(self):
        self.tags = []
        self.during = []

    def after_val_epoch(self, runner, metrics=None):
        self.during.append("call_hook" in vars(runner))
        self.tags.append(runner.log_processor.get_log_after_epoch(runner, 2, "val")[0])


@pytest.fixture
def metric():
    """The metric that gets the results."""
    return Seen()


@pytest.fixture
def validation(tmp_path, cls, metric):
    """A Runner that trains two epochs and validates with both weights after each."""
    hook = cls(evaluate_on_origin=True, momentum=0.5)
    log_reader = LogReader()
    validation = Validation(
        tmp_path,
        Weighed(),
        metric=metric,
        custom_hooks=[hook, log_reader],
        train_dataloader=loader(2),
        train_cfg={"by_epoch": True, "max_epochs": 2},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.5}},
    )
    validation.log_reader = log_reader
    return validation


def history(validation, name):
    """Return the history of a name in the message hub."""
    values, _ = validation.runner.message_hub.get_scalar(name).data
    return list(values)


@each(stand_ins_multi.EMAHook)
def test_each_weight_has_its_own_loss_in_each_epoch(validation):
    """No loss leaks into the other weights or the next epoch."""
    validation.runner.train()
    assert [metrics["val_loss"] for metrics in validation.spy.metrics] == AVERAGED
    for name in ("loss", "val_loss"):
        assert history(validation, f"val/{name}") == AVERAGED
        assert history(validation, f"val/{name}_origin") == ORIGIN
    assert history(validation, "val/n/seen_origin") == [2.0, 2.0]


@each(stand_ins_multi.EMAHook)
def test_hooks_and_metrics_get_no_loss_element_with_either_weight(validation, metric):
    """Also where the hook iterates over the loop."""
    before = validation.namespaces("val")
    validation.runner.train()
    validation.check(before, "val")
    assert [len(outputs) for outputs in validation.spy.outputs] == [1] * 8
    assert len(metric.samples) == 8
    assert clean(metric)


@each(stand_ins_multi.EMAHook)
def test_validation_after_training_has_only_its_own_losses(validation):
    """Losses of the training do not leak into it."""
    validation.runner.train()
    ((metrics,), results) = validation.run(shift=10.0)
    assert metrics == {"n/seen": 2.0, "loss": 10.0, "val_loss": 10.0}
    assert results == 4
    assert history(validation, "val/val_loss_origin") == [*ORIGIN, 10.0]


@each(stand_ins_multi.EMAHook)
def test_test_reports_both_losses(validation):
    """Under the test's names."""
    validation.runner.train()
    for shift in (10.0, 20.0):
        ((metrics,), _) = validation.run("test", shift=shift)
        assert metrics == {"n/seen": 2.0, "loss": shift, "test_loss": shift}
    assert history(validation, "test/test_loss_origin") == [10.0, 20.0]


@each(stand_ins_multi.EMAHook)
def test_log_has_both_losses_of_the_epoch(validation):
    """A name with a suffix is not smoothed either."""
    validation.runner.train()
    for index, tag in enumerate(validation.log_reader.tags):
        assert tag["val_loss"] == AVERAGED[index]
        assert tag["val_loss_origin"] == ORIGIN[index]


@each(stand_ins_multi.EMAHook)
def test_raising_while_the_hook_validates_leaves_nothing_behind(validation):
    """The third and fourth iteration of such a validation are the hook's."""
    validation.runner.train()
    validation.fail(4)
    evaluator = validation.runner.val_evaluator
    evaluator.metrics[0].results.clear()  # mmengine does not clear them
    ((metrics,), _) = validation.run(shift=10.0)
    assert metrics == {"n/seen": 2.0, "loss": 10.0, "val_loss": 10.0}
    assert history(validation, "val/val_loss_origin") == [*ORIGIN, 10.0]


@each(stand_ins_multi.EMAHook)
def test_nothing_is_added_without_losses(validation):
    """Neither by the loop nor by the hook."""
    validation.model.set_attributes(silent=True)
    validation.runner.train()
    assert validation.spy.metrics == [{"n/seen": 2.0}] * 2
    scalars = validation.runner.message_hub.log_scalars
    assert not [name for name in scalars if name.startswith("val/") and "loss" in name]
