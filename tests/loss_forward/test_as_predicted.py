"""The loss runs as the predictions do: their weights, modes, hooks and precision."""

from __future__ import annotations

import pytest
import torch
from mmengine.hooks import EMAHook, Hook

from loss_forward.models import (
    Classifier,
    Head,
    Known,
    Watch,
    expected,
    hook,
    make_runner,
)

KNOWN = expected(Classifier())["val_loss"]


@pytest.mark.filterwarnings("ignore:The value of momentum in EMA")
def test_ema_is_what_is_validated(tmp_path):
    """The averaged weights, as the predictions have them."""

    class Weights(Hook):
        def before_val_iter(self, runner, batch_idx, data_batch=None):
            self.state = {k: v.clone() for k, v in runner.model.state_dict().items()}

    weights, watch = Weights(), Watch()
    runner = make_runner(tmp_path, hook(), EMAHook(momentum=0.5), weights, watch)
    runner.train()
    model = Classifier()
    model.load_state_dict(weights.state)
    assert watch.metrics[-1]["val_loss"] == pytest.approx(expected(model)["val_loss"])
    trained = expected(runner.model)["val_loss"]
    assert watch.metrics[-1]["val_loss"] != pytest.approx(trained)


def test_modules_in_training_mode_are_put_back(tmp_path, monkeypatch):
    """The loss is in eval mode; a flag that somebody set stays set."""

    class Sets(Hook):
        def before_val_iter(self, runner, batch_idx, data_batch=None):
            runner.model.backbone.drop.training = True

    runner = make_runner(tmp_path, Sets(), hook())
    assert runner.val()["val_loss"] == pytest.approx(KNOWN, rel=1e-6)
    assert runner.model.backbone.drop.training


def test_forward_hooks_see_both_runs_and_it_is_said(tmp_path, capsys):
    """Then nothing is shared: they may change what a module gives."""
    runner = make_runner(tmp_path, hook(), log_level="WARNING")
    seen = []
    runner.model.head.fc.register_forward_hook(lambda *_: seen.append(1))
    assert runner.val()["val_loss"] == pytest.approx(KNOWN, rel=1e-6)
    assert len(seen) == 6
    assert capsys.readouterr().out.count("have forward hooks") == 1


def test_half_precision_is_that_of_the_loop(tmp_path, monkeypatch):
    """The loss runs under the autocast that the predictions run under."""
    if not hasattr(torch, "is_autocast_cpu_enabled"):
        pytest.skip("torch before 1.10 has no autocast on the CPU")
    seen = []

    class Typed(Head):
        def forward(self, features):
            scores = super().forward(features)
            seen.append(scores.dtype)
            return scores.float()

    model = Classifier()
    model.head = Typed()
    Known.known = (*Known.known, "Typed")
    try:
        runner = make_runner(
            tmp_path,
            hook(strategy="second_forward"),
            model=model,
            val_cfg={"fp16": True},
        )
        runner.val()
    finally:
        Known.known = Known.known[:-1]
    assert len(seen) == 6
    assert len(set(seen)) == 1
