"""With the hook all else is bit for bit what it is without."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from loss_forward.models import (
    Classifier,
    Predicted,
    Watch,
    expected,
    hook,
    make_runner,
)

LOSSES = {"loss_cls", "loss_reg", "acc", "val_loss"}


def trained(work_dir, *hooks):
    """All that a training leaves, exact."""
    watch, metric = Watch(), Predicted()
    runner = make_runner(work_dir, watch, *hooks, val_evaluator=[metric])
    runner.train()
    scalars = {
        name: buffer.data[0].tolist()
        for name, buffer in runner.message_hub.log_scalars.items()
        if "time" not in name and name.split("/")[-1] not in LOSSES - {"loss"}
    }
    return {
        "weights": {k: v.tolist() for k, v in runner.model.state_dict().items()},
        "optimizer": runner.optim_wrapper.state_dict(),
        "train losses": watch.train_losses,
        "metrics": [
            {k: v for k, v in metrics.items() if k not in LOSSES}
            for metrics in watch.metrics
        ],
        "given to the metric": [(pred.tolist(), gt) for pred, gt in metric.given],
        "given to hooks": [
            [(sample.pred.tolist(), int(sample.gt)) for sample in outputs]
            for outputs in watch.outputs
        ],
        "scalars": scalars,
        "drawn": (random.random(), float(np.random.rand()), float(torch.rand(()))),
        "flags": [module.training for module in runner.model.modules()],
        "namespaces": [sorted(vars(module)) for module in runner.model.modules()],
        "gradients": [
            parameter.grad is None for parameter in runner.model.parameters()
        ],
    }, watch.metrics


@pytest.mark.parametrize("strategy", ["auto", "second_forward"])
def test_a_training_is_the_same(tmp_path, strategy):
    """Dropout, random augmentation, batch statistics and momentum included."""
    plain, without = trained(tmp_path / "plain")
    hooked, with_losses = trained(tmp_path / "hooked", hook(strategy=strategy))
    for key in plain:
        assert str(hooked[key]) == str(plain[key]), key
    assert not any(LOSSES & set(metrics) for metrics in without)
    assert all(set(metrics) >= LOSSES for metrics in with_losses)


@pytest.mark.parametrize("strategy", ["auto", "second_forward"])
def test_the_number_is_that_of_mode_loss(tmp_path, strategy):
    """Tensors averaged, lists summed; the accuracy is no part of the total."""
    metrics = make_runner(tmp_path, hook(strategy=strategy)).val()
    known = expected(Classifier())
    assert {name: metrics[name] for name in known} == pytest.approx(known, rel=1e-6)


def test_reuse_gives_the_same_number(tmp_path):
    """Bit for bit."""
    shared = make_runner(tmp_path, hook()).val()
    plain = make_runner(tmp_path, hook(strategy="second_forward")).val()
    assert shared == plain


@pytest.mark.parametrize(("strategy", "runs"), [("auto", 7), ("second_forward", 9)])
def test_reuse_spares_a_run_of_the_backbone(tmp_path, strategy, runs):
    """Of three batches each once, or twice; the self-check runs it some times more.

    The proof that the loss needs its ground truth reuses nothing.
    """
    runner = make_runner(tmp_path, hook(strategy=strategy))
    calls = []

    class Counting(torch.nn.Linear):
        def forward(self, inputs):
            calls.append(len(inputs))
            return super().forward(inputs)

    runner.model.backbone.fc.__class__ = Counting
    runner.val()
    assert len(calls) == runs
