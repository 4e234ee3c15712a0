"""What is known of transforms by name, and the sampler of a data loader of losses."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import DataLoader

from valloss_compat._config import kind_of
from valloss_compat._libraries.pipelines import (
    check_sampler,
    loads_annotations,
    packs,
    training_transforms,
    transforms_of,
)

STILL = {"type": "DefaultSampler", "shuffle": False}
A, B, C = ({"type": name} for name in ("A", "B", "mmcv.C"))


@pytest.mark.parametrize(
    "name",
    [
        "LoadAnnotations",
        "LoadAnnotations3D",
        "LoadKIEAnnotations",
        "LoadOCRAnnotations",
        "LoadPanopticAnnotations",
        "mmseg.LoadDepthAnnotation",
    ],
)
def test_annotation_loaders_are_known_by_name(name):
    assert loads_annotations({"type": name})


@pytest.mark.parametrize("name", ["LoadImageFromFile", "LoadProposals", "Annotate"])
def test_other_transforms_load_no_annotations(name):
    assert not loads_annotations({"type": name})


def test_transforms_that_pack_are_known_by_name():
    assert packs({"type": "PackDetInputs"})
    assert not packs({"type": "Resize"})


@pytest.mark.parametrize(
    "dataset", [None, {}, {"pipeline": None}, {"pipeline": "auto"}, 3]
)
def test_dataset_without_a_list_of_transforms_has_none(dataset):
    assert transforms_of(dataset) == []
    assert training_transforms(dataset) == []


def test_transforms_of_wrapped_datasets_come_first():
    inner = {"datasets": [{"pipeline": [A]}, {"pipeline": [B]}]}
    assert training_transforms({"dataset": inner, "pipeline": [C]}) == [A, B, C]


def test_transforms_within_a_transform_are_found():
    choice = {"type": "RandomChoice", "transforms": [[A], [B]]}
    broadcast = {"type": "TransformBroadcaster", "transforms": [C]}
    found = training_transforms({"pipeline": [choice, broadcast]})
    assert found == [choice, A, B, broadcast, C]
    assert kind_of(C) == "C"


def test_transforms_of_a_built_dataset_are_found():
    compose = SimpleNamespace(transforms=(len, max))
    assert transforms_of(SimpleNamespace(pipeline=compose)) == [len, max]


DATA = [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("loader", "kind"),
    [
        ({"sampler": {"type": "DefaultSampler", "shuffle": True}}, "DefaultSampler"),
        ({"sampler": {"type": "DefaultSampler"}}, "DefaultSampler"),
        ({"sampler": {"type": "InfiniteSampler", "shuffle": False}}, "InfiniteSampler"),
        (DataLoader(DATA, shuffle=True), "RandomSampler"),
        (DataLoader(DATA, sampler=DefaultSampler(DATA)), "DefaultSampler"),
        (
            DataLoader(DATA, sampler=InfiniteSampler(DATA, shuffle=False)),
            "InfiniteSampler",
        ),
    ],
)
def test_sampler_that_shuffles_or_never_ends_is_rejected(loader, kind):
    """Two validations would not be of the same batches."""
    rejection = check_sampler(loader)
    assert rejection.component == f"the sampler of the loss data loader ({kind})"
    assert rejection.fix == "sampler=dict(type='DefaultSampler', shuffle=False)"


@pytest.mark.parametrize(
    "loader",
    [
        {"sampler": STILL},
        {},
        DataLoader(DATA),
        DataLoader(DATA, sampler=DefaultSampler(DATA, shuffle=False)),
    ],
)
def test_sampler_in_order_is_accepted(loader):
    assert check_sampler(loader) is None
