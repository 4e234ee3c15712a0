"""The report of an epoch, and its warnings."""

from __future__ import annotations

import logging
import math

import pytest
from mmengine.evaluator import Evaluator
from support.tiny import Seen, counting, element, make_runner, sample


@pytest.fixture
def logged(monkeypatch):
    """The warnings in mmengine's log, as a list."""
    messages = []

    def record(message, logger=None, level=None):
        assert logger == "current"
        if level == logging.WARNING:  # a run logs that it is patched
            messages.append(message)

    monkeypatch.setattr("valloss_compat._recording.monitor_warnings.print_log", record)
    return messages


def test_loss_with_the_name_of_a_metric_replaces_it_with_one_warning(tmp_path, logged):
    """The warning names the loss, and is not repeated in the next epoch."""
    runner = make_runner(
        tmp_path, lambda *_: [sample(), element(**{"n/seen": 9.0, "loss": 1.0})]
    )
    assert runner.val() == {"n/seen": 9.0, "loss": 1.0, "val_loss": 1.0}
    runner.val()
    assert logged == [
        "valloss_compat: the loss 'n/seen' has the name of a metric and replaces it. "
        "Fix: give the metric a prefix or the loss another name"
    ]


def test_reported_loss_in_a_reused_dict_is_not_taken_for_a_metric(tmp_path):
    """It is the loss of the epoch before. A metric of that name is reported."""

    class OneDict(Evaluator):
        found = {"acc": 0.5}  # noqa: RUF012

        def evaluate(self, size):
            return self.found

    runner = make_runner(tmp_path, counting, val_evaluator=OneDict([Seen()]))
    messages = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())
    runner.logger.addHandler(handler)
    runner.logger.setLevel(logging.WARNING)
    for mean in (1.5, 3.5):
        assert runner.val() == {"acc": 0.5, "loss": mean, "val_loss": mean}
    OneDict.found["loss"] = 8.0
    assert messages == []
    runner.val()
    assert ["'loss' has the name of a metric" in text for text in messages] == [True]


def test_losses_without_loss_in_a_name_have_no_total_and_one_warning(tmp_path, logged):
    """The losses themselves are reported."""
    runner = make_runner(tmp_path, lambda *_: [sample(), element(l1=1.0, acc=2.0)])
    assert runner.val() == {"n/seen": 2.0, "l1": 1.0, "acc": 2.0}
    runner.val()
    assert logged == [
        "valloss_compat: there is no val_loss: it is the sum of the losses with "
        "'loss' in the name, and the names are ['acc', 'l1']. Fix: rename one"
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
        "valloss_compat: val_loss is not reported: NoDict.evaluate returned NoneType, "
        "but a dict is expected"
    ]


def test_warnings_are_in_the_log_file_of_the_run(tmp_path):
    """The logger of mmengine writes them."""
    runner = make_runner(
        tmp_path, lambda *_: [sample(), element(l1=1.0)], log_level="WARNING"
    )
    runner.val()
    texts = [path.read_text() for path in tmp_path.rglob("*.log")]
    assert any("valloss_compat: there is no val_loss" in text for text in texts)


@pytest.mark.parametrize(
    ("losses", "name"),
    [
        ({"loss": 3.0, "loss_a": 1.0, "loss_b": 2.0}, "loss"),
        ({"loss_cls": 2.0, "loss": 2.0}, "loss"),
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
        {"loss_i2t": 2.0, "loss_t2i": 2.0},
        {"loss": 1.0, "acc": 0.5},
        {"loss_a": math.nan, "loss_b": math.nan},
    ],
)
def test_losses_without_their_total_have_no_warning(tmp_path, logged, losses):
    """None counts twice."""
    make_runner(tmp_path, lambda *_: [sample(), element(**losses)]).val()
    assert not [message for message in logged if "counts losses twice" in message]
