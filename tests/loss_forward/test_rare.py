"""What a training on one CPU seldom meets: accelerators, ranks, lazy state."""

from __future__ import annotations

import types

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement
from torch import nn

from loss_forward.models import Classifier, Known, hook, loader, make_runner
from valloss_compat._libraries import UnsupportedError, base
from valloss_compat._libraries.mmpretrain import MMPretrain
from valloss_compat._loss_forward import checks, isolation, reuse
from valloss_compat._loss_forward.guard import ModelState
from valloss_compat._loss_forward.isolation import RandomState
from valloss_compat._loss_forward.snapshot import Attributes


@pytest.mark.parametrize("kind", ["cuda", "mps", "npu"])
def test_the_random_state_of_a_device_is_put_back(kind, monkeypatch):
    """Asked of its backend by device; torch.mps has one for all and takes none."""
    states = {"now": torch.zeros(2)}
    asked = []

    def get_rng_state(*device):
        asked.append(device)
        return states["now"].clone()

    def set_rng_state(state, *device):
        asked.append(device)
        states["now"] = state

    backend = types.SimpleNamespace(
        get_rng_state=get_rng_state, set_rng_state=set_rng_state
    )
    monkeypatch.setattr(torch, kind, backend, raising=False)
    device = types.SimpleNamespace(type=kind)
    before = RandomState([device])
    assert before.same()
    states["now"] = torch.ones(2)
    assert not before.same()
    before.restore()
    assert before.same()
    assert all(given == (() if kind == "mps" else (device,)) for given in asked)


@pytest.mark.parametrize("lengths", [(3, 3), (3, 4)])
def test_a_trusted_loss_may_wait_for_ranks_that_have_as_many_batches(
    lengths, tmp_path, monkeypatch
):
    """Nobody knows whether it does; else some rank would wait for ever."""
    asked = []

    def all_gather_object(length):
        asked.append(length)
        return list(lengths)

    monkeypatch.setattr(checks, "get_world_size", lambda: 2)
    monkeypatch.setattr(checks, "all_gather_object", all_gather_object)
    monkeypatch.setattr(base, "_registered", {})
    loss = hook(trust=[f"{Classifier.__module__}.Classifier"])
    runner = make_runner(tmp_path, loss)
    if lengths == (3, 3):
        assert runner.val()["val_loss"] > 0
    else:
        with pytest.raises(UnsupportedError, match="different numbers of validation"):
            runner.val()
    assert asked == [3]


def test_a_device_without_a_random_state_is_left_out():
    """What torch has no backend for cannot be asked."""
    assert RandomState([types.SimpleNamespace(type="none_such")]).same()
    assert isolation.accelerators_of(nn.Linear(1, 1)) == []


def test_a_call_under_another_autocast_is_run_again(monkeypatch):
    """Before torch 2.4 the modes have a function each, and some releases lack some."""
    enabled = []
    old = types.SimpleNamespace(
        is_grad_enabled=lambda: False, is_autocast_enabled=lambda: bool(enabled)
    )
    monkeypatch.setattr(reuse, "torch", old)
    plain = reuse._context()
    assert reuse._context() == plain
    enabled.append(1)
    assert reuse._context() != plain


def test_a_training_without_a_validation_needs_no_judgement(tmp_path, monkeypatch):
    """A model that would be refused trains: there is no loss to be wrong."""
    without = {f"val_{name}": None for name in ("dataloader", "cfg", "evaluator")}
    runner = make_runner(tmp_path, hook(), model=Unknown(), **without)
    runner.train()
    assert runner.iter > 0


class Unknown(Classifier):
    """Of which no table knows."""

    def loss(self, scores, data_samples):
        return super().loss(scores, data_samples)


class Stuck(BaseDataElement):
    """A data sample that cannot be copied, but predicted."""

    def __deepcopy__(self, memo):
        raise TypeError("stuck")


def test_with_warn_a_batch_that_cannot_be_copied_is_validated(tmp_path, capsys):
    """As it is without the hook; there is no loss from then on."""
    runner = make_runner(tmp_path, hook(on_unsupported="warn"))
    runner.val_loop.run()
    runner.call_hook("before_val_epoch")
    outputs = runner.model.val_step(
        {"inputs": [torch.ones(4)], "data_samples": [Stuck(gt=torch.tensor(1))]}
    )
    batch = {"inputs": [torch.ones(4)], "data_samples": [Stuck(gt=torch.tensor(1))]}
    runner.call_hook("before_val_iter", batch_idx=0, data_batch=batch)
    assert "val_step" in vars(runner.model)
    again = runner.model.val_step(batch)
    assert len(again) == len(outputs) == 1
    assert again[0].pred.tolist() == outputs[0].pred.tolist()
    assert set(runner.val_loop.run()) == {"mean/score"}


@pytest.mark.parametrize(("ranks", "reported"), [(1, True), (2, False), (2, True)])
def test_with_losses_that_stay_warn_is_not_enough(
    tmp_path, monkeypatch, ranks, reported
):
    """Other ranks have theirs of this epoch; or a loop's own account has them."""
    runner = make_runner(tmp_path, hook(on_unsupported="warn"))
    monkeypatch.setattr(
        "valloss_compat.hooks.val_loss_hook.get_world_size", lambda: ranks
    )
    runner.call_hook("before_val")
    runner.call_hook("before_val_epoch")
    if reported:
        runner.val_loop.run_iter(0, next(iter(runner.val_dataloader)))
        runner.val_loop.val_loss = "its own"
    bad = {"inputs": [torch.ones(4)], "data_samples": [Stuck(gt=torch.tensor(1))]}
    with pytest.raises(UnsupportedError, match="cannot be copied"):
        runner.val_loop.run_iter(1, bad)


def test_attributes_that_change_their_kind_are_put_back():
    """And objects of which nothing is known count as changed where they are others."""
    module = nn.Module()
    module.number, module.odd, module.array = 1, object(), [np.ones(1)]
    before, odd = Attributes(module), module.odd
    module.number, module.odd, module.array[0] = 1.0, object(), np.zeros(1)
    assert sorted(before.restore()) == ["array", "number", "odd"]
    assert type(module.number) is int
    assert module.odd is odd


def test_a_module_that_runs_after_all_is_guarded():
    """Of idle modules only versions are watched, until they are included."""
    model = Classifier()
    state = ModelState(model, whole=False, idle=[model.backbone])
    state.include(model.backbone)
    with torch.no_grad():
        model.backbone.bn.running_mean.add_(1)
    assert state.restore().tensors == ["backbone.bn.running_mean"]
    assert model.backbone.bn.running_mean.tolist() == [0.0] * 4
    with torch.no_grad():
        model.head.fc.weight.add_(1)
    assert state.restore().lost == ["head.fc.weight"]


def test_buffers_made_in_inference_mode_are_guarded():
    """Nobody counts what is written there, so that it is compared."""
    if not hasattr(torch, "inference_mode"):
        pytest.skip("inference mode came with torch 1.9")
    model = nn.BatchNorm1d(2, affine=False)
    with torch.inference_mode():
        model.register_buffer("made", torch.ones(2))
        model.register_buffer("none", None)
        state = ModelState(model, whole=True)
        model.made.add_(1)
        assert state.restore().tensors == ["made"]
        assert model.made.tolist() == [1.0, 1.0]


def test_a_classifier_shares_its_head():
    """Its forward gets the same in both modes."""
    model = Classifier()
    assert MMPretrain().shared(model) == [model.backbone, model.head]


def test_an_adapter_prepares_by_the_pipelines_of_the_validation(tmp_path, monkeypatch):
    """Those of the dataset that is validated."""
    seen = []

    def prepare(self, batch, pipelines):
        seen.extend(part.kind for pipeline in pipelines for part in pipeline)
        return batch

    monkeypatch.setattr(Known, "prepare", prepare)
    data = loader(10)
    data.dataset.pipeline = [len]
    make_runner(tmp_path, hook(), val_dataloader=data).val()
    assert seen == ["len"]


def test_what_an_adapter_refuses_of_a_batch_is_said_as_it_is(tmp_path, monkeypatch):
    """Not as an error of mode 'loss'."""

    def prepare(self, batch, pipelines):
        raise UnsupportedError(refusal)

    from valloss_compat._libraries import Rejection

    refusal = Rejection("a batch", "it is odd", "even it")
    monkeypatch.setattr(Known, "prepare", prepare)
    with pytest.raises(UnsupportedError, match="a batch: it is odd") as caught:
        make_runner(tmp_path, hook()).val()
    assert caught.value.rejection is refusal
