"""``strategy='dataloader'``: the losses of a dataloader of their own."""

from __future__ import annotations

import random
from typing import Any, ClassVar, Dict

import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS
from torch.utils.data import DataLoader

import valloss_compat
from loss_forward.models import (
    Classifier,
    Known,
    Points,
    Watch,
    collate,
    expected,
    hook,
    loader,
    make_runner,
)
from valloss_compat._libraries import Rejection, UnsupportedError
from valloss_compat._libraries.pipelines import refuse_sampler

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


@pytest.fixture(autouse=True)
def _datasets(monkeypatch):
    monkeypatch.setitem(DATASETS._module_dict, "LossPoints", Points)


@pytest.mark.parametrize("mode", ["default", "parity"])
def test_the_whole_loader_is_reported_once(tmp_path, mode):
    """Each of its batches counts the same, in each validation anew."""
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


def test_a_built_loader_serves_and_nothing_is_drawn(tmp_path):
    """An iterator of a DataLoader draws a seed, which is given back; it is no copy."""
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


def test_it_lifts_what_is_refused_for_the_pipeline(tmp_path, monkeypatch):
    """But not what is refused for the model."""
    of_data = Rejection("Points", "no annotations", "LoadAnnotations")
    monkeypatch.setattr(Known, "refuse_pipeline", lambda *_: of_data)
    pipelines = [()]
    monkeypatch.setattr(
        "valloss_compat._libraries.components.pipelines_of", lambda *_: pipelines
    )
    with pytest.raises(UnsupportedError, match="no annotations"):
        make_runner(tmp_path, hook()).val()
    loss = hook(strategy="dataloader", dataloader=config())
    assert make_runner(tmp_path, loss).val()["val_loss"] > 0
    monkeypatch.setattr(Known, "models", ())
    loss = hook(strategy="dataloader", dataloader=config())
    with pytest.raises(UnsupportedError, match="does not know"):
        make_runner(tmp_path, loss).val()


class Shuffled:
    """A dataset with a pipeline, as mmengine's."""

    metainfo: ClassVar[Dict[str, Any]] = {}

    def __init__(self, pipeline):
        self.pipeline = pipeline

    def __len__(self):
        return 1


class RandomFlip:
    """Named as mmcv's, for the tables know it by its name."""

    __module__ = "mmcv.transforms.processing"

    def __init__(self, prob):
        self.prob = prob


class Shift:
    """On no list."""


def shift(sample):
    """A transform that is a function."""
    return sample


SHIFT = f"{__name__}.Shift"


@pytest.mark.parametrize(
    ("transform", "trust", "refused"),
    [
        (RandomFlip(0.5), (), "RandomFlip in the pipeline"),
        (RandomFlip(0.0), (), ""),
        (Shift(), (), "Shift in the pipeline"),
        (Shift(), (SHIFT,), ""),
        (shift, (f"{__name__}.shift",), ""),
        ((Shift(), RandomFlip(0.5)), (SHIFT,), "RandomFlip in the pipeline"),
    ],
    ids=["draws", "prob=0", "unknown", "trusted", "a trusted function", "both"],
)
def test_a_transform_that_is_not_known_to_do_the_same_is_refused(
    tmp_path, transform, trust, refused
):
    """No two validations would be of the same images."""
    transforms = transform if isinstance(transform, tuple) else (transform,)
    losses = DataLoader(Shuffled(transforms), collate_fn=collate)
    loss = hook(strategy="dataloader", dataloader=losses, trust=trust)
    runner = make_runner(tmp_path, loss)
    if refused:
        with pytest.raises(UnsupportedError, match=refused):
            runner.train()
    else:
        runner.call_hook("before_val")


class Noisy(Points):
    """Draws from all that a dataset draws from."""

    def __getitem__(self, index):
        item = super().__getitem__(index)
        noise = random.random() + np.random.rand() + float(torch.rand(()))
        return {**item, "inputs": item["inputs"] + noise}


def test_what_draws_after_all_draws_the_same_in_each_validation(tmp_path):
    """And the training draws what it would have drawn."""
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


def test_a_batch_as_of_the_validation_is_prepared_as_one(tmp_path, monkeypatch):
    """And one that is not is judged by the rule for loss dataloaders."""
    prepared = []
    monkeypatch.setattr(
        Known, "prepare", lambda self, batch, _: prepared.append(batch) or batch
    )
    loss = hook(strategy="dataloader", dataloader=config())
    make_runner(tmp_path, loss).val()
    assert len(prepared) == 5  # 23 samples, by 5
    refusal = Rejection("Points", "another frame", "none")
    monkeypatch.setattr(Known, "refuse_data", lambda *_: refusal)
    loss = hook(strategy="dataloader", dataloader=config())
    make_runner(tmp_path, loss).val()
    assert len(prepared) == 5
    monkeypatch.setattr(Known, "refuse_loader", lambda *_: refusal)
    loss = hook(strategy="dataloader", dataloader=config())
    with pytest.raises(UnsupportedError, match="another frame"):
        make_runner(tmp_path, loss).val()


@pytest.mark.parametrize(
    "sampler",
    [
        {"type": "DefaultSampler"},
        {"type": "DefaultSampler", "shuffle": True},
        {"type": "InfiniteSampler", "shuffle": False},
    ],
)
def test_a_sampler_that_shuffles_or_never_ends_is_refused(tmp_path, sampler):
    """Mmengine's own shuffles where nothing is said."""
    loss = hook(strategy="dataloader", dataloader=config(sampler=sampler))
    runner = make_runner(tmp_path, loss)
    with pytest.raises(UnsupportedError, match=sampler["type"]):
        runner.val()


def test_a_loader_that_shuffles_is_refused():
    """Built ones say so by their sampler."""
    assert refuse_sampler(loader()) is None
    assert (
        "RandomSampler" in refuse_sampler(DataLoader(Points(), shuffle=True)).component
    )
