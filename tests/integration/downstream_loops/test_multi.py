"""Loops over several datasets, with an evaluator for each: mmagic's."""

from __future__ import annotations

import sys

import pytest
from support.tiny import Seen

import valloss_compat
from integration.downstream_loops import stand_ins_multi
from integration.downstream_loops.models import LossModel
from integration.downstream_loops.rows import REALS, each
from integration.downstream_loops.validation import Validation, clean, labelled

BOTH = (stand_ins_multi.MultiValLoop, stand_ins_multi.MultiTestLoop)


class Sampled(Seen):
    """A metric with its own sampler that needs no size, as mmagic's."""

    SAMPLER_MODE = "normal"
    sample_model = "ema"

    def __init__(self, prefix, mode="normal"):
        super().__init__()
        self.prefix = prefix
        self.SAMPLER_MODE = mode

    def prepare(self, module, dataloader):
        self.prepared = True

    def get_metric_sampler(self, model, dataloader, metrics):
        return dataloader

    def evaluate(self):
        found = self.compute_metrics(self.results)
        self.results.clear()
        return {f"{self.prefix}/{name}": value for name, value in found.items()}


@pytest.fixture
def stage(cls):
    """The stage of the loop under test."""
    return "test" if cls.__name__ == "MultiTestLoop" else "val"


@pytest.fixture
def evaluator(cls):
    """The evaluator that goes with the loop under test."""
    if cls.__module__ == stand_ins_multi.__name__:
        return stand_ins_multi.SampledEvaluator
    return next(place for place in REALS if place.name == "Evaluator").load()


@pytest.fixture
def make(tmp_path, cls, stage, evaluator):
    """Make a Runner with such a loop, from the metrics of each dataset."""
    # The loop warns of datasets without metainfo.
    known = {"name": "numbers"}

    def make(*metrics, about=known):
        options = {
            f"{stage}_cfg": {"type": cls},
            # Two batches, then three, then four.
            f"{stage}_dataloader": [
                labelled(2 + number, metainfo=about) for number in range(len(metrics))
            ],
            f"{stage}_evaluator": [evaluator(found) for found in metrics],
        }
        return Validation(tmp_path, LossModel(), **options)

    return make


@each(*BOTH)
def test_loss_is_over_the_batches_of_all_datasets(make, stage):
    """It comes with the metrics of the last: an equal name twice is a ValueError."""
    validation = make([Sampled("one")], [Sampled("two")])
    for shift in (0.0, 10.0):
        metrics, results = validation.run(stage, shift=shift)
        mean = pytest.approx((0 + 1 + 0 + 1 + 2) / 5 + shift, abs=1e-9)
        loss = {"loss": mean, f"{stage}_loss": mean}
        assert metrics == [{"one/seen": 2.0, "two/seen": 3.0, **loss}]
        assert list(metrics[0])[-2:] == ["loss", f"{stage}_loss"]
        assert results == 5


@each(*BOTH)
def test_single_dataset_reports_its_loss(make, stage):
    """A list of one evaluator."""
    validation = make([Sampled("one")])
    for shift in (0.0, 10.0):
        ((metrics,), _) = validation.run(stage, shift=shift)
        loss = {"loss": 0.5 + shift, f"{stage}_loss": 0.5 + shift}
        assert metrics == {"one/seen": 2.0, **loss}


@each(*BOTH)
def test_each_sampler_counts_in_the_loss(make, stage):
    """For metrics with samplers of their own, every evaluated batch counts."""
    validation = make(
        [Sampled("one"), Sampled("noise", mode="noise")], [Sampled("two")]
    )
    ((metrics,), results) = validation.run(stage)
    mean = pytest.approx((0 + 1 + 0 + 1 + 0 + 1 + 2) / 7, abs=1e-9)
    assert metrics[f"{stage}_loss"] == mean
    assert results == 7


@each(*BOTH)
def test_metrics_of_all_datasets_get_no_loss_element(make, stage):
    """Also where process takes a third argument."""
    metrics = [Sampled("one"), Sampled("two")]
    make(*[[metric] for metric in metrics]).run(stage)
    assert all(map(clean, metrics))
    assert [len(metric.samples) for metric in metrics] == [2, 3]


@pytest.mark.filterwarnings("ignore:Dataset Labelled has no metainfo")
@each(*BOTH)
def test_last_evaluator_may_have_no_metrics(make, stage):
    """It reports the loss although it got no batch."""
    validation = make([Sampled("one")], None, about={})  # it fails at any metainfo
    # Its 'Nan' is a string, which hooks take from mmengine 0.5.0 on only.
    validation.runner._hooks = [validation.spy]
    ((metrics,), _) = validation.run(stage)
    loss = {"loss": 0.5, f"{stage}_loss": 0.5}
    assert metrics == {"one/seen": 2.0, "No Metric": "Nan", **loss}


@each(*BOTH)
def test_equal_names_of_metrics_still_raise(make, stage):
    """The loop raises, and nothing of that validation is left."""
    metrics = [Sampled("one"), Sampled("one")]
    validation = make(*[[metric] for metric in metrics])
    before = validation.namespaces(stage)
    with pytest.raises(ValueError, match="different prefix"):
        getattr(validation.runner, stage)()
    validation.check(before, stage)
    metrics[1].prefix = "two"
    ((found,), _) = validation.run(stage, shift=10.0)
    assert found[f"{stage}_loss"] == pytest.approx(10.8, abs=1e-9)


@each(*BOTH)
def test_run_that_raises_in_any_dataset_leaves_nothing_behind(make, stage):
    """In the first and in the last: the next run is not affected."""
    metrics = [Sampled("one"), Sampled("two")]
    validation = make(*[[metric] for metric in metrics])
    for at in (2, 5):
        validation.fail(at, stage)
        for metric in metrics:
            metric.results.clear()  # mmengine does not clear them
        ((found,), _) = validation.run(stage, shift=float(at))
        assert found[f"{stage}_loss"] == pytest.approx(0.8 + at, abs=1e-9)
        assert found["two/seen"] == 3.0


@each(*BOTH)
def test_message_hub_and_log_have_the_loss(make, stage):
    """Not smoothed: the loss of this run."""
    validation = make([Sampled("one")], [Sampled("two")])
    for shift in (0.0, 10.0):
        ((metrics,), _) = validation.run(stage, shift=shift)
    last = metrics[f"{stage}_loss"]
    hub = validation.runner.message_hub
    assert hub.get_scalar(f"{stage}/{stage}_loss").current() == last
    tag = validation.tag(stage)
    assert tag[f"{stage}_loss"] == last
    assert tag[f"{stage}/loss"] == last


@each(*BOTH)
def test_metrics_without_losses_are_unchanged(make, stage):
    """For a model without a loss, and after revert."""
    validation = make([Sampled("one")], [Sampled("two")])
    expected = [{"one/seen": 2.0, "two/seen": 3.0}]
    assert validation.run(stage, silent=True)[0] == expected
    valloss_compat.revert()
    assert validation.run(stage)[0] == expected


@each(*BOTH)
def test_weighting_by_sample_is_over_all_datasets(make, stage):
    """Batches of two and of one, in both datasets."""
    valloss_compat.configure(weighting="sample")
    validation = make([Sampled("one")], [Sampled("two")])
    loop = getattr(validation.runner, f"{stage}_loop")
    loop.dataloaders = [labelled(n, 2, metainfo={"name": "numbers"}) for n in (3, 4)]
    ((metrics,), _) = validation.run(stage)
    mean = pytest.approx((0 + 1 + 2 + 0 + 1 + 2 + 3) / 7, abs=1e-9)
    assert metrics[f"{stage}_loss"] == mean


@each(*BOTH)
def test_status_names_loop_and_evaluator(cls, evaluator):
    """With each method that they override."""
    overrides = valloss_compat.status().overrides
    for known, methods in ((cls, ("run",)), (evaluator, ("process", "evaluate"))):
        for method in methods:
            name = f"{known.__module__}.{known.__qualname__}.{method}"
            assert name in overrides
            assert known.__module__ in sys.modules
