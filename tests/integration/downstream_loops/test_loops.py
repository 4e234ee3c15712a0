"""Loops that override run: each pass reports its loss under its prefix."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from support.tiny import Seen, loader

import valloss_compat
from integration.downstream_loops import models, stand_ins
from integration.downstream_loops.rows import each
from integration.downstream_loops.validation import Validation, clean


class Row(NamedTuple):
    """What a loop needs, and its passes over two batches with the inputs 0 and 1.

    Attributes:
        model (type): The class of the model.
        passes (list): For each after_val_epoch, its passes: the prefix of their
            metrics, and the level of the model.
        loop (dict): More arguments of the loop.
        added (dict): Metrics that the loop adds to each pass.
    """

    model: Any
    passes: Any
    loop: Any = ()
    added: Any = ()


ROWS = {
    "TeacherStudentValLoop": Row(
        models.Halves, [[("teacher/", 10.0), ("student/", 20.0)]]
    ),
    "SingleTeacherDistillValLoop": Row(
        models.Student, [[("", 0.0), ("teacher.", 10.0)]]
    ),
    "SelfDistillValLoop": Row(models.LossModel, [[("student.", 0.0)]]),
    "SubnetValLoop": Row(
        models.Supernet,
        [[("max_subnet.", 30.0), ("min_subnet.", 20.0), ("random_subnet.", 10.0)]],
        {"estimator_cfg": {"type": models.Estimator}},
        {"flops": 3.0},
    ),
    "SlimmableValLoop": Row(
        models.Supernet, [[("subnet_0.", 10.0), ("subnet_1.", 20.0)]]
    ),
    "ItePruneValLoop": Row(models.Supernet, [[("", 0.0)]]),
    "QATValLoop": Row(models.Quantized, [[("qat.", 0.0)], [("original.", 10.0)]]),
}
LOOPS = [getattr(stand_ins, name) for name in ROWS]


@pytest.fixture
def row(cls):
    """The row of the loop under test."""
    return ROWS[cls.__name__]


@pytest.fixture
def metric():
    """The metric that gets the results."""
    return Seen()


@pytest.fixture
def validation(tmp_path, cls, row, metric):
    """A Runner that validates with the loop under test."""
    return Validation(
        tmp_path,
        row.model(),
        metric=metric,
        val_cfg={"type": cls, **dict(row.loop)},
        # SubnetValLoop calibrates on these; other inputs than in a validation.
        train_dataloader=loader(5, batch_size=5),
        train_cfg={"by_epoch": True, "max_epochs": 1},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
    )


def expected(row, shift=0.0, with_losses=True):
    """The metrics of each after_val_epoch."""
    epochs = []
    for passes in row.passes:
        epochs.append({})
        for prefix, level in passes:
            found = {"n/seen": 2.0, **dict(row.added)}
            if with_losses:
                mean = level + shift + 0.5
                found.update(loss=mean, val_loss=mean)
            epochs[-1].update({prefix + name: value for name, value in found.items()})
    return epochs


@each(*LOOPS)
def test_each_pass_reports_its_own_loss(validation, row):
    """Losses do not leak into other passes or the next validation."""
    for shift in (0.0, 100.0):
        metrics, _ = validation.run(shift=shift)
        assert metrics == expected(row, shift)


@each(*LOOPS)
def test_hooks_and_metrics_get_no_loss_element_in_any_pass(validation, row, metric):
    """They get one result a batch and pass."""
    _, results = validation.run()
    assert results == 2 * sum(map(len, row.passes))
    assert {len(outputs) for outputs in validation.spy.outputs} == {1}
    assert len(metric.samples) == results
    assert clean(metric)


@each(*LOOPS)
def test_raising_validation_leaves_nothing_behind(validation, row):
    """In the first and in the last pass: the next validation is not affected."""
    for at in (2, 2 * sum(map(len, row.passes))):
        validation.fail(at)
        evaluator = validation.runner.val_evaluator
        evaluator.metrics[0].results.clear()  # mmengine does not clear them
        metrics, _ = validation.run(shift=float(at))
        assert metrics == expected(row, float(at))


@each(*LOOPS)
def test_metrics_without_losses_are_unchanged(validation, row):
    """For a model without a loss, and after revert."""
    assert validation.run(silent=True)[0] == expected(row, with_losses=False)
    valloss_compat.revert()
    assert validation.run()[0] == expected(row, with_losses=False)


@each(*LOOPS)
def test_message_hub_has_the_loss_under_the_prefix(validation, row):
    """One value a validation; of QATValLoop's two epochs the last one stays."""
    for shift in (0.0, 100.0):
        validation.run(shift=shift)
    hub = validation.runner.message_hub
    for prefix, level in row.passes[-1]:
        for name in ("loss", "val_loss"):
            history, _ = hub.get_scalar(f"val/{prefix}{name}").data
            mean = level + 0.5
            once = len(row.passes) > 1
            assert list(history) == ([mean + 100.0] if once else [mean, mean + 100.0])


@each(*LOOPS)
def test_log_has_the_loss_of_this_validation(validation, row):
    """A name with a prefix is not smoothed over past validations either."""
    for shift in (0.0, 100.0):
        validation.run(shift=shift)
    tag = validation.tag()
    for prefix, level in row.passes[-1]:
        assert tag[f"{prefix}val_loss"] == level + 100.5


@each(*LOOPS)
def test_status_names_the_loop(cls, row):
    """With the methods that it overrides."""
    name = f"{cls.__module__}.{cls.__qualname__}"
    overrides = valloss_compat.status().overrides
    assert f"{name}.run" in overrides


@each(stand_ins.TeacherStudentValLoop, stand_ins.SingleTeacherDistillValLoop)
def test_weighting_by_sample_applies_to_each_pass(validation, row):
    """A last batch that is smaller counts less, for the teacher too."""
    valloss_compat.configure(weighting="sample")
    validation.runner._val_dataloader = loader(3, batch_size=2)
    ((metrics,), _) = validation.run()
    for prefix, level in row.passes[0]:
        assert metrics[f"{prefix}val_loss"] == level + 1.0
