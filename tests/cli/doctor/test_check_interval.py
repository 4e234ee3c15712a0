"""``doctor CONFIG``: does a training validate before it ends?"""

from __future__ import annotations

import itertools
from typing import Any, ClassVar, Dict
from unittest import mock

import pytest
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch.utils.data import DataLoader

from valloss_compat._cli.doctor.check_validation import check_interval

LOOPS = {"max_epochs": EpochBasedTrainLoop, "max_iters": IterBasedTrainLoop}


class Data(list):
    """A dataset of one sample. Without ``metainfo`` mmengine warns."""

    metainfo: ClassVar[Dict[str, Any]] = {}

    def __init__(self):
        super().__init__([0])


def findings_of(**train):
    """Return severity and text of the findings on a ``train_cfg``."""
    return [(f.severity, f.text) for f in check_interval({"train_cfg": train})]


def validations(end, limit, **train):
    """Return the epochs or iterations after which mmengine's loop validates."""
    runner = mock.MagicMock()
    loop = LOOPS[end](runner, DataLoader(Data()), limit, **train)
    loop.dataloader_iterator = itertools.repeat(None)  # mmengine's sleeps at its end
    loop.run_epoch = lambda: setattr(loop, "_epoch", loop._epoch + 1)
    loop.run_iter = lambda batch: setattr(loop, "_iter", loop._iter + 1)
    validated = []
    counter = "_epoch" if end == "max_epochs" else "_iter"
    runner.val_loop.run = lambda: validated.append(getattr(loop, counter))
    loop.run()
    return validated


INTERVALS = (None, 1, 3, 4, 7, 20)
DYNAMIC = (None, [(5, 1)], [(5, 6)], [(2, 4), (6, 2)], [(6, 9)], [(7, 1)], [(20, 1)])


@pytest.mark.slow
@pytest.mark.parametrize("end", sorted(LOOPS))
@pytest.mark.parametrize("begin", [0, 1, 4, 6, 7])
def test_problem_is_reported_iff_mmengine_never_validates(end, begin):
    """Compared with the train loops of the installed release."""
    for every, dynamic in itertools.product(INTERVALS, DYNAMIC):
        train = {"val_begin": begin, "val_interval": every}
        train["dynamic_intervals"] = dynamic
        train = {key: value for key, value in train.items() if value is not None}
        validated = validations(end, 6, **train)
        findings = findings_of(**{end: 6}, **train)
        assert len(findings) == (not validated), (train, validated)
        assert {severity for severity, _ in findings} <= {"problem"}


def test_late_validation_is_a_problem():
    """On every release, with the whole text."""
    assert findings_of(max_epochs=5, val_begin=6) == [
        (
            "problem",
            "the training ends after 5 epochs without a validation. Fix: lower "
            "val_interval or val_begin of train_cfg",
        )
    ]


def test_dynamic_intervals_override_val_interval():
    """Even a val_interval longer than the training."""
    assert findings_of(val_interval=20, max_epochs=10, dynamic_intervals=[(5, 1)]) == []
    assert findings_of(val_interval=20, max_epochs=10, dynamic_intervals=[(0, 1)]) == []


def test_single_epoch_is_validated():
    assert findings_of(max_epochs=1) == []


def test_endless_training_is_not_run_to_its_end():
    """Those that an early stopping ends, or the user."""
    assert findings_of(max_iters=10**12, val_interval=100) == []


def test_late_validation_in_user_loop_is_a_note():
    """A user loop may validate at other times than mmengine's."""
    ((severity, text),) = findings_of(type="MyLoop", max_epochs=5, val_begin=6)
    assert severity == "note"
    assert ", unless MyLoop validates at other times" in text
    full_name = "mmengine.runner.EpochBasedTrainLoop"
    ((severity, _),) = findings_of(type=full_name, max_epochs=5, val_begin=6)
    assert severity == "problem"


@pytest.mark.parametrize(
    "train",
    [
        {"val_interval": 0},
        {"val_interval": "1"},
        {"val_begin": None},
        *({"dynamic_intervals": value} for value in (5, [5], [(5, "1")], [(2, 0)])),
        *({"dynamic_intervals": [value]} for value in ((5,), [5, 1])),
    ],
)
def test_interval_that_the_loop_cannot_use_is_a_problem(train):
    """With its error and the arguments."""
    ((severity, text),) = findings_of(max_epochs=5, **train)
    assert severity == "problem"
    assert text.startswith("train_cfg cannot be used: EpochBasedTrainLoop(max_epochs=5")
    assert " raises " in text


def test_training_without_a_length_is_a_problem():
    ((severity, text),) = findings_of(val_interval=5)
    assert (severity, "max_iters" in text) == ("problem", True)
    assert list(check_interval({"train_cfg": None})) == []
