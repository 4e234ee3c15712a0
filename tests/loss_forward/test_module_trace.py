"""Which modules run in mode ``'loss'``, add noise, and set attributes."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.modules import module as torch_module

from valloss_compat._loss_forward.replica import Replica
from valloss_compat._loss_forward.self_check import ModuleTrace
from valloss_compat.errors import UnsupportedError

pytestmark = pytest.mark.slow  # asks little of mmengine


class Noise(nn.Module):
    """Drop path, written by hand under another name."""

    def forward(self, x, scale=1.0):
        if not self.training:
            return x
        return x * torch.rand(len(x), 1) * scale


class OfAnotherSize(nn.Module):
    def forward(self, x):
        return torch.rand(3, 5) if self.training else x


class Pair(nn.Module):
    def forward(self, x):
        return (x, torch.rand(1)) if self.training else (x, None)


class Always(nn.Module):
    """Draws in both modes: that is no noise of the training."""

    def forward(self, x):
        return x * torch.rand(1)


class WithoutInput(nn.Module):
    def forward(self):
        return torch.rand(2, 2) if self.training else torch.ones(2, 2)


class Around(nn.Module):
    """Reads ``self.training`` itself, but something inside draws."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x) if self.training else x


def traced(module, *args, call=None):
    """Run the copy of a module in training mode, watched."""
    replica = Replica(module.train())
    with ModuleTrace(replica) as trace:
        (call or replica.model)(*args)
    return trace


X = torch.ones(2, 2)


def test_a_module_that_draws_and_keeps_the_size_is_noise():
    assert traced(nn.Sequential(nn.Linear(2, 2), Noise()), X).noise == {"1"}


def test_the_innermost_module_that_draws_is_noise():
    model = nn.Sequential(Around(nn.Sequential(Noise(), nn.ReLU())))
    assert traced(model, X).noise == {"0.inner.0"}


@pytest.mark.parametrize(
    ("model", "args"),
    [
        (nn.Sequential(OfAnotherSize()), (X,)),
        (nn.Sequential(Pair()), (X,)),
        (nn.Sequential(Always()), (X,)),
        (nn.Sequential(Around(Always())), (X,)),
        (WithoutInput(), ()),
        (nn.Sequential(nn.ReLU()), (X,)),
    ],
)
def test_other_modules_that_draw_are_no_noise(model, args):
    assert traced(model, *args).noise == set()


def test_a_module_in_eval_mode_is_no_noise():
    replica = Replica(nn.Sequential(Noise()))
    replica.model.eval()
    with ModuleTrace(replica) as trace:
        replica.model(X)
    assert trace.noise == set()


class Keeps(nn.Module):
    def forward(self, x):
        self.last = x
        return x


def test_modules_that_set_attributes_are_noted():
    replica = Replica(nn.Sequential(Keeps(), nn.ReLU()))
    with ModuleTrace(replica) as trace:
        replica.model(X)
    assert set(trace.assigned) == {id(replica.model[0])}
    assert replica.model[0].last is X


class Fails(nn.Module):
    def forward(self, x):
        raise KeyError


def test_nothing_is_left_if_the_loss_raises():
    before = nn.Module.__setattr__, dict(torch_module._global_forward_hooks)
    before_hooks = dict(torch_module._global_forward_pre_hooks)
    with pytest.raises(KeyError):
        traced(nn.Sequential(Fails()), X)
    assert before[0] is nn.Module.__setattr__
    assert before[1] == dict(torch_module._global_forward_hooks)
    assert before_hooks == dict(torch_module._global_forward_pre_hooks)


class Catches(nn.Module):
    """Goes on where a part of it raises."""

    def __init__(self):
        super().__init__()
        self.fails, self.noise = Fails(), Noise()

    def forward(self, x):
        try:
            self.fails(x)
        except KeyError:
            return self.noise(x)


def test_noise_is_found_after_a_module_that_raised():
    assert traced(nn.Sequential(Catches(), Noise()), X).noise == {"0.noise", "1"}


def test_a_module_of_the_original_that_runs_is_rejected_with_its_path():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    trace = traced(model, X, call=lambda x: model[0](x))
    with pytest.raises(UnsupportedError, match=r"Net\.0: a function refers to this"):
        trace.reject_escape("Net")
    traced(model, X).reject_escape("Net")


def test_modules_of_no_model_are_not_watched():
    other = Noise()
    trace = traced(nn.ReLU(), X, call=lambda x: other(x))
    assert trace.noise == set()
    trace.reject_escape("Net")
