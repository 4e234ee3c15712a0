"""What the check before a training must leave alone, and what it accepts."""

from __future__ import annotations

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.structures import BaseDataElement
from torch import nn
from torch.utils.data import DataLoader

from loss_forward.models import Classifier, Points, collate, hook, make_runner
from loss_forward.oracle import frozen_losses
from loss_forward.rejection import rejected
from valloss_compat._loss_forward.replica import Replica
from valloss_compat._loss_forward.self_check import reject_difference
from valloss_compat.errors import UnsupportedError

pytestmark = pytest.mark.slow  # asks little of mmengine


class Merging(nn.Linear):
    """An adapter that merges its weights into the layer's, as loralib does."""

    merged = False

    def train(self, mode=True):
        super().train(mode)
        if mode == self.merged:
            self.merged = not mode
            self.weight.data += 1.0 if self.merged else -1.0
        return self


def test_train_that_changes_parameters_ends_the_run(tmp_path):
    model = Classifier()
    model.head.fc = Merging(4, 2)
    with pytest.raises(RuntimeError, match=r"Classifier: train\(\) changed param"):
        make_runner(tmp_path, hook(), model=model).val()


class Grouping:
    """A batch sampler that keeps a bucket, as mmdet's AspectRatioBatchSampler."""

    def __init__(self, dataset, size):
        self.dataset, self.size, self.bucket = dataset, size, []

    def __len__(self):
        return -(-len(self.dataset) // self.size)

    def __iter__(self):
        for index in range(len(self.dataset)):
            self.bucket.append(index)
            if len(self.bucket) == self.size:
                yield list(self.bucket)
                del self.bucket[:]
        if self.bucket:
            yield list(self.bucket)
            del self.bucket[:]


def test_batch_sampler_that_keeps_something_is_not_disturbed(tmp_path):
    dataset = Points()
    sampler = Grouping(dataset, 4)
    data = DataLoader(dataset, batch_sampler=sampler, collate_fn=collate)
    runner = make_runner(tmp_path, hook(), val_dataloader=data)
    assert runner.val_loop
    runner.call_hook("before_run")
    runner.call_hook("before_train")
    assert sampler.bucket == []
    assert runner.val()["val_loss"] == pytest.approx(
        frozen_losses(Classifier())["val_loss"], rel=1e-6
    )


class Prepares(Hook):
    """The model predicts with what this hook gives it for an epoch."""

    def before_val_epoch(self, runner):
        runner.model.texts = 1.0


class Prepared(Classifier):
    texts = None

    def predict(self, scores, data_samples):
        return super().predict(scores * self.texts, data_samples)


def test_predictions_that_are_not_ready_before_a_training_are_no_error(tmp_path):
    runner = make_runner(tmp_path, Prepares(), hook(), model=Prepared())
    runner.train()
    assert runner.epoch == 2


def test_result_that_is_no_list_is_rejected_before_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr(Classifier, "predict", lambda *_: {"scores": 1})
    runner = make_runner(tmp_path, hook())
    with pytest.raises(UnsupportedError, match="returned a dict"):
        runner.train()
    assert runner.iter == 0


def test_model_with_its_own_element_is_not_checked(tmp_path, monkeypatch):
    element = BaseDataElement(loss={"loss_own": torch.ones(())})
    monkeypatch.setattr(Classifier, "predict", lambda self, s, d: [*d, element])
    monkeypatch.setattr(Classifier, "loss", lambda *_: pytest.fail("it has its own"))
    runner = make_runner(tmp_path, hook())
    assert runner.val_loop
    runner.call_hook("before_run")
    runner.call_hook("before_train")


def test_hook_that_only_watches_sees_the_predictions_of_the_check_alone(tmp_path):
    model, seen = Classifier(), []
    model.head.register_forward_hook(lambda *_: seen.append(1))
    runner = make_runner(tmp_path, hook(), model=model)
    assert runner.val_loop
    runner.call_hook("before_run")
    runner.call_hook("before_train")
    assert len(seen) == 1


def test_half_precision_of_the_validation_is_that_of_the_check(tmp_path, monkeypatch):
    if not hasattr(torch, "autocast"):
        pytest.skip("torch.autocast came with torch 1.10")
    modes = []
    forward = Classifier.loss

    def loss(self, scores, data_samples):
        modes.append(scores.dtype)
        return forward(self, scores.float(), data_samples)

    monkeypatch.setattr(Classifier, "loss", loss)
    runner = make_runner(tmp_path, hook(), val_cfg={"fp16": True})
    monkeypatch.setattr(
        "valloss_compat.hooks.val_loss_hook.autocast",
        lambda enabled: torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled),
    )
    assert runner.val_loop
    runner.call_hook("before_run")
    runner.call_hook("before_train")
    assert set(modes) == {torch.bfloat16}


def test_loss_of_a_training_that_diverged_is_reported(tmp_path):
    model = Classifier()
    with torch.no_grad():
        model.head.fc.weight.fill_(float("nan"))
    metrics = make_runner(tmp_path, hook(), model=model).val()
    assert metrics["val_loss"] != metrics["val_loss"]


def test_loss_near_zero_may_differ_in_its_last_bits():
    one, other = ({"loss": torch.tensor(value)} for value in (1e-9, 3e-9))
    reject_difference(one, other, "Net", "it differs")
    with pytest.raises(UnsupportedError, match="it differs"):
        reject_difference(one, {"loss": torch.tensor(1e-5)}, "Net", "it differs")


def test_functions_in_a_list_or_dict_are_bound_to_the_copy():
    model = Classifier()
    model.parts = {"head": lambda: model.head, "sum": sum}
    model.listed = [lambda: model.backbone]
    copied = Replica(model).model
    assert copied.parts["head"]() is copied.head
    assert copied.listed[0]() is copied.backbone
    assert copied.parts["sum"] is sum


def test_loss_that_sets_an_attribute_of_the_original_is_rejected(tmp_path):
    model = Classifier()
    model.originals = ({"head": lambda: model.head},)  # too deep to be bound

    def loss(scores, data_samples):
        model.originals[0]["head"]().seen = 1
        return {"loss": scores.pow(2)}

    model.loss = loss
    model.originals[0]["head"]().seen = 0
    model_of = model.originals[0]["head"]

    class Setting(Classifier):
        def loss(self, scores, data_samples):
            model_of().seen = 1
            return super().loss(scores, data_samples)

    own = Setting()
    own.other = model  # a part of the model, reached past its attributes
    rejected(tmp_path, own, "a function refers to this module directly")


def test_augmentations_of_nested_preprocessors_are_off():
    model = Classifier()
    model.data_preprocessor.inner = nn.Identity()
    model.data_preprocessor.inner.batch_augments = [1]
    assert Replica(model).model.data_preprocessor.inner.batch_augments is None
    assert model.data_preprocessor.inner.batch_augments == [1]


class Shake(nn.Module):
    def forward(self, x):
        return x * torch.rand(x.shape) if self.training else x


def test_noise_outside_of_the_registered_modules_is_switched_off(tmp_path):
    class Listed(Classifier):
        def __init__(self):
            super().__init__()
            self.listed = [Shake()]

        def loss(self, scores, data_samples):
            return super().loss(self.listed[0](scores), data_samples)

    runner = make_runner(tmp_path, hook(), model=Listed())
    known = frozen_losses(Classifier())["val_loss"]
    for _ in range(2):
        metrics = runner.val_loop.run() if runner.val_loop else {}
        assert metrics["val_loss"] == pytest.approx(known, rel=1e-6)


def test_a_model_with_a_train_that_returns_nothing_is_checked(tmp_path):
    """As that of mmdet's LAD."""

    class Silent(Classifier):
        def train(self, mode=True):
            super().train(mode)

    runner = make_runner(tmp_path, hook(), model=Silent())
    runner.train()
    assert runner.val()["val_loss"] > 0
