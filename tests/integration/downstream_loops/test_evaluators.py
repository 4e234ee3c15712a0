"""Evaluators that override evaluate or process: mmdet's, mmocr's, mmpose's."""

from __future__ import annotations

import sys
from typing import ClassVar

import pytest
from support.tiny import Seen

import valloss_compat
from integration.downstream_loops import stand_ins_multi
from integration.downstream_loops.models import LossModel
from integration.downstream_loops.rows import each
from integration.downstream_loops.validation import Validation, clean, labelled


class Named(Seen):
    """A metric with a given prefix."""

    def __init__(self, prefix):
        super().__init__()
        self.prefix = prefix


class First:
    """A dataset, as mmpose's evaluator needs it."""

    METAINFO: ClassVar = {
        "dataset_name": "first",
        "keypoint_info": {0: {"name": "nose"}},
        "skeleton_info": {},
        "joint_weights": [1.0],
        "sigmas": [0.1],
    }


class Second:
    """Another dataset."""

    METAINFO: ClassVar = {**First.METAINFO, "dataset_name": "second"}


@pytest.fixture
def metrics():
    """One metric for each of two datasets."""
    return [Named("a"), Named("b")]


def slicing(tmp_path, cls, metrics, **options):
    """Validate four samples, the first of one dataset, three of the other."""
    evaluator = cls(metrics, dataset_prefixes=["first", "second"])
    data = labelled(4, metainfo={"cumulative_sizes": [1, 4]})
    return Validation(
        tmp_path, LossModel(), val_evaluator=evaluator, val_dataloader=data, **options
    )


def sliced(cls):
    """Return the expected metrics of an evaluator that slices, without losses."""
    found = {"first/a/seen": 1.0, "second/b/seen": 3.0}
    if cls.__module__.startswith("mmocr"):  # each metric over each dataset
        found.update({"second/a/seen": 3.0, "first/b/seen": 1.0})
    return found


def sorting(tmp_path, cls, metrics, **options):
    """Validate batches of two samples, one of each dataset in the first."""
    known = sys.modules[cls.__module__].DATASETS
    for dataset in (First, Second):
        known.register_module(module=dataset, force=True)
    evaluator = cls(metrics, datasets=[{"type": "First"}, {"type": "Second"}])
    about = {"dataset_name": "first", "names": {1: "second"}}
    data = labelled(3, 2, metainfo=about)
    return Validation(
        tmp_path, LossModel(), val_evaluator=evaluator, val_dataloader=data, **options
    )


@each(stand_ins_multi.MultiDatasetsEvaluator)
def test_overridden_evaluate_reports_the_loss(tmp_path, cls, metrics):
    """Over all datasets, with the metrics of each, and only of this validation."""
    validation = slicing(tmp_path, cls, metrics)
    for shift in (0.0, 10.0):
        ((found,), results) = validation.run(shift=shift)
        loss = {"loss": 1.5 + shift, "val_loss": 1.5 + shift}
        assert found == {**sliced(cls), **loss}
        assert results == 4
    assert validation.runner.message_hub.get_scalar("val/val_loss").current() == 11.5
    assert validation.tag()["val_loss"] == 11.5


@each(stand_ins_multi.MultiDatasetEvaluator)
def test_overridden_process_reports_the_loss(tmp_path, cls, metrics):
    """Samples go to the metric of their dataset, the losses into one mean."""
    validation = sorting(tmp_path, cls, metrics)
    for shift in (0.0, 10.0):
        ((found,), results) = validation.run(shift=shift)
        mean = (0.5 + 2.0) / 2 + shift
        assert found == {"a/seen": 2.0, "b/seen": 1.0, "loss": mean, "val_loss": mean}
        assert results == 2
    assert validation.runner.message_hub.get_scalar("val/val_loss").current() == mean
    assert validation.tag()["val_loss"] == mean


@each(stand_ins_multi.MultiDatasetEvaluator)
def test_weighting_by_sample_counts_sorted_samples(tmp_path, cls, metrics):
    """The smaller last batch counts by its one sample."""
    valloss_compat.configure(weighting="sample")
    ((found,), _) = sorting(tmp_path, cls, metrics).run()
    assert found["val_loss"] == (0 + 1 + 2) / 3


MAKERS = {"MultiDatasetsEvaluator": slicing, "MultiDatasetEvaluator": sorting}
BOTH = [getattr(stand_ins_multi, name) for name in MAKERS]


@each(*BOTH)
def test_metrics_of_all_datasets_get_no_loss_element(tmp_path, cls, metrics):
    """The loss element is no sample of any dataset."""
    MAKERS[cls.__name__](tmp_path, cls, metrics).run()
    assert all(map(clean, metrics))


@each(*BOTH)
def test_raising_validation_leaves_nothing_behind(tmp_path, cls, metrics):
    """The next validation is not affected."""
    validation = MAKERS[cls.__name__](tmp_path, cls, metrics)
    expected = validation.run()[0]
    validation.fail(2)
    for metric in metrics:
        metric.results.clear()  # mmengine does not clear them
    assert validation.run()[0] == expected


@each(*BOTH)
def test_metrics_without_losses_are_unchanged(tmp_path, cls, metrics):
    """For a model without a loss, and after revert."""
    validation = MAKERS[cls.__name__](tmp_path, cls, metrics)
    with_losses = validation.run()[0][0]
    expected = {
        name: value for name, value in with_losses.items() if "loss" not in name
    }
    assert validation.run(silent=True)[0] == [expected]
    valloss_compat.revert()
    assert validation.run()[0] == [expected]


@each(*BOTH)
def test_status_names_the_evaluator(cls):
    """With the method that it overrides."""
    method = "process" if cls.__name__ == "MultiDatasetEvaluator" else "evaluate"
    name = f"{cls.__module__}.{cls.__qualname__}.{method}"
    assert name in valloss_compat.status().overrides
