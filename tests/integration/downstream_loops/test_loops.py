"""Loops with a run of their own: each pass reports its own loss, under its prefix."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from support.tiny import Seen, loader

import valloss_compat
from integration.downstream_loops import models, stand_ins
from integration.downstream_loops.rows import each
from integration.downstream_loops.scenes import Scene, clean


class Row(NamedTuple):
    """What a loop needs, and what it makes of two batches with the inputs 0 and 1.

    Attributes:
        model (type): Of the model.
        passes (list): For each after_val_epoch, the passes in it: the prefix
            of their metrics, and the level of who is asked.
        loop (dict): More arguments of the loop.
        beside (dict): Metrics that the loop itself adds to each pass.
    """

    model: Any
    passes: Any
    loop: Any = ()
    beside: Any = ()


ROWS = {
    "TeacherStudentValLoop": Row(
        models.Halves, [[("teacher/", 10.0), ("student/", 20.0)]]
    ),
    "SingleTeacherDistillValLoop": Row(
        models.Student, [[("", 0.0), ("teacher.", 10.0)]]
    ),
    "SelfDistillValLoop": Row(models.Talker, [[("student.", 0.0)]]),
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
    """What the loop under test needs and does."""
    return ROWS[cls.__name__]


@pytest.fixture
def metric():
    """The metric that is told the results."""
    return Seen()


@pytest.fixture
def scene(tmp_path, cls, row, metric):
    """A Runner that validates with the loop under test."""
    return Scene(
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
            found = {"n/seen": 2.0, **dict(row.beside)}
            if with_losses:
                mean = level + shift + 0.5
                found.update(loss=mean, val_loss=mean)
            epochs[-1].update({prefix + name: value for name, value in found.items()})
    return epochs


@each(*LOOPS)
def test_each_pass_reports_its_own_loss(scene, row):
    """No pass sees another's, and no validation that of the one before."""
    for shift in (0.0, 100.0):
        metrics, _ = scene.run(shift=shift)
        assert metrics == expected(row, shift)


@each(*LOOPS)
def test_hooks_and_metrics_see_clean_results_in_each_pass(scene, row, metric):
    """One result a batch and pass; the loss element is in none of them."""
    _, results = scene.run()
    assert results == 2 * sum(map(len, row.passes))
    assert {len(outputs) for outputs in scene.spy.outputs} == {1}
    assert len(metric.samples) == results
    assert clean(metric)


@each(*LOOPS)
def test_a_validation_that_raises_leaves_nothing_behind(scene, row):
    """In the first pass and in the last: the next validation is as any other."""
    for at in (2, 2 * sum(map(len, row.passes))):
        scene.fail(at)
        scene.runner.val_evaluator.metrics[0].results.clear()  # not ours to forget
        metrics, _ = scene.run(shift=float(at))
        assert metrics == expected(row, float(at))


@each(*LOOPS)
def test_without_losses_the_metrics_are_as_without_us(scene, row):
    """A model that says no loss, before and after revert."""
    assert scene.run(silent=True)[0] == expected(row, with_losses=False)
    valloss_compat.revert()
    assert scene.run()[0] == expected(row, with_losses=False)


@each(*LOOPS)
def test_the_message_hub_has_the_loss_under_the_prefix(scene, row):
    """One value a validation; of QATValLoop's two epochs the last one stays."""
    for shift in (0.0, 100.0):
        scene.run(shift=shift)
    hub = scene.runner.message_hub
    for prefix, level in row.passes[-1]:
        for name in ("loss", "val_loss"):
            history, _ = hub.get_scalar(f"val/{prefix}{name}").data
            mean = level + 0.5
            once = len(row.passes) > 1
            assert list(history) == ([mean + 100.0] if once else [mean, mean + 100.0])


@each(*LOOPS)
def test_the_log_shows_the_loss_of_this_validation(scene, row):
    """Not smoothed over past ones, for all that the name has a prefix."""
    for shift in (0.0, 100.0):
        scene.run(shift=shift)
    tag = scene.tag()
    for prefix, level in row.passes[-1]:
        assert tag[f"{prefix}val_loss"] == level + 100.5


@each(*LOOPS)
def test_status_names_the_loop(cls, row):
    """A loop that has methods of its own is seen, and said so."""
    name = f"{cls.__module__}.{cls.__qualname__}"
    overrides = valloss_compat.status().overrides
    assert f"{name}.run" in overrides
    assert (f"{name}.run_iter" in overrides) == (cls.__name__ == "QATValLoop")


@each(stand_ins.TeacherStudentValLoop, stand_ins.SingleTeacherDistillValLoop)
def test_weighting_by_sample_holds_in_each_pass(scene, row):
    """A last batch that is smaller counts less, for the teacher too."""
    valloss_compat.configure(weighting="sample")
    scene.runner._val_dataloader = loader(3, batch_size=2)
    ((metrics,), _) = scene.run()
    for prefix, level in row.passes[0]:
        assert metrics[f"{prefix}val_loss"] == level + 1.0
