"""Evaluators that override ``process`` or ``evaluate``."""

from __future__ import annotations

import logging
import math

import pytest
from mmengine.evaluator import Evaluator
from support.tiny import Seen, counting, element, make_runner, sample

from valloss_compat._recording import recorder as recorder_module
from valloss_compat._recording.accumulator import LossSum
from valloss_compat._recording.context import WeakIdentityMap


@pytest.fixture
def logged(monkeypatch):
    """The warnings in mmengine's log, as a list."""
    messages = []

    def record(message, logger=None, level=None):
        assert (logger, level) == ("current", logging.WARNING)
        messages.append(message)

    monkeypatch.setattr("valloss_compat._recording.monitor_warnings.print_log", record)
    return messages


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
    tmp_path, evaluator_class, seen
):
    """With and without ``super()``."""
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


def test_epoch_ends_with_evaluate(tmp_path):
    """A second ``evaluate`` has no losses to report."""
    runner = make_runner(tmp_path, counting)
    assert runner.val()["val_loss"] == 1.5
    runner.val_evaluator.metrics[0].results.append(1)
    assert runner.val_evaluator.evaluate(1) == {"n/seen": 1.0}
    assert runner.val_loop.val_loss["loss"].mean() == 1.5


def test_only_the_last_loss_element_is_extracted(tmp_path):
    """One before it stays, as in native mmengine."""
    runner = make_runner(
        tmp_path, lambda *_: [sample(), element(loss=1.0), element(loss=5.0)], length=1
    )
    assert runner.val() == {"n/seen": 2.0, "loss": 5.0, "val_loss": 5.0}


def test_loss_with_the_name_of_a_metric_replaces_it_with_one_warning(tmp_path, logged):
    """The warning names the loss, and is not repeated in the next epoch."""
    runner = make_runner(
        tmp_path, lambda *_: [sample(), element(**{"n/seen": 9.0, "loss": 1.0})]
    )
    assert runner.val() == {"n/seen": 9.0, "loss": 1.0, "val_loss": 1.0}
    runner.val()
    assert logged == [
        "valloss_compat: the loss 'n/seen' has the name of a metric and replaces it; "
        "give the metric a prefix or the loss another name"
    ]


def test_losses_without_loss_in_a_name_have_no_total_and_one_warning(tmp_path, logged):
    """The losses themselves are reported."""
    runner = make_runner(tmp_path, lambda *_: [sample(), element(l1=1.0, acc=2.0)])
    assert runner.val() == {"n/seen": 2.0, "l1": 1.0, "acc": 2.0}
    runner.val()
    assert logged == [
        "valloss_compat: there is no val_loss: none of the loss names ['acc', 'l1'] "
        "contains 'loss', as mmengine's total asks for"
    ]


def test_nan_stays_in_the_mean_with_one_warning_an_epoch(tmp_path, logged):
    """The warning has the index of the first batch with NaN."""

    def respond(index, inputs):
        return [sample(), element(loss=math.nan if index % 3 else 1.0)]

    runner = make_runner(tmp_path, respond, length=3)
    for _ in range(2):
        assert math.isnan(runner.val()["val_loss"])
    assert (
        logged
        == [
            "valloss_compat: the loss 'loss' is NaN in this epoch, first in the batch "
            "with index 1"
        ]
        * 2
    )


def test_metrics_that_are_no_dict_are_returned_unchanged(tmp_path, logged):
    """One warning says that the losses are not reported."""

    class NoDict(Evaluator):
        def evaluate(self, size):
            return None

    runner = make_runner(tmp_path, counting, val_evaluator=NoDict([]))
    evaluator = runner.build_evaluator(runner._val_evaluator)
    for _ in range(2):
        evaluator.process([sample(), element(loss=1.0)])
        assert evaluator.evaluate(1) is None
    assert logged == [
        "valloss_compat: the losses are not reported: NoDict.evaluate returned "
        "NoneType, and a dict is needed to add val_loss to"
    ]


def test_warnings_are_in_the_log_file_of_the_run(tmp_path):
    """The logger of mmengine writes them."""
    runner = make_runner(
        tmp_path, lambda *_: [sample(), element(l1=1.0)], log_level="WARNING"
    )
    runner.val()
    texts = [path.read_text() for path in tmp_path.rglob("*.log")]
    assert any("valloss_compat: there is no val_loss" in text for text in texts)


def test_ranks_exchange_sums_in_one_collective(tmp_path, monkeypatch):
    """Every rank reports the mean over all; a rank without losses takes part."""
    calls = []

    def gather(mine):
        calls.append(mine[1])
        return [mine, ("batch", {"loss": LossSum(9.0, 2, None)}), ("batch", {})]

    monkeypatch.setattr(recorder_module, "get_world_size", lambda: 3)
    monkeypatch.setattr(recorder_module, "all_gather_object", gather)
    runner = make_runner(tmp_path, counting)
    assert runner.val() == {"n/seen": 2.0, "loss": 3.0, "val_loss": 3.0}
    assert runner.val_loop.val_loss["loss"].mean() == 3.0
    runner.model.respond = lambda *_: [sample()]
    assert runner.val() == {"n/seen": 2.0, "loss": 4.5, "val_loss": 4.5}
    assert calls == [{"loss": LossSum(3.0, 2, None)}, {}]
    # Outside of a run as well, as metrics wait for all ranks there.
    runner.val_evaluator.metrics[0].results.append(1)
    assert runner.val_evaluator.evaluate(1)["val_loss"] == 4.5
    # One rank may evaluate alone where no metric does.
    runner.val_evaluator.metrics.clear()
    assert runner.val_evaluator.evaluate(1) == {}
    assert len(calls) == 3


def test_ranks_with_different_weightings_raise(tmp_path, monkeypatch):
    """Two weightings in one mean would be a wrong number."""
    monkeypatch.setattr(recorder_module, "get_world_size", lambda: 2)
    monkeypatch.setattr(
        recorder_module, "all_gather_object", lambda own: [own, ("sample", {})]
    )
    with pytest.raises(RuntimeError, match=r"weighting is \('batch', 'sample'\)"):
        make_runner(tmp_path, counting).val()


@pytest.mark.parametrize(
    ("losses", "name"),
    [
        ({"loss": 3.0, "loss_a": 1.0, "loss_b": 2.0}, "loss"),
        ({"loss_cls": 2.0, "loss": 2.0}, "loss_cls"),
        ({"loss_cls": 1.0, "val_loss": 3.0}, "val_loss"),
        ({"acc": 0.5, "val_loss": 3.0}, "val_loss"),
    ],
)
def test_total_among_its_parts_is_reported_with_one_warning(
    tmp_path, logged, losses, name
):
    """It counts twice, as in native mmengine."""
    runner = make_runner(tmp_path, lambda *_: [sample(), element(**losses)])
    for _ in range(2):
        total = sum(value for key, value in losses.items() if "loss" in key)
        assert runner.val()["val_loss"] == total
    (message,) = logged
    assert message.startswith("valloss_compat: val_loss counts losses twice")
    assert f"the loss {name!r} is the sum of the others" in message


@pytest.mark.parametrize(
    "losses",
    [
        {"loss": 3.0},
        {"loss": 3.0, "loss_a": 1.0, "loss_b": 2.1},
        {"loss_a": 0.0, "loss_b": 0.0},
        {"loss_a": math.nan, "loss_b": math.nan},
    ],
)
def test_losses_without_their_total_have_no_warning(tmp_path, logged, losses):
    """None counts twice."""
    make_runner(tmp_path, lambda *_: [sample(), element(**losses)]).val()
    assert not [message for message in logged if "counts losses twice" in message]


def test_weak_identity_map_forgets_collected_keys():
    """It neither hashes its keys nor keeps them alive."""

    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

    values = WeakIdentityMap(list)
    owner = Unhashable()
    values[owner].append(1)
    assert values[owner] == [1]
    assert len(values) == 1
    del owner
    assert len(values) == 0
