"""``strategy='dataloader'``: the losses of a data loader of their own."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS
from torch.utils.data import DataLoader

import valloss_compat
from loss_forward import views
from loss_forward.models import (
    Classifier,
    Points,
    Watch,
    collate,
    expected,
    hook,
    loader,
    make_runner,
)
from valloss_compat.errors import UnsupportedError

#: Longer and of other batches than the three that are validated.
OTHER = {"length": 23}


def config(**changes):
    """A config as of val_dataloader."""
    return {
        "dataset": {"type": "LossPoints", **OTHER},
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "batch_size": 5,
        "num_workers": 0,
        **changes,
    }


class Flip:
    """A random flip of image and boxes."""

    def __init__(self, prob=0.5):
        self.prob = prob

    def __call__(self, results):
        if np.random.rand() < self.prob:
            width = results["img"].shape[1]
            results["img"] = results["img"][:, ::-1]
            boxes = results["gt_bboxes"]
            results["gt_bboxes"] = np.stack(
                [width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1
            )
        return results


@pytest.fixture(autouse=True)
def _datasets(monkeypatch):
    monkeypatch.setitem(DATASETS._module_dict, "LossPoints", Points)


@pytest.mark.parametrize("mode", ["default", "parity"])
def test_the_whole_loader_is_reported_once(tmp_path, mode):
    """Each of its batches counts the same, in each validation."""
    valloss_compat.apply(mode=mode)
    watch = Watch()
    loss = hook(strategy="dataloader", dataloader=config())
    runner = make_runner(tmp_path, loss, watch)
    known = expected(Classifier(), Points(**OTHER), 5)
    for _ in range(2):
        metrics = runner.val_loop.run()
        assert {name: metrics[name] for name in known} == pytest.approx(known, rel=1e-6)
    assert [len(outputs) for outputs in watch.outputs] == [4, 4, 2] * 2


def test_by_samples_the_batches_do_not_matter(tmp_path):
    """weighting='sample': the mean over the 23 samples."""
    valloss_compat.configure(weighting="sample")
    loss = hook(strategy="dataloader", dataloader=config())
    metrics = make_runner(tmp_path, loss).val()
    known = expected(Classifier(), Points(**OTHER), 23)
    assert {name: metrics[name] for name in known} == pytest.approx(known, rel=1e-6)


def test_a_built_loader_is_not_copied_and_draws_nothing(tmp_path):
    """An iterator of a DataLoader draws a seed, which is given back."""
    losses = loader(5, **OTHER)
    copied = {"__deepcopy__": lambda *_: pytest.fail("of whatever size it is")}
    losses.dataset.__class__ = type("Large", (Points,), copied)
    runner = make_runner(tmp_path, hook(strategy="dataloader", dataloader=losses))
    plain = make_runner(tmp_path)
    after = []
    for one in (runner, plain):
        torch.manual_seed(4)
        one.val_loop.run()
        after.append(torch.rand(3).tolist())
    assert after[0] == after[1]


@pytest.mark.parametrize(
    ("pipeline", "match"),
    [
        (
            (views.LoadAnnotations(), Flip(), views.Resize()),
            "Flip of .* random numbers change",
        ),
        ((views.Resize(),), "mode 'loss' raised"),
        ((views.Resize(), views.LoadAnnotations()), ""),
        ((views.LoadAnnotations(), views.Resize(), Flip(0.0)), ""),
    ],
    ids=["draws", "no annotations", "as in validation", "as in training"],
)
def test_pipeline_of_the_loader_is_checked(tmp_path, pipeline, match):
    losses = views.loader_of(views.LoadImage(), *pipeline, views.PackInputs())
    loss = hook(strategy="dataloader", dataloader=losses)
    runner = views.detector_runner(tmp_path, loss)
    if match:
        with pytest.raises(UnsupportedError, match=match):
            runner.val()
    else:
        known = views.known_losses()["val_loss"]
        assert runner.val()["val_loss"] == pytest.approx(known, rel=1e-6)


class Noisy(Points):
    """Draws from all that a dataset draws from."""

    def __getitem__(self, index):
        item = super().__getitem__(index)
        noise = random.random() + np.random.rand() + float(torch.rand(()))
        return {**item, "inputs": item["inputs"] + noise}


def test_a_dataset_that_draws_gives_the_same_in_each_validation(tmp_path):
    losses = DataLoader(Noisy(length=8), batch_size=4, collate_fn=collate)
    runner = make_runner(tmp_path, hook(strategy="dataloader", dataloader=losses))
    seen = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        seen.append(runner.val_loop.run()["val_loss"])
        # The loop itself draws a seed of torch.
        drawn = random.random(), np.random.rand()
        random.seed(seed)
        np.random.seed(seed)
        assert drawn == (random.random(), np.random.rand())
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    "sampler",
    [
        {"type": "DefaultSampler"},
        {"type": "DefaultSampler", "shuffle": True},
        {"type": "InfiniteSampler", "shuffle": False},
    ],
)
def test_a_sampler_that_shuffles_or_never_ends_is_rejected(tmp_path, sampler):
    """Mmengine's own shuffles by default."""
    loss = hook(strategy="dataloader", dataloader=config(sampler=sampler))
    with pytest.raises(UnsupportedError, match=sampler["type"]):
        make_runner(tmp_path, loss).val()


def test_a_built_loader_that_shuffles_is_rejected(tmp_path):
    losses = DataLoader(Points(), shuffle=True, collate_fn=collate)
    with pytest.raises(UnsupportedError, match="RandomSampler"):
        make_runner(tmp_path, hook(strategy="dataloader", dataloader=losses)).val()


def test_the_first_batches_only_are_run(tmp_path):
    loss = hook(strategy="dataloader", dataloader=config(), limit_batches=2)
    metrics = make_runner(tmp_path, loss).val()
    first = torch.utils.data.Subset(Points(**OTHER), range(10))
    known = expected(Classifier(), first, 5)
    assert {name: metrics[name] for name in known} == pytest.approx(known, rel=1e-6)


class Once(Points):
    """Gives the same objects each time, as a dataset in memory."""

    def __init__(self, **options):
        super().__init__(**options)
        self.items = [super(Once, self).__getitem__(i) for i in range(len(self))]

    def __getitem__(self, index):
        return {**self.items[index]}


def test_a_dataset_in_memory_is_not_written_into(tmp_path):
    losses = DataLoader(Once(), 4, collate_fn=collate)
    runner = make_runner(tmp_path, hook(strategy="dataloader", dataloader=losses))
    known = expected(Classifier())["val_loss"]
    for _ in range(2):
        found = runner.val_loop.run()["val_loss"]
        assert found == pytest.approx(known, rel=1e-6)
    classes = [int(item["data_samples"].gt) for item in losses.dataset.items]
    assert classes == Points().classes.tolist()


def test_the_first_batch_of_the_loader_is_checked_before_the_training(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(Classifier, "loss", lambda *_: {"loss": 1.0})
    runner = make_runner(tmp_path, hook(strategy="dataloader", dataloader=config()))
    with pytest.raises(UnsupportedError, match="the loss 'loss' is a float"):
        runner.train()
    assert runner.iter == 0


@pytest.mark.usefixtures("third_batch_raises")
def test_with_warn_a_batch_that_raises_leaves_no_loss(tmp_path):
    loss = hook(strategy="dataloader", dataloader=config(), on_unsupported="warn")
    runner = make_runner(tmp_path, loss)
    assert set(runner.val()) == {"mean/score"}
