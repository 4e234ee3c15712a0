"""Arguments that the hook takes, and those that contradict."""

from __future__ import annotations

import pytest
from torch.utils.data import Subset

from loss_forward.models import Points, hook


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"strategy": "third"}, "strategy is 'third'"),
        ({"on_unsupported": "ignore"}, "on_unsupported is 'ignore'"),
        ({"dataloader": {}}, "dataloader is given"),
        ({"strategy": "dataloader"}, "dataloader is None"),
        ({"trust": "my.Model"}, r"\['my.Model'\]"),
        ({"trust": 1}, r"trust is 1, but .*: \['my.module.Model'\]"),
        (
            {"strategy": "dataloader", "dataloader": {"dataset": {}, "batch_size": 2}},
            r"has the entries \['dataset', 'batch_size'\], but no sampler: as val_data",
        ),
        (
            {"strategy": "dataloader", "dataloader": {}},
            r"dataloader has the entries \[\], but no dataset and no sampler: ",
        ),
        (
            {"strategy": "dataloader", "dataloader": "val"},
            "dataloader is a str, but a config as val_dataloader or a torch DataLoader",
        ),
        (
            {"strategy": "dataloader", "dataloader": Subset(Points(), [0])},
            "dataloader is a Subset, but a config",  # it has a dataset, but no sampler
        ),
        ({"trust": ["my.Model", "Mine"]}, "trust names 'Mine', but the full name of"),
        ({"trust": ["my.module.Net"]}, "'my.module' stands for the module that"),
    ],
)
def test_options_that_contradict(options, match):
    """Named with what was got and what was expected."""
    with pytest.raises(ValueError, match=match):
        hook(**options)


def test_trust_none_is_trust_in_nobody():
    """As a config of its own may leave it out."""
    assert hook(trust=None).trust == hook().trust == ()
