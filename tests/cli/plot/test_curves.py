"""Positions of logged values through restarts, planned length and best value."""

from __future__ import annotations

import math

import pytest

from cli.plot.work_dirs import (
    epochs,
    iterations,
    join,
    plot,
    positions,
    train,
    values,
    write,
)
from valloss_compat._cli.plot import curves, scalars
from valloss_compat._cli.plot.curves import TrainLength

pytestmark = pytest.mark.slow  # reads files only


# torch 2.4 and 2.5 warn about mmengine's call of torch.load. torch 2.6 loads
# weights only unless the variable below is set (https://github.com/pytorch/pytorch/releases/tag/v2.6.0).
@pytest.mark.filterwarnings("ignore:You are using .torch.load. with:FutureWarning")
@pytest.mark.filterwarnings("ignore:Environment variable TORCH_FORCE_NO:UserWarning")
def test_restart_of_a_real_training_replaces_the_repeated_epoch(tmp_path, monkeypatch):
    """The points before the repeated epoch 3 stay."""
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    options = {"checkpoint": {"interval": 1}}
    cfg = {"by_epoch": True, "max_epochs": 3}
    train(tmp_path, [4.0, 3.0, 2.0], train_cfg=cfg, **options)
    train(
        tmp_path,
        [2.5, 1.5],
        train_cfg={"by_epoch": True, "max_epochs": 4},
        load_from=str(tmp_path / "epoch_2.pth"),
        resume=True,
        **options,
    )
    run = join(tmp_path)
    assert values(run) == [4.0, 3.0, 2.5, 1.5]
    assert values(run, "loss_cls") == [4.0, 3.0, 2.5, 1.5]
    assert positions(run) == [1, 2, 3, 4]
    assert positions(run, "iter") == [2, 4, 6, 8]
    assert positions(run, tag="loss", train=True) == [0.5 * i for i in range(1, 9)]
    assert positions(run, "iter", "loss", True) == list(range(1, 9))
    (note,) = run.notes
    assert "repeated epoch 3 and later" in note
    assert run.unit == "epoch"
    assert run.last == 4


@pytest.mark.parametrize("own", [True, False])
def test_real_iteration_based_training_has_positions_in_iterations(tmp_path, own):
    """With a LoggerHook that logs iterations, and with its default, which logs 0."""
    train(
        tmp_path,
        [3.0, 2.0],
        samples=4,  # fewer samples than iterations would warn
        train_cfg={"by_epoch": False, "max_iters": 4, "val_interval": 2},
        logger={"log_metric_by_epoch": not own},
        log_processor={"by_epoch": not own},
    )
    run = join(tmp_path)
    assert run.unit == "iter"
    assert values(run) == [3.0, 2.0]
    assert positions(run, "iter") == [2, 4]
    assert positions(run, "iter", "loss", True) == [1, 2, 3, 4]
    assert positions(run) == [None, None]
    assert [note[:36] for note in run.notes] == (
        [] if own else ["validations without an iteration are "[:36]]
    )


def test_validations_that_log_iterations_have_positions_in_epochs(tmp_path):
    """LoggerHook(log_metric_by_epoch=False) gives the same positions."""
    train(
        tmp_path,
        [3.0, 2.0],
        train_cfg={"by_epoch": True, "max_epochs": 2},
        logger={"log_metric_by_epoch": False},
    )
    run = join(tmp_path)
    assert run.unit == "epoch"
    assert positions(run) == [1, 2]
    assert positions(run, "iter") == [2, 4]


def test_epoch_length_is_found_without_the_last_iterations(tmp_path):
    """By default LoggerHook leaves them out: 117 iterations, logged at 50 and 100."""
    run = join(write(tmp_path / "a", epochs([3.0, 2.0], length=117, interval=50)))
    assert positions(run, "iter") == [117, 234]
    shares = [50 / 117, 100 / 117, 1 + 50 / 117, 1 + 100 / 117]
    assert positions(run, tag="loss", train=True) == pytest.approx(shares)


def test_unfinished_first_epoch_ends_at_its_last_logged_iteration(tmp_path):
    """The length of an epoch is not known yet."""
    lines = epochs([3.0], length=117, interval=50)[:-1]
    run = join(write(tmp_path / "a", lines))
    assert positions(run, tag="loss", train=True) == [0.5, 1.0]


def test_epoch_length_from_a_single_line_is_a_whole_number(tmp_path):
    """Iteration 25 is in epoch 2, so an epoch has at least 13 iterations, not 12.5."""
    lines = [{"loss": 1.0, "epoch": 2, "iter": 25, "step": 25, "lr": 0.1}]
    run = join(write(tmp_path / "a", lines))
    assert positions(run, tag="loss", train=True) == [25 / 13]


def test_validation_between_logged_iterations_keeps_its_iteration(tmp_path):
    """No note is needed."""
    train = iterations([0, 0])[::2]
    lines = [train[0], {"val_loss": 3.0, "step": 15}, train[1]]
    run = join(write(tmp_path / "a", lines))
    assert positions(run, "iter") == [15]
    assert run.notes == []


def test_validations_without_lines_of_training_have_epochs_only(tmp_path):
    """Old releases log no training if an epoch is shorter than the interval."""
    lines = [line for line in epochs([4.0, 3.0]) if "val_loss" in line]
    write(tmp_path / "20260101_000000", lines)
    later = [line for line in epochs([2.0], begin=2) if "val_loss" in line]
    run = join(write(tmp_path / "20260101_000100", later))
    assert values(run) == [4.0, 2.0]
    assert positions(run) == [1, 2]
    assert positions(run, "iter") == [None, None]


def test_native_loss_tag_of_a_validation_is_not_training(tmp_path):
    """From 0.10.5 on, mmengine logs a named loss of a validation without a prefix."""
    lines = epochs([4.0])
    lines[-1]["loss"] = 4.0
    assert values(join(write(tmp_path / "a", lines)), "loss") == [4.0]


def test_validation_after_the_last_logged_iteration_ends_its_epoch(tmp_path):
    """Iteration 117 is the end of an epoch whose last logged iteration is 100."""
    train = epochs([3.0, 2.0], length=117, interval=50)
    train = [line for line in train if "val_loss" not in line]
    lines = [*train[:2], {"val_loss": 3.0, "step": 117}]
    lines += [*train[2:], {"val_loss": 2.0, "step": 234}]
    run = join(write(tmp_path / "a", lines), TrainLength(max_epochs=2))
    assert positions(run, "iter") == [117, 234]
    assert positions(run) == [1, 2]


@pytest.mark.parametrize(
    ("metric", "tag"),
    [
        ("val_loss", "loss"),
        ("teacher/val_loss", "loss"),
        ("teacher.val_loss", "loss"),
        ("loss_cls", "loss_cls"),
        ("wer", "wer"),
    ],
)
def test_train_tag_corresponds_to_the_metric(metric, tag):
    assert curves.train_tag(metric) == tag


def test_best_point_is_the_first_of_the_lowest_finite_values(tmp_path):
    """NaN and infinity are ignored. With rule 'greater' it is the highest value."""
    losses = [math.nan, 3.0, 1.0, 1.0, -math.inf, 2.0]
    curve = join(write(tmp_path / "a", epochs(losses))).curve("val_loss", False)
    assert curves.best(curve, "val_loss").epoch == 3
    assert curves.best(curve, "val_loss", "greater").epoch == 2
    assert curves.best(curve[:1], "val_loss") is None


def test_restart_with_shorter_epochs_keeps_epochs_in_order(tmp_path):
    """Half the iterations in an epoch: the x axis in epochs does not go back."""
    write(tmp_path / "20260101_000000", epochs([4.0, 3.0], length=10))
    later = epochs([2.0, 1.0], length=5, begin=3)
    run = join(write(tmp_path / "20260101_000100", later))
    found = positions(run, tag="loss", train=True)
    assert found == sorted(found)
    assert positions(run) == [1, 2, 3, 4]


def test_restart_with_longer_epochs_keeps_epochs_in_order(tmp_path):
    """Twice the iterations in an epoch, as with smaller batches."""
    write(tmp_path / "20260101_000000", epochs([4.0, 3.0], length=5))
    later = [
        {"lr": 0.1, "loss": 1.0, "epoch": 3 + i // 2, "iter": step, "step": step}
        for i, step in enumerate((15, 20, 25, 30))
    ]
    run = join(write(tmp_path / "20260101_000100", later))
    assert positions(run, tag="loss", train=True) == [1, 2, 2, 2, 3, 3]


@pytest.mark.parametrize("lines", [epochs([4.0]), iterations([4.0])])
def test_restart_that_validates_first_replaces_all(tmp_path, lines):
    """Its first position is 0, so it repeats everything."""
    first = {"val_loss": 5.0, "step": 0}
    write(tmp_path / "20260101_000000", [first, *lines])
    run = join(write(tmp_path / "20260101_000100", [first, *lines]))
    assert values(run) == [5.0, 4.0]
    assert run.notes == [
        f"the restart 20260101_000100 repeated {run.unit.replace('iter', 'iteration')} "
        "0 and later, so that the earlier lines of these are left out"
    ]


def test_restart_of_a_single_line_is_noted(tmp_path):
    """The note names the position of that line."""
    write(tmp_path / "20260101_000000", iterations([4.0, 3.0]))
    work_dir = write(tmp_path / "20260101_000100", iterations([9.0])[:1])
    (note,) = join(work_dir).notes
    assert note.startswith("the restart 20260101_000100 repeated iteration 10")


@pytest.mark.parametrize("together", [False, True])
def test_lines_before_epochs_were_logged_have_iterations_only(tmp_path, together):
    """LogProcessor(by_epoch=False) logs no epochs until the restart."""
    before = [{"lr": 0.1, "loss": 1.0, "step": step} for step in (5, 10)]
    after = epochs([2.0, 1.0], begin=2)
    starts = [before + after] if together else [before, after]
    for minute, lines in enumerate(starts):
        work_dir = write(tmp_path / f"20260101_000{minute}00", lines)
    run = join(work_dir)
    assert run.unit == "epoch"
    assert positions(run, "iter", "loss", True) == list(range(5, 31, 5))
    assert positions(run, tag="loss", train=True) == [None, None, 1.5, 2, 2.5, 3]


def test_restart_from_the_beginning_replaces_all(tmp_path):
    """In an iteration-based training too."""
    write(tmp_path / "20260101_000000", iterations([4.0, 3.0, 2.0]))
    run = join(write(tmp_path / "20260101_000100", iterations([9.0, 8.0])))
    assert values(run) == [9.0, 8.0]
    assert run.notes[0].startswith("the restart 20260101_000100 repeated iteration")


def test_restart_without_overlap_keeps_all(tmp_path):
    """Nothing was repeated, so there is no note."""
    write(tmp_path / "20260101_000000", iterations([4.0, 3.0]))
    later = [line for line in iterations([0, 0, 2.0, 1.0]) if line["step"] > 20]
    run = join(write(tmp_path / "20260101_000100", later))
    assert values(run) == [4.0, 3.0, 2.0, 1.0]
    assert run.notes == []


def test_starts_in_one_file_are_joined(tmp_path):
    """A visualizer with a save_dir appends them to one file."""
    lines = epochs([4.0, 3.0]) + epochs([2.0, 1.0], begin=2)
    run = join(write(tmp_path / "run", lines) / "run")
    assert values(run) == [4.0, 2.0, 1.0]


def test_start_in_one_file_at_the_same_iteration_repeats_it(tmp_path):
    lines = iterations([4.0]) + iterations([2.0, 1.0])
    run = join(write(tmp_path / "run", lines) / "run")
    assert values(run) == [2.0, 1.0]


def test_validation_without_training_is_not_a_restart(tmp_path):
    """It starts at 0, so as a restart it would replace the whole training."""
    write(tmp_path / "20260101_000000", epochs([4.0, 3.0]))
    alone = [{"val_loss": 7.0, "step": 0}]
    work_dir = write(tmp_path / "20260101_000100", alone)
    run = join(work_dir)
    assert values(run) == [4.0, 3.0]
    assert run.notes == ["starts without a training are left out"]
    assert values(join(work_dir / "20260101_000100")) == [7.0]


def test_planned_length_decides_the_unit(tmp_path):
    """From an unfinished first epoch it is not known whether there is a second one."""
    lines = epochs([3.0], length=10)[:-1]
    work_dir = write(tmp_path / "a", lines)
    assert join(work_dir).unit == "epoch"
    assert join(work_dir, TrainLength(max_iters=100)).unit == "iter"


def test_training_without_logged_epochs_counts_iterations(tmp_path):
    """LogProcessor(by_epoch=False), even if the planned length is in epochs."""
    run = join(write(tmp_path / "a", iterations([3.0, 2.0])), TrainLength(max_epochs=2))
    assert (run.unit, run.planned) == ("iter", None)
    assert positions(run, "iter") == [10, 20]


def test_planned_epochs_make_a_single_epoch_epoch_based(tmp_path):
    """Only the planned length distinguishes it from an iteration-based training."""
    lines = [*epochs([3.0], length=10)[:-1], {"val_loss": 3.0, "step": 10}]
    run = join(write(tmp_path / "a", lines), TrainLength(max_epochs=2))
    assert (run.unit, positions(run)) == ("epoch", [1])


#: From here on the logging interval is another one.
THIRDS = [{"lr": 0.1, "loss": 1.0, "step": step} for step in (15, 30)]


@pytest.mark.parametrize(
    ("lines", "planned", "reached"),
    [
        (epochs([3.0, 2.0]), TrainLength(), None),
        (epochs([3.0, 2.0]), TrainLength(max_epochs=2), True),
        (epochs([3.0, 2.0]), TrainLength(max_epochs=3), False),
        (iterations([3.0, 2.0]), TrainLength(max_iters=20), True),
        (iterations([3.0, 2.0]), TrainLength(max_iters=29), True),  # not logged
        (iterations([3.0, 2.0]), TrainLength(max_iters=30), False),
        (iterations([3.0]), TrainLength(max_iters=20), False),
        (iterations([3.0]) + THIRDS, TrainLength(max_iters=40), True),  # not logged
    ],
)
def test_reached_end_compares_with_the_planned_length(
    tmp_path, lines, planned, reached
):
    assert join(write(tmp_path / "a", lines), planned).reached_end is reached


@pytest.mark.parametrize(
    ("config", "planned"),
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
def test_config_is_parsed_without_being_run(tmp_path, config, planned):
    """Values that are no literals, and files that are no Python, are ignored."""
    write(tmp_path / "20260101_000000", [], config=config)
    (file,) = scalars.find(str(tmp_path))
    assert curves.find_train_length(file) == planned


def test_planned_length_is_read_from_the_config_in_the_work_dir(tmp_path):
    """The config has the timestamp of the start, or it is the only one."""
    write(tmp_path / "20260101_000000", [])
    (file,) = scalars.find(str(tmp_path))
    (tmp_path / "any.py").write_text("train_cfg = dict(max_epochs=7)")
    assert curves.find_train_length(file).max_epochs == 7
    (tmp_path / "20260101_000000.py").write_text("train_cfg = dict(max_epochs=8)")
    assert curves.find_train_length(file).max_epochs == 8
    for no_plan in (b"", b"\xff"):  # the second one is not UTF-8
        (tmp_path / "20260101_000000.py").write_bytes(no_plan)
        assert curves.find_train_length(file) == TrainLength()


def test_planned_length_is_that_of_the_last_start(tmp_path, figures, capsys):
    """A restart may train longer."""
    for minute, planned in enumerate((3, 5)):
        work_dir = write(
            tmp_path / "run" / f"20260101_000{minute}00",
            epochs([2.0], begin=1 + minute),
            config=f"train_cfg = dict(max_epochs={planned})",
        )
    assert plot(work_dir, "-o", "a.png") == 0
    assert "; ended at epoch 2 of 5\n" in capsys.readouterr().out
