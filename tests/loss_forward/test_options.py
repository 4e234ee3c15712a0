"""Options of the hook: a check before the training, a test, the first batches."""

from __future__ import annotations

import random
from typing import Any, ClassVar, Dict

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.structures import BaseDataElement
from torch.utils.data import DataLoader, IterableDataset, Subset

import valloss_compat
from loss_forward.models import (
    Classifier,
    Points,
    Predicted,
    Watch,
    collate,
    expected,
    hook,
    loader,
    make_runner,
)
from loss_forward.oracle import batches_of, frozen_losses
from valloss_compat.errors import UnsupportedError


class Counted(DataLoader):
    """Counts how often it is iterated."""

    iterated = 0

    def __iter__(self):
        self.iterated += 1
        return super().__iter__()


# The check before the training.


class Stopped(Exception):
    """Ends a training before its first epoch."""


class Stops(Hook):
    """Ends a training before its first epoch, after what hooks do before it."""

    priority = "LOWEST"

    def before_train_epoch(self, runner):
        raise Stopped


def _before_training(work_dir, loss, **options):
    """Start a training, stop it before its first epoch, and return its runner."""
    runner = make_runner(work_dir, loss, Stops(), **options)
    with pytest.raises(Stopped):
        runner.train()
    return runner


def _seen(work_dir, **options):
    """Return what a training has before its first epoch."""
    data = Counted(Points(), 4, collate_fn=collate)
    runner = _before_training(work_dir, hook(**options), val_dataloader=data)
    return {
        "iterated": data.iterated,
        "weights": {k: v.tolist() for k, v in runner.model.state_dict().items()},
        "attributes": [sorted(vars(module)) for module in runner.model.modules()],
        "flags": [module.training for module in runner.model.modules()],
        "gradients": [p.grad for p in runner.model.parameters()],
        "scalars": sorted(runner.message_hub.log_scalars),
        "drawn": (random.random(), float(np.random.rand()), float(torch.rand(()))),
    }


@pytest.mark.parametrize("strategy", ["auto", "second_forward"])
def test_the_check_before_the_training_changes_nothing(tmp_path, logged, strategy):
    without = _seen(tmp_path, strategy=strategy, sanity_check=False)
    checked = _seen(tmp_path, strategy=strategy)
    assert checked == without
    assert checked["iterated"] == 0


def test_the_check_before_the_training_is_logged(tmp_path, logged):
    _before_training(tmp_path, hook(), log_level="INFO")
    line = "mode 'loss' of loss_forward.models.Classifier: deterministic; reuses "
    known = f"{line}backbone, head of the"
    assert known in logged()
    _before_training(tmp_path, hook(sanity_check=False), log_level="INFO")
    assert "mode 'loss' of" not in logged()


class Broken(Classifier):
    """Its mode 'loss' raises."""

    def loss(self, scores, data_samples):
        raise KeyError("mine")


def test_what_is_found_before_the_training_ends_the_run(tmp_path):
    runner = make_runner(tmp_path, hook(), model=Broken())
    with pytest.raises(UnsupportedError, match="KeyError: 'mine'"):
        runner.train()
    assert runner.iter == 0
    with pytest.raises(KeyError):
        make_runner(tmp_path, hook(sanity_check=False), model=Broken()).train()


def test_with_warn_what_is_found_before_the_training_is_logged(tmp_path, logged):
    loss = hook(on_unsupported="warn")
    _before_training(tmp_path, loss, model=Broken(), log_level="INFO")
    assert logged().count(f"has no validation loss: {__name__}.Broken") == 1
    assert loss.has_rejected


def test_after_a_rejection_there_is_no_check_before_the_training(tmp_path, logged):
    class MoCo(Broken):
        """Named as one of mmpretrain."""

    MoCo.__module__ = "mmpretrain.models"
    loss = hook(on_unsupported="warn")
    _before_training(tmp_path, loss, model=MoCo(), log_level="INFO")
    found = logged()
    assert found.count("ValLossHook has no validation loss") == 1
    assert "KeyError" not in found


def test_a_loader_without_a_batch_is_not_checked_before_the_training(tmp_path, logged):
    _before_training(
        tmp_path, hook(), val_dataloader=loader(length=0), log_level="INFO"
    )
    assert "mode 'loss' of" not in logged()


class Adapting(Classifier):
    """Its predictions change the weights, as adaptation to test data does."""

    def predict(self, scores, data_samples):
        self.head.fc.weight.data.add_(1)
        return super().predict(scores, data_samples)


def test_predictions_that_change_weights_do_not_change_them_before_the_training(
    tmp_path,
):
    loss = hook(on_unsupported="warn")
    try:
        runner = _before_training(tmp_path, loss, model=Adapting())
    except (UnsupportedError, RuntimeError):
        return  # rejected is as good as restored
    assert torch.equal(runner.model.head.fc.weight, Adapting().head.fc.weight)


class Stream(IterableDataset):
    """A dataset without indices."""

    metainfo: ClassVar[Dict[str, Any]] = {}

    def __iter__(self):
        return iter([Points()[i] for i in range(10)])

    def __len__(self):
        return 10


def test_a_dataset_without_indices_is_validated(tmp_path):
    data, watch = DataLoader(Stream(), 4, collate_fn=collate), Watch()
    make_runner(tmp_path, hook(), watch, val_dataloader=data).train()
    assert len(watch.metrics) == 2
    assert all(metrics["val_loss"] > 0 for metrics in watch.metrics)


# The first batches.


def test_the_loss_of_the_first_batches_is_reported_and_logged(tmp_path, logged):
    runner = make_runner(tmp_path, hook(limit_batches=2), log_level="INFO")
    known = frozen_losses(Classifier(), batches_of()[:2])
    for _ in range(2):
        metrics = runner.val_loop.run()
        assert {name: metrics[name] for name in known} == pytest.approx(known, rel=1e-6)
    assert "computed on the first 2 batches alone (limit_batches)" in logged()


def test_mode_loss_runs_for_the_first_batches_only(tmp_path):
    seen = set()

    class Running(Classifier):
        def loss(self, scores, data_samples):
            seen.add(tuple(scores.flatten().tolist()))
            return super().loss(scores, data_samples)

    loss = hook(limit_batches=3)
    make_runner(tmp_path, loss, model=Running(), val_dataloader=loader(1)).val()
    assert len(seen) == 3


@pytest.mark.parametrize("limit", [3, 100])
def test_a_limit_beyond_the_last_batch_changes_nothing(tmp_path, limit):
    known = expected(Classifier())["val_loss"]
    found = make_runner(tmp_path, hook(limit_batches=limit)).val()["val_loss"]
    assert found == pytest.approx(known, rel=1e-6)


def test_the_end_is_checked_after_the_last_of_the_first_batches(tmp_path, changing):
    calls = []

    def act(model):
        calls.append(1)
        return 0.0 if len(calls) < 6 else 1.0

    runner = make_runner(tmp_path, hook(limit_batches=2), model=changing(act))
    with pytest.raises(UnsupportedError, match="at the end of the validation"):
        runner.val()


# A test.


class Part(Subset):
    """The first seven points."""

    metainfo: ClassVar[Dict[str, Any]] = {}

    def __init__(self):
        super().__init__(Points(), range(7))


def with_test(work_dir, *hooks, **options):
    """Return a runner that tests the first seven points."""
    return make_runner(
        work_dir,
        *hooks,
        test_dataloader=DataLoader(Part(), 4, collate_fn=collate),
        test_evaluator=[Predicted()],
        test_cfg={},
        **options,
    )


@pytest.mark.parametrize("mode", ["default", "parity"])
def test_a_test_reports_its_loss_if_asked_to(tmp_path, mode):
    valloss_compat.apply(mode=mode)
    known = frozen_losses(Classifier(), batches_of(Part()))
    known["test_loss"] = known.pop("val_loss")
    metrics = with_test(tmp_path, hook(test=True)).test()
    assert {name: metrics[name] for name in known} == pytest.approx(known, rel=1e-6)
    assert "val_loss" not in metrics
    assert set(with_test(tmp_path, hook()).test()) == {"mean/score"}


def test_a_model_is_checked_for_a_test_only_if_asked_to(tmp_path):
    assert set(with_test(tmp_path, hook(), model=Broken()).test()) == {"mean/score"}
    with pytest.raises(UnsupportedError, match="KeyError: 'mine'"):
        with_test(tmp_path, hook(test=True), model=Broken()).test()


def test_nothing_stays_on_the_model_after_a_test(tmp_path):
    runner = with_test(tmp_path, hook(test=True))
    runner.test()
    assert "test_step" not in vars(runner.model)


def test_a_validation_and_a_test_of_one_hook_have_their_own_batches(tmp_path):
    runner = with_test(tmp_path, hook(test=True))
    whole = frozen_losses(Classifier())["val_loss"]
    part = frozen_losses(Classifier(), batches_of(Part()))
    assert runner.val()["val_loss"] == pytest.approx(whole, rel=1e-6)
    assert runner.test()["test_loss"] == pytest.approx(part["val_loss"], rel=1e-6)
    assert runner.val()["val_loss"] == pytest.approx(whole, rel=1e-6)


@pytest.mark.usefixtures("third_batch_raises")
def test_with_warn_half_a_test_is_not_reported(tmp_path):
    metrics = with_test(tmp_path, hook(test=True, on_unsupported="warn")).test()
    assert set(metrics) == {"mean/score"}


def test_a_test_loop_that_does_not_call_test_step_is_rejected(tmp_path, monkeypatch):
    def run_iter(self, idx, data_batch):
        self.runner.call_hook("before_test_iter", batch_idx=idx, data_batch=data_batch)
        outputs = [BaseDataElement(pred=torch.ones(2), gt=torch.tensor(1))]
        self.evaluator.process(data_samples=outputs, data_batch=data_batch)
        self.runner.call_hook("after_test_iter", batch_idx=idx, outputs=outputs)

    runner = with_test(tmp_path, hook(test=True))
    loop = runner.build_test_loop(runner._test_loop)
    loop.__class__ = type("MyTestLoop", (type(loop),), {"run_iter": run_iter})
    runner._test_loop = loop
    with pytest.raises(UnsupportedError, match="do not call test_step"):
        runner.test()
