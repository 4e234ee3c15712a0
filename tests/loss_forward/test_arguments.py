"""Arguments that the hook takes, and those that contradict."""

from __future__ import annotations

import pytest
from torch.utils.data import Subset

from loss_forward.models import Points, hook, loader

pytestmark = pytest.mark.slow  # asks little of mmengine


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"strategy": "third"}, "strategy is 'third', but one of "),
        ({"on_unsupported": "ignore"}, "on_unsupported is 'ignore', but one of "),
        ({"limit_batches": 0}, "limit_batches is 0, but a number of batches is"),
        ({"limit_batches": -1}, "limit_batches is -1, but a number"),
        ({"limit_batches": 0.5}, "limit_batches is 0.5, but a number"),
        ({"limit_batches": True}, "limit_batches is True, but a number"),
        ({"dataloader": {}}, "dataloader is given, but a dataloader is exp"),
        ({"strategy": "dataloader"}, "dataloader is None, but a dataloader is exp"),
        (
            {"strategy": "dataloader", "dataloader": {"dataset": {}, "batch_size": 2}},
            "dataloader is a dict without sampler, but a torch DataLoader is expected",
        ),
        (
            {"strategy": "dataloader", "dataloader": {}},
            "dataloader is a dict without dataset and sampler, but a torch DataL",
        ),
        (
            {"strategy": "dataloader", "dataloader": "val"},
            "dataloader is a str without dataset and sampler, but",
        ),
        (
            {"strategy": "dataloader", "dataloader": Subset(Points(), [0])},
            "dataloader is a Subset without sampler, but",  # it has a dataset
        ),
    ],
)
def test_options_that_contradict_are_rejected(options, match):
    with pytest.raises(ValueError, match=match):
        hook(**options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"strategy": "second_forward", "on_unsupported": "warn"},
        {"limit_batches": 1, "test": True, "sanity_check": False},
        {"strategy": "dataloader", "dataloader": loader()},
        {"strategy": "dataloader", "dataloader": {"dataset": {}, "sampler": {}}},
    ],
)
def test_options_that_agree_are_kept(options):
    made = hook(**options)
    assert {name: getattr(made, name) for name in options} == options


def test_an_option_that_is_gone_is_rejected():
    with pytest.raises(TypeError, match="trust"):
        hook(trust=["my.Model"])
