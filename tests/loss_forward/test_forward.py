"""Mode ``'loss'`` on a replica: what it gets, and what it may not do."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from loss_forward.models import Classifier, hook, make_runner
from loss_forward.oracle import batches_of, frozen_losses
from valloss_compat._loss_forward import forward as forward_module
from valloss_compat._loss_forward.forward import LossForward, copy_batch
from valloss_compat.errors import Rejection, UnsupportedError


def _floats(losses):
    return {name: float(value) for name, value in losses.items()}


def test_batch_is_what_the_rule_of_a_library_makes_of_it(monkeypatch):
    """Doubled by a rule, after the data preprocessor in the mode of the rule."""
    flags, model = [], Classifier()

    def doubled(model, batch):
        data = model.data_preprocessor(batch, False)
        return {**data, "inputs": [point * 2 for point in data["inputs"]]}

    class Preprocessor(type(model.data_preprocessor)):
        def forward(self, data, training=False):
            flags.append(training)
            return super().forward(data, training)

    monkeypatch.setattr(forward_module, "preprocess", doubled)
    model.data_preprocessor.__class__ = Preprocessor
    batch = batches_of()[0]
    found = LossForward(model).losses_of(copy.deepcopy(batch))
    twice = {**batch, "inputs": [point * 2 for point in batch["inputs"]]}
    known = frozen_losses(Classifier(), [twice])
    assert _floats(found) == pytest.approx({k: known[k] for k in found}, rel=1e-6)
    assert flags == [False]


def test_a_rejection_by_the_rule_of_a_library_is_raised_as_it_is(tmp_path, monkeypatch):
    rejection = Rejection("a batch", "it is odd", "even it")

    def rejecting(model, batch):
        raise UnsupportedError(*rejection)

    monkeypatch.setattr(forward_module, "preprocess", rejecting)
    with pytest.raises(UnsupportedError, match="a batch: it is odd") as caught:
        make_runner(tmp_path, hook()).val()
    assert caught.value.rejection == rejection


def test_parameters_that_changed_are_named_and_counted(changing):
    def act(model):
        for parameter in model.parameters():
            parameter.add_(1)

    forward = LossForward(changing(act))
    names = (
        r"\(backbone\.fc\.weight, .*, head\.fc\.weight and others\), which cannot be"
    )
    with pytest.raises(RuntimeError, match=names):
        forward.losses_of(batches_of()[0])


def test_flags_that_train_sets_on_parameters_are_restored():
    class Freezing(Classifier):
        def train(self, mode=True):
            super().train(mode)
            self.backbone.requires_grad_(not mode)
            return self

    model = Freezing().eval()
    LossForward(model)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_batch_is_copied_deeply():
    batch = batches_of()[0]
    copied = copy_batch(batch, "Net")
    copied["data_samples"][0].gt += 1
    assert batch["data_samples"][0].gt != copied["data_samples"][0].gt


def test_modules_switched_off_by_path_stay_so_in_further_replicas():
    class Shake(nn.Module):
        def forward(self, x):
            return x * torch.rand(len(x), 1) if self.training else x

    model = Classifier()
    model.head.fc = nn.Sequential(model.head.fc, Shake())
    forward = LossForward(model)
    forward.freeze(["head.fc.1"])
    for replica in (forward.replica, forward.make_replica()):
        assert [m.training for m in replica.model.head.fc] == [True, False]
    assert forward.noise == {"head.fc.1"}
