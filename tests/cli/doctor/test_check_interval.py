"""``doctor CONFIG``: whether there is a validation before the training ends."""

from __future__ import annotations

import itertools
from typing import Any, ClassVar, Dict
from unittest import mock

import mmengine
import pytest
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch.utils.data import DataLoader

from valloss_compat._cli.doctor import check_interval

LOOPS = {"max_epochs": EpochBasedTrainLoop, "max_iters": IterBasedTrainLoop}


class Data(list):
    """A dataset of one sample, with what mmengine warns without."""

    metainfo: ClassVar[Dict[str, Any]] = {}

    def __init__(self):
        super().__init__([0])


def said(**train):
    """Severity and text of what is said of a ``train_cfg``."""
    return [
        (f.severity, f.text)
        for f in check_interval.check_interval({"train_cfg": train})
    ]


def validations(end, limit, **train):
    """After which epochs or iterations mmengine's own loop validates."""
    runner = mock.MagicMock()
    loop = LOOPS[end](runner, DataLoader(Data()), limit, **train)
    loop.dataloader_iterator = itertools.repeat(None)  # mmengine's sleeps at its end
    loop.run_epoch = lambda: setattr(loop, "_epoch", loop._epoch + 1)
    loop.run_iter = lambda batch: setattr(loop, "_iter", loop._iter + 1)
    seen = []
    counter = "_epoch" if end == "max_epochs" else "_iter"
    runner.val_loop.run = lambda: seen.append(getattr(loop, counter))
    loop.run()
    return seen


INTERVALS = (None, 1, 3, 4, 7, 20)
DYNAMIC = (None, [(5, 1)], [(5, 6)], [(2, 4), (6, 2)], [(6, 9)], [(7, 1)], [(20, 1)])


@pytest.mark.slow
@pytest.mark.parametrize("end", sorted(LOOPS))
@pytest.mark.parametrize("begin", [0, 1, 4, 6, 7])
def test_a_problem_is_where_mmengine_itself_does_not_validate(end, begin):
    """Whatever its release does with the last epoch, and with dynamic_intervals."""
    for every, dynamic in itertools.product(INTERVALS, DYNAMIC):
        train = {"val_begin": begin, "val_interval": every}
        train["dynamic_intervals"] = dynamic
        train = {key: value for key, value in train.items() if value is not None}
        seen = validations(end, 6, **train)
        found = said(**{end: 6}, **train)
        assert len(found) == (not seen), (train, seen)
        for severity, text in found:
            longer = validations(end, 1000, **train)
            assert severity == "problem"
            assert f"the first validation would be after {longer[0]}, but" in text


def test_what_comes_too_late():
    """In words, for the case that is a problem with each release."""
    assert said(max_epochs=5, val_begin=6) == [
        (
            "problem",
            "the first validation would be after 6, but the training ends after 5: "
            "lower val_interval or val_begin of train_cfg",
        )
    ]


def test_intervals_that_change():
    """The first one is longer than the training, and does not matter."""
    assert said(val_interval=20, max_epochs=10, dynamic_intervals=[[5, 1]]) == []
    assert said(val_interval=20, max_epochs=10, dynamic_intervals=[[0, 1]]) == []


def test_a_single_epoch():
    """Is validated after, by default."""
    assert said(max_epochs=1) == []


def test_a_loop_of_somebodys_own():
    """Need not do as mmengine's: a note."""
    ((severity, text),) = said(type="MyLoop", max_epochs=5, val_begin=6)
    assert severity == "note"
    assert text.endswith(", unless MyLoop has another idea of that")
    own = "mmengine.runner.EpochBasedTrainLoop"
    ((severity, _),) = said(type=own, max_epochs=5, val_begin=6)
    assert severity == "problem"


@pytest.mark.parametrize(
    ("train", "what"),
    [
        ({"val_interval": 0}, "val_interval of train_cfg is 0, but at least 1"),
        ({"dynamic_intervals": 5}, "dynamic_intervals of train_cfg is 5, but a list"),
        ({"dynamic_intervals": [5]}, "is [5], but a list of pairs"),
        ({"dynamic_intervals": [(5, "1")]}, "is [(5, '1')], but a list of pairs"),
        ({"dynamic_intervals": [(5, 0)]}, "is [(5, 0)], but a list of pairs"),
        ({"dynamic_intervals": [(5, 0), (7, 1)]}, "(7, 1)], but a list of pairs"),
        ({"dynamic_intervals": [(5, 1), (7, 0)]}, "(7, 0)], but a list of pairs"),
        ({"dynamic_intervals": [(5,)]}, "is [(5,)], but a list of pairs"),
        ({"dynamic_intervals": [(5, 1, 1)]}, "is [(5, 1, 1)], but a list of pairs"),
    ],
)
def test_what_is_no_interval(train, what):
    """What was got, and what is expected."""
    ((severity, text),) = said(max_epochs=5, **train)
    assert severity == "problem"
    assert what in text


@pytest.mark.parametrize("run", [None, len])
def test_a_loop_that_cannot_be_looked_into(monkeypatch, run):
    """As far as nobody can see, it validates at its end: no alarm."""
    monkeypatch.setattr(EpochBasedTrainLoop, "run", run)
    assert said(max_epochs=5, val_interval=6) == []


@pytest.mark.parametrize(
    ("version", "validates"),
    [
        ("0.1.0", False),
        ("0.7.4", False),
        ("0.10.3", False),
        ("0.10.4", True),
        ("0.10.7", True),
        ("0.10.12", True),
        ("0.11.0rc0", True),
    ],
)
def test_version_of_mmengine_decides_whether_last_epoch_is_validated(
    monkeypatch, version, validates
):
    monkeypatch.setattr(mmengine, "__version__", version)
    assert (said(max_epochs=5, val_interval=6) == []) == validates
