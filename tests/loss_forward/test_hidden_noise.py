"""Noise and statistics that no class of a known name has."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from loss_forward.models import Classifier
from loss_forward.oracle import batches_of, frozen_losses
from loss_forward.validated import STRATEGIES, close, validated

pytestmark = pytest.mark.slow  # asks little of mmengine


class Stochastic(nn.Module):
    """Drop path by hand, under a name that says nothing."""

    def forward(self, x):
        if not self.training:
            return x
        return x * (torch.rand(len(x), 1) < 0.5).float() / 0.5


class Centred(nn.Module):
    """Subtracts the mean of the batch in training, and its own one else."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.full((4,), 0.2))

    def forward(self, x):
        return x - (x.mean(0) if self.training else self.mean)


class Spectral(nn.Sequential):
    """Has a layer with the hook of spectral_norm."""

    def __init__(self):
        super().__init__(nn.utils.spectral_norm(nn.Linear(4, 4)))


class Parametrized(nn.Sequential):
    """Has a layer with the parametrization of spectral_norm."""

    def __init__(self):
        if not hasattr(nn.utils, "parametrizations"):
            pytest.skip("parametrizations came with torch 1.9")
        layer = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4))
        try:
            copy.deepcopy(layer)
        except RuntimeError:
            pytest.skip("this torch refuses to copy a parametrized module")
        super().__init__(layer)


def _spectral_oracle(model, kind):
    """Return the losses with the layer's weight as its eval mode has it."""
    frozen = Classifier()
    frozen.load_state_dict(
        {
            k: v
            for k, v in model.state_dict().items()
            if not k.startswith("backbone.fc.")
        },
        strict=False,
    )
    layer = model.backbone.fc[0].eval()
    with torch.no_grad():
        layer(torch.ones(1, 4))  # the hook sets the weight
        frozen.backbone.fc.weight.copy_(layer.weight)
        frozen.backbone.fc.bias.copy_(layer.bias)
    return frozen_losses(frozen)


@STRATEGIES
@pytest.mark.parametrize("kind", [Spectral, Parametrized])
def test_spectral_norm_does_not_iterate(tmp_path, kind, strategy):
    model = Classifier()
    model.backbone.fc = kind()
    model.train()(torch.ones(2, 4), batches_of()[0]["data_samples"][:2], "loss")
    known = _spectral_oracle(model, kind)
    close(validated(tmp_path, model, strategy=strategy), known)


@STRATEGIES
def test_drop_path_by_hand_is_switched_off(tmp_path, strategy):
    model = Classifier()
    model.backbone.drop = Stochastic()
    known = frozen_losses(model, off=(nn.BatchNorm1d, Stochastic))
    close(validated(tmp_path, model, strategy=strategy), known)


@STRATEGIES
def test_statistics_of_a_batch_taken_inline_are_those_of_the_training(
    tmp_path, strategy
):
    model = Classifier()
    model.backbone.drop = Centred()
    known = frozen_losses(model)
    close(validated(tmp_path, model, strategy=strategy), known)
    assert known["val_loss"] != pytest.approx(
        frozen_losses(model, off=(nn.BatchNorm1d, Centred))["val_loss"]
    )


@STRATEGIES
def test_batch_norm_without_running_statistics_uses_the_batch(tmp_path, strategy):
    model = Classifier()
    model.backbone.bn = nn.BatchNorm1d(4, track_running_stats=False)
    known = frozen_losses(model, off=(nn.Dropout,))
    close(validated(tmp_path, model, strategy=strategy), known)


class Taught(Classifier):
    """Compares with a teacher that is no submodule."""

    def __init__(self, training):
        super().__init__()
        teacher = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))
        self.teacher = [teacher.train(training)]

    def forward(self, inputs, data_samples=None, mode="tensor"):
        result = super().forward(inputs, data_samples, mode)
        if mode == "loss":
            taught = self.teacher[0](torch.stack(list(inputs)))
            result["loss_taught"] = taught.pow(2)
        return result


@STRATEGIES
@pytest.mark.parametrize("training", [False, True])
def test_an_unregistered_teacher_in_a_list_is_frozen_too(tmp_path, training, strategy):
    model = Taught(training)
    still = Taught(False)  # the same weights, without noise
    still.teacher[0].load_state_dict(model.teacher[0].state_dict())
    known = frozen_losses(still)
    close(validated(tmp_path, model, strategy=strategy), known)
    assert model.teacher[0][1].running_mean.tolist() == [0.0, 0.0]
    assert model.teacher[0].training is training
