"""Evaluators that override ``process`` or ``evaluate``."""

from __future__ import annotations

import pytest
from mmengine.evaluator import Evaluator
from support.tiny import Seen, counting, element, make_runner, sample

import valloss_compat


class OwnEvaluate(Evaluator):
    """As mmdet's MultiDatasetsEvaluator: prefixes, no super()."""

    def evaluate(self, size):
        metrics = {}
        for metric in self.metrics:
            for key, value in metric.evaluate(size).items():
                metrics[f"dataset/{key}"] = value
        return metrics


class OwnProcess(Evaluator):
    """As mmpose's MultiDatasetEvaluator: no super()."""

    def process(self, data_samples, data_batch=None):
        for metric in self.metrics:
            metric.process(data_batch, data_samples)


class SuperBoth(Evaluator):
    """Calls super() from both."""

    def process(self, *args, **kwargs):
        super().process(*args, **kwargs)

    def evaluate(self, size):
        return super().evaluate(size)


class Mixin:
    """A class that does not derive from Evaluator."""

    evaluate = vars(OwnEvaluate)["evaluate"].__wrapped__


class FromMixin(Mixin, Evaluator):
    """Gets ``evaluate`` from the mixin."""


@pytest.mark.parametrize("mode", ["default", "parity"])
@pytest.mark.parametrize(
    ("evaluator_class", "seen"),
    [
        (OwnEvaluate, "dataset/n/seen"),
        (FromMixin, "dataset/n/seen"),
        (OwnProcess, "n/seen"),
        (SuperBoth, "n/seen"),
    ],
)
def test_evaluators_that_override_methods_report_the_loss(
    tmp_path, evaluator_class, seen, mode
):
    """With and without ``super()``."""
    valloss_compat.apply(mode=mode)
    runner = make_runner(tmp_path, counting, val_evaluator=evaluator_class([Seen()]))
    assert runner.val() == {seen: 2.0, "loss": 1.5, "val_loss": 1.5}


def test_evaluator_class_changed_after_its_creation_reports_the_loss(tmp_path):
    """By an assignment, or because its creation was missed."""

    class Late(Evaluator):
        pass

    class WithoutSuper(Evaluator):
        def __init_subclass__(cls):
            """Without super()."""

    class Missed(WithoutSuper):
        process = vars(OwnProcess)["process"].__wrapped__

    Late.evaluate = vars(OwnEvaluate)["evaluate"].__wrapped__
    for evaluator_class, seen in ((Late, "dataset/n/seen"), (Missed, "n/seen")):
        runner = make_runner(
            tmp_path, counting, val_evaluator=evaluator_class([Seen()])
        )
        assert runner.val() == {seen: 2.0, "loss": 1.5, "val_loss": 1.5}


def test_evaluator_called_without_a_loop_reports_the_loss(tmp_path):
    """``data_samples`` may be a positional or a keyword argument."""
    runner = make_runner(tmp_path, counting)
    evaluator = runner.build_evaluator(runner._val_evaluator)
    evaluator.process([sample(), element(loss=1.0)])
    evaluator.process(data_samples=[sample(), element(loss=4.0)], data_batch=None)
    assert [len(samples) for samples in evaluator.metrics[0].samples] == [1, 1]
    assert evaluator.evaluate(2) == {"n/seen": 2.0, "loss": 2.5, "val_loss": 2.5}
    with pytest.raises(TypeError):
        evaluator.process()


class BatchFirst(Evaluator):
    """Takes the batch before the samples; no super()."""

    def process(self, data_batch, data_samples):
        for metric in self.metrics:
            metric.process(data_batch, data_samples)


def test_samples_given_by_name_are_those_behind_a_positional_batch(tmp_path):
    runner = make_runner(tmp_path, counting, val_evaluator=BatchFirst([Seen()]))
    evaluator = runner.build_evaluator(runner._val_evaluator)
    evaluator.process([sample()], data_samples=[sample(), element(loss=4.0)])
    assert [len(samples) for samples in evaluator.metrics[0].samples] == [1]
    assert evaluator.evaluate(1) == {"n/seen": 1.0, "loss": 4.0, "val_loss": 4.0}


def test_only_the_last_loss_element_is_extracted(tmp_path):
    """One before it stays, as in native mmengine."""
    runner = make_runner(
        tmp_path, lambda *_: [sample(), element(loss=1.0), element(loss=5.0)], length=1
    )
    assert runner.val() == {"n/seen": 2.0, "loss": 5.0, "val_loss": 5.0}
