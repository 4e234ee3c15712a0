"""Training mode without what is noisy or adapts."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from loss_forward.models import Classifier, hook, make_runner
from loss_forward.oracle import frozen_losses
from valloss_compat._loss_forward.frozen_training import (
    FrozenFunctions,
    freeze,
    is_frozen_kind,
)

pytestmark = pytest.mark.slow  # asks little of mmengine


def frozen(model, noise=()):
    """Freeze a model in the place of the copy of a replica."""
    modules = [(path, None, module) for path, module in model.named_modules()]
    freeze(SimpleNamespace(model=model, modules=modules), noise)


class DropPath(nn.Module):
    def forward(self, x):
        return x


class StochasticDepth(nn.Module):
    def forward(self, x):
        return x


class MyDropBlock2d(nn.Module):
    def forward(self, x):
        return x


class DropStage(nn.Module):
    """Has layers, so that its name says nothing."""

    def __init__(self):
        super().__init__()
        self.layer = nn.ReLU()


class MyNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(1))


def _parametrized():
    parametrizations = getattr(nn.utils, "parametrizations", None)
    if parametrizations is None:
        pytest.skip("this torch has no parametrizations")
    layer = parametrizations.spectral_norm(nn.Linear(2, 2))
    return layer.parametrizations.weight[0]


FROZEN = [
    lambda: nn.Dropout(),
    lambda: nn.AlphaDropout(),
    lambda: nn.Dropout2d(),
    lambda: nn.BatchNorm2d(1),
    lambda: nn.SyncBatchNorm(1),
    lambda: nn.InstanceNorm1d(1, track_running_stats=True),
    lambda: nn.LSTM(1, 1),
    lambda: nn.GRU(1, 1),
    lambda: nn.MultiheadAttention(1, 1),
    lambda: nn.RReLU(),
    DropPath,
    StochasticDepth,
    MyDropBlock2d,
    MyNorm,
    lambda: nn.utils.spectral_norm(nn.Linear(2, 2)),
    _parametrized,
]
TRAINING = [
    lambda: nn.Linear(1, 1),
    lambda: nn.BatchNorm2d(1, track_running_stats=False),
    lambda: nn.InstanceNorm1d(1),
    lambda: nn.LayerNorm(1),
    lambda: nn.utils.weight_norm(nn.Linear(1, 1)),
    DropStage,
]


@pytest.mark.filterwarnings("ignore:.*weight_norm.* deprecated")
@pytest.mark.parametrize("make", FROZEN)
def test_noisy_and_adaptive_modules_are_in_eval_mode(make):
    model = nn.Sequential(nn.Sequential(make())).eval()
    frozen(model)
    assert is_frozen_kind(model[0][0])
    assert [m.training for m in (model, model[0], model[0][0])] == [True, True, False]


@pytest.mark.filterwarnings("ignore:.*weight_norm.* deprecated")
@pytest.mark.parametrize("make", TRAINING)
def test_other_modules_are_in_training_mode(make):
    model = nn.Sequential(make()).eval()
    frozen(model)
    assert all(module.training for module in model.modules())


def test_modules_by_path_are_in_eval_mode():
    model = nn.Sequential(nn.Sequential(nn.ReLU(), nn.ReLU()))
    frozen(model, ["0.1"])
    assert [m.training for m in (model, model[0], *model[0])] == [
        True,
        True,
        True,
        False,
    ]


def test_stages_that_train_leaves_in_eval_mode_stay_so():
    class Staged(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.stage = nn.ReLU(), nn.ReLU()

        def train(self, mode=True):
            super().train(mode)
            self.stem.eval()
            return self

    model = Staged()
    frozen(model)
    assert (model.stem.training, model.stage.training) == (False, True)


# Functions.

X = torch.arange(24.0).view(2, 3, 4) / 7
MEAN, VAR = torch.full((3,), 0.5), torch.full((3,), 2.0)


def _norm(function, *args, **kwargs):
    return function(X, MEAN.clone(), VAR.clone(), *args, **kwargs)


def _attention(training):
    torch.manual_seed(0)
    weight, bias = torch.rand(12, 4), torch.rand(12)
    out, out_bias = torch.rand(4, 4), torch.rand(4)
    arguments = (X, X, X, 4, 2, weight, bias, None, None, False, 0.5, out, out_bias)
    return F.multi_head_attention_forward(*arguments, training)[0]


def _scaled(dropout):
    if not hasattr(F, "scaled_dot_product_attention"):
        pytest.skip("this torch has no scaled_dot_product_attention")
    return F.scaled_dot_product_attention(X, X, X, None, dropout)


def _scaled_by_name(dropout):
    if not hasattr(F, "scaled_dot_product_attention"):
        pytest.skip("this torch has no scaled_dot_product_attention")
    return F.scaled_dot_product_attention(X, X, X, dropout_p=dropout)


#: A call with what `self.training` would be, and that of the eval mode.
CALLS = {
    "F.dropout": (lambda on: F.dropout(X, 0.5, on), True, False),
    "F.dropout by name": (lambda on: F.dropout(X, training=on), True, False),
    "F.dropout by default": (lambda on: F.dropout(X) if on else X, True, False),
    "F.dropout2d": (lambda on: F.dropout2d(X[None], 0.5, on), True, False),
    "F.dropout3d": (lambda on: F.dropout3d(X[None, None], 0.5, on), True, False),
    "F.alpha_dropout": (lambda on: F.alpha_dropout(X, 0.5, on), True, False),
    "F.feature_alpha_dropout": (
        lambda on: F.feature_alpha_dropout(X, 0.5, on),
        True,
        False,
    ),
    "F.rrelu": (lambda on: F.rrelu(-X, 0.1, 0.3, on), True, False),
    "F.batch_norm": (lambda on: _norm(F.batch_norm, training=on), True, False),
    "F.batch_norm by position": (
        lambda on: _norm(F.batch_norm, None, None, on),
        True,
        False,
    ),
    "F.batch_norm all by name": (
        lambda on: F.batch_norm(
            X, running_mean=MEAN.clone(), running_var=VAR.clone(), training=on
        ),
        True,
        False,
    ),
    "F.instance_norm": (
        lambda on: _norm(F.instance_norm, use_input_stats=on),
        True,
        False,
    ),
    "F.multi_head_attention_forward": (_attention, True, False),
    "F.scaled_dot_product_attention": (_scaled, 0.5, 0.0),
    "F.scaled_dot_product_attention by name": (_scaled_by_name, 0.5, 0.0),
    "torch.dropout": (lambda on: torch.dropout(X, 0.5, on), True, False),
    "torch.alpha_dropout": (lambda on: torch.alpha_dropout(X, 0.5, on), True, False),
    "torch.feature_dropout": (
        lambda on: torch.feature_dropout(X, 0.5, on),
        True,
        False,
    ),
    "torch.feature_alpha_dropout": (
        lambda on: torch.feature_alpha_dropout(X, 0.5, on),
        True,
        False,
    ),
    "torch.rrelu": (lambda on: torch.rrelu(-X, 0.1, 0.3, on), True, False),
    "torch.batch_norm": (
        lambda on: torch.batch_norm(
            X, None, None, MEAN.clone(), VAR.clone(), on, 0.1, 1e-5, False
        ),
        True,
        False,
    ),
    "torch.instance_norm": (
        lambda on: torch.instance_norm(
            X, None, None, MEAN.clone(), VAR.clone(), on, 0.1, 1e-5, False
        ),
        True,
        False,
    ),
}
dropout_warns = pytest.mark.filterwarnings("ignore:dropout[23]d. Received a")


@dropout_warns
@pytest.mark.parametrize("name", list(CALLS))
def test_functions_behave_as_in_eval_mode(name):
    call, on, off = CALLS[name]
    torch.manual_seed(1)
    known, noisy = call(off), call(on)
    assert not torch.equal(known, noisy)  # else the test could not fail
    with FrozenFunctions():
        assert torch.equal(call(on), known)
        assert torch.equal(call(off), known)
    assert not torch.equal(call(on), known)


def test_dropout1d_behaves_as_in_eval_mode():
    if not hasattr(F, "dropout1d"):
        pytest.skip("this torch has no dropout1d")
    with FrozenFunctions():
        assert torch.equal(F.dropout1d(X, 0.9, True), X)


def test_functions_that_a_release_does_not_have_are_left_out(monkeypatch):
    monkeypatch.delattr(F, "scaled_dot_product_attention", raising=False)
    with FrozenFunctions():
        assert not hasattr(F, "scaled_dot_product_attention")
        assert torch.equal(F.dropout(X, 0.9, True), X)
    assert not hasattr(F, "scaled_dot_product_attention")


def test_functions_in_place_and_by_imported_names_behave_as_in_eval_mode():
    drop = F.dropout
    with FrozenFunctions():
        assert torch.equal(drop(X, 0.9, True), X)
        for function in (drop, F.alpha_dropout, F.feature_alpha_dropout):
            assert torch.equal(function(X.clone(), 0.9, True, True), X)
        assert torch.equal(F.rrelu(-X, 0.1, 0.3, True, True), F.rrelu(-X, 0.1, 0.3))


@pytest.mark.parametrize("function", [F.batch_norm, F.instance_norm])
def test_norms_without_running_statistics_use_those_of_the_batch(function):
    known = function(X, None, None, None, None, True)
    name = function.__name__
    with FrozenFunctions():
        assert torch.equal(function(X, None, None, None, None, True), known)
        flag = "training" if name == "batch_norm" else "use_input_stats"
        options = {"running_mean": None, "running_var": None, flag: True}
        assert torch.equal(function(X, **options), known)


def test_functions_are_restored_if_the_loss_raises():
    before = [torch._VF.dropout, torch.batch_norm, torch.dropout]
    replaced = []

    def loss():
        with FrozenFunctions():
            replaced.append(torch._VF.dropout)
            raise KeyError

    with pytest.raises(KeyError):
        loss()
    assert replaced[0] is not before[0]
    assert before == [torch._VF.dropout, torch.batch_norm, torch.dropout]


def test_other_threads_are_not_frozen():
    torch.manual_seed(0)
    found = []

    def training():
        found.append(F.dropout(torch.ones(100), 0.5, True))

    with FrozenFunctions():
        thread = threading.Thread(target=training)
        thread.start()
        thread.join()
        found.append(F.dropout(torch.ones(100), 0.5, True))
    assert [(tensor == 0).any().item() for tensor in found] == [True, False]


def test_a_second_thread_that_freezes_waits_for_the_first():
    before, found = torch.dropout, []

    def other():
        with FrozenFunctions():
            found.append(F.dropout(torch.ones(100), 0.5, True))

    thread = threading.Thread(target=other)
    with FrozenFunctions():
        thread.start()
        thread.join(0.2)
        assert found == []
        assert F.dropout(torch.ones(100), 0.5, True).tolist() == [1.0] * 100
    thread.join(20)
    assert found[0].tolist() == [1.0] * 100
    assert torch.dropout is before


class Branching(Classifier):
    """Its loss depends on ``self.training``, and it drops by a function."""

    def loss(self, scores, data_samples):
        scores = F.dropout(scores, 0.5, self.training)
        losses = super().loss(scores, data_samples)
        if self.head.training:
            losses["loss_auxiliary"] = scores.exp()
        return losses


class Undropped(Branching):
    """The same, with the function left out by hand."""

    def loss(self, scores, data_samples):
        losses = Classifier.loss(self, scores, data_samples)
        return {**losses, "loss_auxiliary": scores.exp()}


@pytest.mark.parametrize("strategy", ["auto", "second_forward"])
def test_loss_is_that_of_the_training_without_its_noise(tmp_path, strategy):
    metrics = make_runner(tmp_path, hook(strategy=strategy), model=Branching()).val()
    known = frozen_losses(Undropped())
    assert known["loss_auxiliary"] > 0
    assert {name: metrics[name] for name in known} == pytest.approx(known, rel=1e-6)
