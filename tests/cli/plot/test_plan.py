"""What plot makes of the plan in a config: epochs or iterations, and the end."""

from __future__ import annotations

import pytest

from cli.plot.runs import join, places
from cli.plot.work_dirs import epochs, iterations, plot, write
from valloss_compat._cli.plot import curves, scalars
from valloss_compat._cli.plot.curves import Planned


def test_the_plan_decides_what_is_counted(tmp_path):
    """A first epoch under way does not tell whether there will be a second."""
    lines = epochs([3.0], length=10)[:-1]
    work_dir = write(tmp_path / "a", lines)
    assert join(work_dir).unit == "epoch"
    assert join(work_dir, Planned(max_iters=100)).unit == "iter"


def test_epochs_that_are_not_logged(tmp_path):
    """LogProcessor(by_epoch=False): iterations all the same, whatever was planned."""
    run = join(write(tmp_path / "a", iterations([3.0, 2.0])), Planned(max_epochs=2))
    assert (run.unit, run.planned) == ("iter", None)
    assert places(run, "iter") == [10, 20]


def test_one_epoch_whose_validation_says_iterations(tmp_path):
    """Only the plan tells it from an iteration-based training."""
    lines = [*epochs([3.0], length=10)[:-1], {"val_loss": 3.0, "step": 10}]
    run = join(write(tmp_path / "a", lines), Planned(max_epochs=2))
    assert (run.unit, places(run)) == ("epoch", [1])


#: The interval of the log is another one from here on.
THIRDS = [{"lr": 0.1, "loss": 1.0, "step": step} for step in (15, 30)]


@pytest.mark.parametrize(
    ("lines", "plan", "went"),
    [
        (epochs([3.0, 2.0]), Planned(), None),
        (epochs([3.0, 2.0]), Planned(max_epochs=2), True),
        (epochs([3.0, 2.0]), Planned(max_epochs=3), False),
        (iterations([3.0, 2.0]), Planned(max_iters=20), True),
        (iterations([3.0, 2.0]), Planned(max_iters=29), True),  # not logged
        (iterations([3.0, 2.0]), Planned(max_iters=30), False),
        (iterations([3.0]), Planned(max_iters=20), False),
        (iterations([3.0]) + THIRDS, Planned(max_iters=40), True),  # not logged
    ],
)
def test_whether_a_run_got_to_its_end(tmp_path, lines, plan, went):
    """By what its config planned."""
    assert join(write(tmp_path / "a", lines), plan).went_through is went


@pytest.mark.parametrize(
    ("config", "plan"),
    [
        ("train_cfg = dict(by_epoch=True, max_epochs=40, val_interval=1)", (40, None)),
        (
            "train_cfg = {'type': 'IterBasedTrainLoop', 'max_iters': 80000}",
            (None, 80000),
        ),
        (
            "a = 1\ntrain_cfg = dict(max_epochs=2)\ntrain_cfg = dict(max_epochs=3)",
            (3, None),
        ),
        (
            "train_cfg = dict(max_epochs=4)\nval_cfg = dict()\nmodel = dict(type='A')",
            (4, None),
        ),
        ("train_cfg = dict(max_epochs=1, max_iters=0)", (1, None)),
        ("train_cfg = dict(max_epochs=n, max_iters=-1)", (None, None)),
        ("train_cfg = {**base, 'max_iters': [1]}", (None, None)),
        ("train_cfg = None", (None, None)),
        ("model = dict(type='A')", (None, None)),
        ("train_cfg = dict(", (None, None)),
    ],
)
def test_the_plan_is_parsed_and_never_run(tmp_path, config, plan):
    """What is no literal, or no Python, is as good as not there."""
    write(tmp_path / "20260101_000000", [], config=config)
    (file,) = scalars.find(str(tmp_path))
    assert curves.find_planned(file) == plan


def test_the_plan_of_a_config_in_the_work_dir(tmp_path):
    """By the time of the start; or by any name if it is the only one."""
    write(tmp_path / "20260101_000000", [])
    (file,) = scalars.find(str(tmp_path))
    (tmp_path / "any.py").write_text("train_cfg = dict(max_epochs=7)")
    assert curves.find_planned(file).max_epochs == 7
    (tmp_path / "20260101_000000.py").write_text("train_cfg = dict(max_epochs=8)")
    assert curves.find_planned(file).max_epochs == 8
    for no_plan in (b"", b"\xff"):  # or no text at all
        (tmp_path / "20260101_000000.py").write_bytes(no_plan)
        assert curves.find_planned(file) == Planned()


def test_the_plan_of_the_last_start(tmp_path, figures, capsys):
    """A restart may be told to train longer."""
    for minute, plan in enumerate((3, 5)):
        work_dir = write(
            tmp_path / "run" / f"20260101_000{minute}00",
            epochs([2.0], begin=1 + minute),
            config=f"train_cfg = dict(max_epochs={plan})",
        )
    assert plot(work_dir, "-o", "a.png") == 0
    assert "; ended at epoch 2 of 5\n" in capsys.readouterr().out
