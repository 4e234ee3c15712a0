"""Random states, the message hub and parameters: restored, or reported."""

from __future__ import annotations

import random
import types

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from torch import nn

from loss_forward.models import Classifier
from loss_forward.test_content import meta
from valloss_compat._loss_forward.isolation import (
    MessageHubState,
    ParametersKept,
    RandomState,
    accelerators_of,
    seed_all,
)

pytestmark = pytest.mark.slow  # asks little of mmengine


def test_random_states_are_restored():
    with RandomState([torch.device("cpu")]) as state:
        assert state.same()
        drawn = torch.rand(2).tolist(), random.random(), np.random.rand()
        assert not state.same()
    assert state.same()
    assert drawn == (torch.rand(2).tolist(), random.random(), np.random.rand())


@pytest.mark.parametrize("draw", [random.random, np.random.rand, lambda: torch.rand(1)])
def test_a_draw_changes_the_random_state(draw):
    with RandomState() as start:
        draw()
        assert not start.same()
        later = RandomState()
    assert not later.same()


class Device:
    """A device that this machine need not have."""

    def __init__(self, kind):
        self.type = kind


class Backend:
    """A device's module with a random state."""

    def __init__(self, kind):
        self.kind, self.state, self.asked = kind, torch.zeros(2), []

    def get_rng_state(self, *device):
        self.asked.append(device)
        return self.state.clone()

    def set_rng_state(self, state, *device):
        self.asked.append(device)
        self.state = state


@pytest.mark.parametrize("kind", ["cuda", "mps", "npu"])
def test_random_state_of_a_device_is_restored(kind, monkeypatch):
    backend = Backend(kind)
    monkeypatch.setattr(torch, kind, backend, raising=False)
    device = Device(kind)
    with RandomState([device]) as before:
        assert before.same()
        backend.state = torch.ones(2)
        assert not before.same()
    assert before.same()
    # torch.mps has one device, and no argument for it.
    assert set(backend.asked) == {() if kind == "mps" else (device,)}


def test_a_device_without_a_random_state_is_left_out():
    device = Device("no_such_device")
    seed_all(0, [device])
    assert RandomState([device]).same()


def test_all_that_is_restored_is_seeded(monkeypatch):
    backend = Backend("npu")
    monkeypatch.setattr(torch, "npu", backend, raising=False)
    made = []

    class Generator:
        def __init__(self, device):
            made.append(device)

        def manual_seed(self, seed):
            self.seed = seed
            return self

        def get_state(self):
            return torch.full((2,), float(self.seed))

    monkeypatch.setattr(torch, "Generator", Generator)
    device = Device("npu")
    drawn = []
    for _ in range(2):
        seed_all(5, [device])
        drawn.append((random.random(), np.random.rand(), float(torch.rand(()))))
    assert drawn[0] == drawn[1]
    assert made == [device, device]
    assert backend.state.tolist() == [5, 5]
    seed_all(6)
    assert random.random() != drawn[0][0]


def test_accelerators_are_the_devices_beside_the_cpu():
    assert accelerators_of(Classifier()) == []

    def tensor(kind):
        return types.SimpleNamespace(device=Device(kind))

    module = types.SimpleNamespace(
        parameters=lambda: [tensor("cpu"), tensor("cuda")],
        buffers=lambda: [tensor("meta"), tensor("npu")],
    )
    assert {device.type for device in accelerators_of(module)} == {"cuda", "npu"}


def test_entries_of_the_message_hub_are_restored():
    hub = MessageHub.get_instance("of test_isolation")
    hub.update_scalar("train/known", 1.0)
    hub.update_info("epoch", 3)
    current = hub.get_current_instance()
    assert current is hub
    with MessageHubState():
        hub.update_scalar("train/known", 2.0)
        hub.update_scalar("train/other", 1.0)
        hub.update_info("epoch", 4)
        hub.update_info("odd", 1)
    assert hub.get_scalar("train/known").data[0].tolist() == [1.0]
    assert hub.get_scalar("train/known").data[1].tolist() == [1]
    assert list(hub.log_scalars) == ["train/known"]
    assert dict(hub.runtime_info) == {"epoch": 3}
    assert set(hub.state_dict()["resumed_keys"]) == {"train/known", "epoch"}


def kept(parameters, content=False):
    return ParametersKept("Net", "mode 'loss'", parameters, content)


def watched(act, content=False, gradient=False):
    """Return the layer on which an act leaves the parameters as they were."""
    layer = nn.Linear(2, 1)
    if gradient:
        layer.weight.sum().backward()
    with kept(dict(layer.named_parameters()), content), torch.no_grad():
        act(layer)
    return layer


def changes(name):
    """Expect the error for one parameter that changed."""
    found = rf"^Net: mode 'loss' changed parameters in a validation \({name}\), which"
    return pytest.raises(RuntimeError, match=found)


@pytest.mark.parametrize("content", [True, False])
def test_a_write_into_a_parameter_is_reported_by_its_path(content):
    with changes("weight"):
        watched(lambda layer: layer.weight.add_(1), content)
    watched(lambda layer: None, content)


def test_a_write_by_data_is_reported_by_content_only():
    def act(layer):
        layer.bias.data.add_(1)

    with changes("bias"):
        watched(act, content=True)
    watched(act, content=False)


def test_flags_are_restored():
    layer = watched(lambda layer: layer.requires_grad_(False))
    assert layer.weight.requires_grad
    assert layer.bias.requires_grad


def test_a_gradient_that_was_not_there_is_removed():
    def act(layer):
        with torch.enable_grad():
            layer.weight.sum().backward()

    layer = watched(act)
    assert layer.weight.grad is None


def test_a_write_into_a_gradient_is_reported():
    with changes("weight.grad"):
        watched(lambda layer: layer.weight.grad.add_(1), gradient=True)


@pytest.mark.parametrize("new", [None, torch.zeros(1, 2)])
def test_a_gradient_that_was_taken_away_is_restored(new):
    layer = watched(lambda layer: setattr(layer.weight, "grad", new), gradient=True)
    assert layer.weight.grad.tolist() == [[1.0, 1.0]]


def test_a_parameter_of_many_steps_has_not_changed():
    layer = nn.Linear(1, 1)
    with torch.no_grad():
        for _ in range(300):  # Python caches smaller numbers
            layer.weight.add_(1)
    with kept(dict(layer.named_parameters())):
        pass


@pytest.mark.parametrize("kind", ["meta", "lazy", "inference"])
def test_parameters_without_content_or_version_have_not_changed(kind):
    if kind == "meta":
        parameter = nn.Parameter(meta())
    elif kind == "lazy":
        if not hasattr(nn, "UninitializedParameter"):
            pytest.skip("this torch has no lazy modules")
        parameter = nn.UninitializedParameter()
    else:
        if not hasattr(torch, "inference_mode"):
            pytest.skip("this torch has no inference mode")
        with torch.inference_mode():
            parameter = nn.Parameter(torch.ones(2), requires_grad=False)
    with kept({"odd": parameter}, content=True):
        pass
