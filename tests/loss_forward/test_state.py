"""The modules of a model, and what has no value or no version in them."""

from __future__ import annotations

import types

import pytest
import torch
from torch import nn

from valloss_compat._loss_forward.content import tree
from valloss_compat._loss_forward.guard import ModelState


def test_the_tree_is_what_named_modules_gives():
    """Each module once, also one in two places; none for an empty place."""
    inner = nn.Linear(1, 1)
    model = nn.Sequential(nn.Sequential(inner, nn.ReLU()), nn.Identity())
    assert sorted(path for path, _ in tree(model)) == sorted(
        path for path, _ in model.named_modules()
    )
    model.again = inner
    model.add_module("nothing", None)
    found = tree(model)
    assert found[0] == ("", model)
    assert len(found) == len(list(model.modules()))
    assert {id(m) for _, m in found} == {id(m) for m in model.modules()}


def test_an_empty_place_for_a_tensor_is_no_change():
    """A layer without bias, a buffer that is not there yet."""
    model = nn.Linear(2, 2, bias=False)
    model.register_buffer("nothing", None)
    for whole in (False, True):
        assert ModelState(model, whole=whole).restore() == ([], [], [])


class OnFullDevice:
    """A parameter on a device that has no memory for a second one."""

    device, layout = types.SimpleNamespace(type="cuda"), torch.strided
    shape, dtype = torch.Size([2]), torch.float32
    is_quantized = requires_grad = False
    grad = None
    _version = 0

    def __init__(self):
        self.values = torch.ones(2)

    def detach(self):
        return self

    def clone(self):
        raise RuntimeError("CUDA out of memory")

    def to(self, device, copy=False):
        assert torch.device(device).type == "cpu"
        return self.values.clone()

    def copy_(self, other):
        self.values.copy_(other)


def test_parameters_are_copied_to_the_host():
    """A training that fills its device must not end by the first loss."""
    model = nn.Module()
    weight = model._parameters["weight"] = OnFullDevice()
    state = ModelState(model, whole=True)
    assert state.restore() == ([], [], [])
    weight.values.add_(1)
    assert state.restore() == ([], ["weight"], [])
    assert weight.values.tolist() == [1.0, 1.0]


def test_gradients_that_were_there_are_watched():
    """Of these there is no copy; new ones are taken away."""
    model = nn.Linear(2, 1)
    model.weight.sum().backward()
    state = ModelState(model, whole=True)
    assert state.restore() == ([], [], [])
    model.weight.grad.add_(1)
    model.bias.sum().backward()
    model.bias.requires_grad_(False)
    assert state.restore() == (
        [],
        ["bias.requires_grad", "bias.grad"],
        ["weight.grad"],
    )
    assert model.bias.requires_grad
    assert model.bias.grad is None


@pytest.mark.skipif(
    not hasattr(torch, "inference_mode"), reason="inference mode came with torch 1.9"
)
def test_parameters_without_a_version_are_let_be():
    """Nobody counts there, and nobody may write."""
    with torch.inference_mode():
        weight = nn.Parameter(torch.ones(2), requires_grad=False)
    model = nn.Module()
    model.weight = weight
    assert ModelState(model, whole=False).restore() == ([], [], [])


def test_a_module_that_runs_twice_after_all_is_as_before_the_first():
    """What it changed in its first run is not taken for what it was."""
    model = nn.Sequential(nn.BatchNorm1d(1))
    norm = model[0]
    norm.steps = [0]
    state = ModelState(model, whole=True, idle=[norm])
    for _ in range(2):
        state.include(norm)
        norm.steps[0] += 1
        norm.running_mean.add_(1)
        with torch.no_grad():
            norm.weight.add_(1)
        norm.brand_new = nn.Linear(1, 1)
    changes = state.restore()
    assert sorted(changes.attributes) == ["0.brand_new", "0.steps"]
    assert sorted(changes.tensors) == ["0.running_mean", "0.weight"]
    assert (norm.steps, norm.running_mean.tolist()) == ([0], [0.0])
    assert norm.weight.tolist() == [1.0]
    assert not hasattr(norm, "brand_new")


def test_flags_of_an_idle_module_are_put_back():
    """It is frozen from outside, though it does not run."""
    model = nn.Sequential(nn.Linear(1, 1))
    state = ModelState(model, whole=True, idle=[model[0]])
    model.requires_grad_(False)
    assert state.restore().tensors == ["0.weight.requires_grad", "0.bias.requires_grad"]
    assert all(parameter.requires_grad for parameter in model.parameters())
