"""``doctor CONFIG``: does a training validate before it ends?"""

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
    """A dataset of one sample. Without ``metainfo`` mmengine warns."""

    metainfo: ClassVar[Dict[str, Any]] = {}

    def __init__(self):
        super().__init__([0])


def findings_of(**train):
    """Return severity and text of the findings on a ``train_cfg``."""
    return [
        (f.severity, f.text)
        for f in check_interval.check_interval({"train_cfg": train})
    ]


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
        for severity, text in findings:
            longer = validations(end, 1000, **train)
            assert severity == "problem"
            assert f"the first validation would be after {longer[0]}, but" in text


def test_late_validation_is_a_problem():
    """On every release, with the whole text."""
    assert findings_of(max_epochs=5, val_begin=6) == [
        (
            "problem",
            "the first validation would be after 6, but the training ends after 5: "
            "lower val_interval or val_begin of train_cfg",
        )
    ]


def test_dynamic_intervals_override_val_interval():
    """Even a val_interval longer than the training."""
    assert findings_of(val_interval=20, max_epochs=10, dynamic_intervals=[[5, 1]]) == []
    assert findings_of(val_interval=20, max_epochs=10, dynamic_intervals=[[0, 1]]) == []


def test_single_epoch_is_validated():
    assert findings_of(max_epochs=1) == []


def test_late_validation_in_user_loop_is_a_note():
    """A user loop may validate at other times than mmengine's."""
    ((severity, text),) = findings_of(type="MyLoop", max_epochs=5, val_begin=6)
    assert severity == "note"
    assert text.endswith(", unless MyLoop has another idea of that")
    full_name = "mmengine.runner.EpochBasedTrainLoop"
    ((severity, _),) = findings_of(type=full_name, max_epochs=5, val_begin=6)
    assert severity == "problem"


@pytest.mark.parametrize(
    ("train", "message"),
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
def test_invalid_interval_is_a_problem(train, message):
    """The message names the value and the expected one."""
    ((severity, text),) = findings_of(max_epochs=5, **train)
    assert severity == "problem"
    assert message in text


@pytest.mark.parametrize("run", [None, len])
def test_replaced_run_is_assumed_to_validate_at_the_end(monkeypatch, run):
    monkeypatch.setattr(EpochBasedTrainLoop, "run", run)
    assert findings_of(max_epochs=5, val_interval=6) == []


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
    assert (findings_of(max_epochs=5, val_interval=6) == []) == validates
