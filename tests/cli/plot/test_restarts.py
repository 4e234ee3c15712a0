"""What plot makes of the restarts of a run: what was done again, and what stays."""

from __future__ import annotations

import pytest

from cli.plot.runs import join, places, values
from cli.plot.work_dirs import epochs, iterations, write


def test_a_restart_with_other_batches_stays_within_its_epochs(tmp_path):
    """Half the iterations an epoch: the x axis in epochs does not go back."""
    write(tmp_path / "20260101_000000", epochs([4.0, 3.0], length=10))
    later = epochs([2.0, 1.0], length=5, begin=3)
    run = join(write(tmp_path / "20260101_000100", later))
    found = places(run, tag="loss", train=True)
    assert found == sorted(found)
    assert places(run) == [1, 2, 3, 4]


def test_a_restart_with_longer_epochs_stays_within_them(tmp_path):
    """Twice the iterations an epoch, as of smaller batches: nothing goes back."""
    write(tmp_path / "20260101_000000", epochs([4.0, 3.0], length=5))
    later = [
        {"lr": 0.1, "loss": 1.0, "epoch": 3 + i // 2, "iter": step, "step": step}
        for i, step in enumerate((15, 20, 25, 30))
    ]
    run = join(write(tmp_path / "20260101_000100", later))
    assert places(run, tag="loss", train=True) == [1, 2, 2, 2, 3, 3]


@pytest.mark.parametrize("lines", [epochs([4.0]), iterations([4.0])])
def test_a_restart_that_validates_first(tmp_path, lines):
    """At 0, so that it did all again."""
    first = {"val_loss": 5.0, "step": 0}
    write(tmp_path / "20260101_000000", [first, *lines])
    run = join(write(tmp_path / "20260101_000100", [first, *lines]))
    assert values(run) == [5.0, 4.0]
    assert run.notes == [
        f"the restart 20260101_000100 did {run.unit.replace('iter', 'iteration')} 0 "
        "and later again: the earlier lines on that are left out"
    ]


def test_a_restart_of_a_single_line(tmp_path):
    """Is named by that line."""
    write(tmp_path / "20260101_000000", iterations([4.0, 3.0]))
    work_dir = write(tmp_path / "20260101_000100", iterations([9.0])[:1])
    (note,) = join(work_dir).notes
    assert note.startswith("the restart 20260101_000100 did iteration 10 and later")


@pytest.mark.parametrize("together", [False, True])
def test_epochs_that_are_logged_from_a_restart_on(tmp_path, together):
    """What LogProcessor(by_epoch=False) logged before has its iterations alone."""
    before = [{"lr": 0.1, "loss": 1.0, "step": step} for step in (5, 10)]
    after = epochs([2.0, 1.0], begin=2)
    starts = [before + after] if together else [before, after]
    for minute, lines in enumerate(starts):
        work_dir = write(tmp_path / f"20260101_000{minute}00", lines)
    run = join(work_dir)
    assert run.unit == "epoch"
    assert places(run, "iter", "loss", True) == list(range(5, 31, 5))
    assert places(run, tag="loss", train=True) == [None, None, 1.5, 2, 2.5, 3]


def test_a_restart_from_the_beginning_replaces_all(tmp_path):
    """Of an iteration-based training too."""
    write(tmp_path / "20260101_000000", iterations([4.0, 3.0, 2.0]))
    run = join(write(tmp_path / "20260101_000100", iterations([9.0, 8.0])))
    assert values(run) == [9.0, 8.0]
    assert run.notes[0].startswith("the restart 20260101_000100 did iteration 10 and")


def test_a_restart_that_goes_on_keeps_all(tmp_path):
    """Nothing was done twice, so there is nothing to tell."""
    write(tmp_path / "20260101_000000", iterations([4.0, 3.0]))
    later = [line for line in iterations([0, 0, 2.0, 1.0]) if line["step"] > 20]
    run = join(write(tmp_path / "20260101_000100", later))
    assert values(run) == [4.0, 3.0, 2.0, 1.0]
    assert run.notes == []


def test_all_starts_in_one_file(tmp_path):
    """As a visualizer with a save_dir appends them."""
    lines = epochs([4.0, 3.0]) + epochs([2.0, 1.0], begin=2)
    run = join(write(tmp_path / "run", lines) / "run")
    assert values(run) == [4.0, 2.0, 1.0]


def test_a_start_in_one_file_that_begins_where_the_last_one_ended(tmp_path):
    """At the same iteration: it did that again."""
    lines = iterations([4.0]) + iterations([2.0, 1.0])
    run = join(write(tmp_path / "run", lines) / "run")
    assert values(run) == [2.0, 1.0]


def test_a_validation_alone_is_no_restart(tmp_path):
    """It would begin at 0, and leave nothing of the training."""
    write(tmp_path / "20260101_000000", epochs([4.0, 3.0]))
    alone = [{"val_loss": 7.0, "step": 0}]
    work_dir = write(tmp_path / "20260101_000100", alone)
    run = join(work_dir)
    assert values(run) == [4.0, 3.0]
    assert run.notes == ["left out what only validated, without a training"]
    assert values(join(work_dir / "20260101_000100")) == [7.0]
