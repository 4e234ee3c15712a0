"""A hook that validates once more after each epoch: mmpretrain's EMAHook."""

from __future__ import annotations

import pytest
from mmengine.hooks import Hook
from support.tiny import Seen, element, loader, sample

from integration.downstream_loops import stand_ins_multi
from integration.downstream_loops.models import Talker
from integration.downstream_loops.rows import each
from integration.downstream_loops.scenes import Scene, clean

# The losses of two epochs. Training inputs are 0 and 1, the weight goes from 1 by
# half a gradient each: 1, 0.5, 0.5, 0; its average: 1, 0.75, 0.625, 0.3125.
AVERAGED, ORIGIN = [0.75, 0.3125], [0.5, 0.0]

pytestmark = pytest.mark.filterwarnings("ignore:The value of momentum in EMA")


class Weighed(Talker):
    """Says its weight as loss, so that it shows with which one it validates."""

    def forward(self, inputs, data_samples=None, mode="tensor"):
        if mode == "loss":
            return super().forward(inputs, mode=mode)
        loss = self.weight.detach() + self.shift
        return [sample() for _ in inputs] + (
            [] if self.silent else [element(loss=loss)]
        )


class LooksAfter(Hook):
    """Runs after all others, and notes what the log would show."""

    priority = "LOWEST"

    def __init__(self):
        self.tags = []
        self.during = []

    def after_val_epoch(self, runner, metrics=None):
        self.during.append("call_hook" in vars(runner))
        self.tags.append(runner.log_processor.get_log_after_epoch(runner, 2, "val")[0])


@pytest.fixture
def metric():
    """The metric that is told the results."""
    return Seen()


@pytest.fixture
def scene(tmp_path, cls, metric):
    """A Runner that trains two epochs and validates with both weights after each."""
    hook = cls(evaluate_on_origin=True, momentum=0.5)
    looks = LooksAfter()
    scene = Scene(
        tmp_path,
        Weighed(),
        metric=metric,
        custom_hooks=[hook, looks],
        train_dataloader=loader(2),
        train_cfg={"by_epoch": True, "max_epochs": 2},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.5}},
    )
    scene.looks = looks
    return scene


def history(scene, name):
    """What the message hub has under a name."""
    values, _ = scene.runner.message_hub.get_scalar(name).data
    return list(values)


@each(stand_ins_multi.EMAHook)
def test_each_weight_has_its_own_loss_in_each_epoch(scene):
    """Neither leaks into the other, nor into the next epoch."""
    scene.runner.train()
    assert [metrics["val_loss"] for metrics in scene.spy.metrics] == AVERAGED
    for name in ("loss", "val_loss"):
        assert history(scene, f"val/{name}") == AVERAGED
        assert history(scene, f"val/{name}_origin") == ORIGIN
    assert history(scene, "val/n/seen_origin") == [2.0, 2.0]


@each(stand_ins_multi.EMAHook)
def test_hooks_and_metrics_see_clean_results_in_both(scene, metric):
    """Also where the hook iterates the loop by itself."""
    before = scene.namespaces("val")
    scene.runner.train()
    scene.check(before, "val")
    assert [len(outputs) for outputs in scene.spy.outputs] == [1] * 8
    assert len(metric.samples) == 8
    assert clean(metric)


@each(stand_ins_multi.EMAHook)
def test_a_validation_after_the_training_is_as_any_other(scene):
    """Of the losses before nothing is left for it; mmengine averages anew by then."""
    scene.runner.train()
    ((metrics,), results) = scene.run(shift=10.0)
    assert metrics == {"n/seen": 2.0, "loss": 10.0, "val_loss": 10.0}
    assert results == 4
    assert history(scene, "val/val_loss_origin") == [*ORIGIN, 10.0]


@each(stand_ins_multi.EMAHook)
def test_a_test_has_both_losses_as_well(scene):
    """Under the test's names."""
    scene.runner.train()
    for shift in (10.0, 20.0):
        ((metrics,), _) = scene.run("test", shift=shift)
        assert metrics == {"n/seen": 2.0, "loss": shift, "test_loss": shift}
    assert history(scene, "test/test_loss_origin") == [10.0, 20.0]


@each(stand_ins_multi.EMAHook)
def test_the_log_shows_both_losses_of_this_epoch(scene):
    """Not smoothed, for all that a suffix is put to the name."""
    scene.runner.train()
    for index, tag in enumerate(scene.looks.tags):
        assert tag["val_loss"] == AVERAGED[index]
        assert tag["val_loss_origin"] == ORIGIN[index]


@each(stand_ins_multi.EMAHook)
def test_raising_while_the_hook_validates_leaves_nothing_behind(scene):
    """The third and fourth iteration of such a validation are the hook's."""
    scene.runner.train()
    scene.fail(4)
    scene.runner.val_evaluator.metrics[0].results.clear()  # not ours to forget
    ((metrics,), _) = scene.run(shift=10.0)
    assert metrics == {"n/seen": 2.0, "loss": 10.0, "val_loss": 10.0}
    assert history(scene, "val/val_loss_origin") == [*ORIGIN, 10.0]


@each(stand_ins_multi.EMAHook)
def test_without_losses_nothing_is_added(scene):
    """Neither by the loop nor by the hook."""
    scene.model.tell_all(silent=True)
    scene.runner.train()
    assert scene.spy.metrics == [{"n/seen": 2.0}] * 2
    scalars = scene.runner.message_hub.log_scalars
    assert not [name for name in scalars if name.startswith("val/") and "loss" in name]
