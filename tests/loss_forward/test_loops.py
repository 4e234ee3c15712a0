"""Models and weights that change between validations, and loops of several passes."""

from __future__ import annotations

import pytest
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import ValLoop

from loss_forward.models import Classifier, Predicted, Watch, hook, loader, make_runner
from loss_forward.oracle import frozen_losses
from loss_forward.validated import STRATEGIES, close


class SetEpoch(Hook):
    """Sets the epoch on the model, as hooks of detectors do."""

    def before_train_epoch(self, runner):
        runner.model.epoch = runner.epoch + 1


class Later(Classifier):
    """Has a loss more from epoch 2 on."""

    epoch = 0

    def loss(self, scores, data_samples):
        losses = super().loss(scores, data_samples)
        more = {"loss_l1": scores.abs()} if self.epoch >= 2 else {}
        return {**losses, **more}


class Weights(Hook):
    """Computes the oracle for the weights of each validation."""

    def __init__(self):
        self.known = []

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == 0:
            self.known.append(frozen_losses(runner.model))


@STRATEGIES
def test_a_branch_that_changes_from_epoch_two_on_is_validated(tmp_path, strategy):
    watch, weights = Watch(), Weights()
    hooks = (SetEpoch(), weights, watch, hook(strategy=strategy))
    make_runner(tmp_path, *hooks, model=Later()).train()
    assert ["loss_l1" in known for known in weights.known] == [False, True]
    for metrics, known in zip(watch.metrics, weights.known):
        close(metrics, known)


class BothEMA(EMAHook):
    """As that of mmpretrain with evaluate_on_origin=True."""

    def after_val_epoch(self, runner, metrics=None):
        super().after_val_epoch(runner, metrics)
        loop = runner.val_loop
        runner.model.eval()
        for index, batch in enumerate(loop.dataloader):
            loop.run_iter(index, batch)
        self.origin = loop.evaluator.evaluate(len(loop.dataloader.dataset))


@pytest.mark.filterwarnings("ignore:The value of momentum in EMA")
@pytest.mark.parametrize("kind", [EMAHook, BothEMA])
def test_averaged_weights_and_buffers_are_validated(tmp_path, kind):
    watch, weights = Watch(), Weights()
    averaged = kind(momentum=0.5, update_buffers=True)
    make_runner(tmp_path, averaged, weights, watch, hook()).train()
    assert len(watch.metrics) == 2
    passes = len(weights.known) // 2  # of one validation
    assert passes == (2 if kind is BothEMA else 1)
    for metrics, known in zip(watch.metrics, weights.known[::passes]):
        close(metrics, known)


class TwoPasses(ValLoop):
    """Validates twice, and flips a flag of the model between the passes."""

    def run(self):
        self.runner.call_hook("before_val")
        self.runner.call_hook("before_val_epoch")
        self.runner.model.eval()
        for flag in (False, True):
            self.runner.model.flag = flag
            for index, batch in enumerate(self.dataloader):
                self.run_iter(index, batch)
        metrics = self.evaluator.evaluate(len(self.dataloader.dataset))
        self.runner.call_hook("after_val_epoch", metrics=metrics)
        self.runner.call_hook("after_val")
        return metrics


class Flagged(Classifier):
    flag = False

    def loss(self, scores, data_samples):
        return super().loss(scores * (3 if self.flag else 1), data_samples)


@STRATEGIES
def test_a_loop_of_two_passes_that_flips_a_flag_is_validated(tmp_path, strategy):
    watch = Watch()
    runner = make_runner(tmp_path, hook(strategy=strategy), watch, model=Flagged())
    loop = TwoPasses(runner, loader(), runner.build_evaluator([Predicted()]))
    runner._val_loop = loop
    loop.run()
    whole = []
    for flag in (False, True):
        model = Flagged()
        model.flag = flag
        whole.append(frozen_losses(model)["loss_cls"])
    assert len(watch.outputs) == 6
    assert loop.val_loss["loss_cls"].mean() == pytest.approx(sum(whole) / 2, rel=1e-6)
