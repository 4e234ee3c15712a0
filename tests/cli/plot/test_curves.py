"""What plot makes of logs: where each value lies, through restarts, and the best."""

from __future__ import annotations

import math

import pytest

from cli.plot.work_dirs import (
    epochs,
    iterations,
    join,
    places,
    plot,
    train,
    values,
    write,
)
from valloss_compat._cli.plot import curves, scalars
from valloss_compat._cli.plot.curves import TrainLength


# torch 2.4 and 2.5 warn of mmengine's call of torch.load, 2.6 refuses what it loads
# unless told otherwise (https://github.com/pytorch/pytorch/releases/tag/v2.6.0).
@pytest.mark.filterwarnings("ignore:You are using .torch.load. with:FutureWarning")
@pytest.mark.filterwarnings("ignore:Environment variable TORCH_FORCE_NO:UserWarning")
def test_a_real_epoch_based_training_and_its_restart(tmp_path, monkeypatch):
    """The restart did epoch 3 again: its value holds, and its neighbours stay."""
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
    assert values(run, "val/loss_cls") == [4.0, 3.0, 2.5, 1.5]
    assert places(run) == [1, 2, 3, 4]
    assert places(run, "iter") == [2, 4, 6, 8]
    assert places(run, tag="loss", train=True) == [0.5 * i for i in range(1, 9)]
    assert places(run, "iter", "loss", True) == list(range(1, 9))
    (note,) = run.notes
    assert "did epoch 3 and later again" in note
    assert run.unit == "epoch"
    assert run.last == 4


@pytest.mark.parametrize("own", [True, False])
def test_a_real_iteration_based_training(tmp_path, own):
    """With a LoggerHook that logs iterations, and with its default that logs 0."""
    train(
        tmp_path,
        [3.0, 2.0],
        samples=4,  # an iteration-based training that runs out of them warns
        train_cfg={"by_epoch": False, "max_iters": 4, "val_interval": 2},
        logger={"log_metric_by_epoch": not own},
        log_processor={"by_epoch": not own},
    )
    run = join(tmp_path)
    assert run.unit == "iter"
    assert values(run) == [3.0, 2.0]
    assert places(run, "iter") == [2, 4]
    assert places(run, "iter", "loss", True) == [1, 2, 3, 4]
    assert places(run) == [None, None]
    assert [note[:36] for note in run.notes] == (
        [] if own else ["validations without an iteration are "[:36]]
    )


def test_a_real_training_by_epochs_that_logs_iterations(tmp_path):
    """LoggerHook(log_metric_by_epoch=False): the same places."""
    train(
        tmp_path,
        [3.0, 2.0],
        train_cfg={"by_epoch": True, "max_epochs": 2},
        logger={"log_metric_by_epoch": False},
    )
    run = join(tmp_path)
    assert run.by_epoch
    assert places(run) == [1, 2]
    assert places(run, "iter") == [2, 4]


def test_the_length_of_an_epoch_whose_last_iterations_are_not_logged(tmp_path):
    """LoggerHook leaves them out by default: 117 iterations, logged at 50 and 100."""
    run = join(write(tmp_path / "a", epochs([3.0, 2.0], length=117, interval=50)))
    assert places(run, "iter") == [117, 234]
    shares = [50 / 117, 100 / 117, 1 + 50 / 117, 1 + 100 / 117]
    assert places(run, tag="loss", train=True) == pytest.approx(shares)


def test_one_epoch_under_way_counts_as_far_as_it_is_logged(tmp_path):
    """Nothing tells its length yet; the iterations of it stay within."""
    lines = epochs([3.0], length=117, interval=50)[:-1]
    run = join(write(tmp_path / "a", lines))
    assert places(run, tag="loss", train=True) == [0.5, 1.0]


def test_an_epoch_of_which_one_line_is_left_ends_at_a_whole_iteration(tmp_path):
    """Iteration 25 is in epoch 2: an epoch has at least 13, not 12 and a half."""
    lines = [{"loss": 1.0, "epoch": 2, "iter": 25, "step": 25, "lr": 0.1}]
    run = join(write(tmp_path / "a", lines))
    assert places(run, tag="loss", train=True) == [25 / 13]


def test_a_validation_between_iterations_that_are_logged(tmp_path):
    """Lies where it says, with nothing to tell of."""
    train = iterations([0, 0])[::2]
    lines = [train[0], {"val_loss": 3.0, "step": 15}, train[1]]
    run = join(write(tmp_path / "a", lines))
    assert places(run, "iter") == [15]
    assert run.notes == []


def test_validations_without_any_line_of_training(tmp_path):
    """Old releases log none where an epoch is shorter than the interval."""
    lines = [line for line in epochs([4.0, 3.0]) if "val_loss" in line]
    write(tmp_path / "20260101_000000", lines)
    later = [line for line in epochs([2.0], begin=2) if "val_loss" in line]
    run = join(write(tmp_path / "20260101_000100", later))
    assert values(run) == [4.0, 2.0]
    assert places(run) == [1, 2]
    assert places(run, "iter") == [None, None]


def test_native_tags_of_losses_are_not_taken_for_training(tmp_path):
    """From 0.10.5 on mmengine logs a named loss by its bare name."""
    lines = epochs([4.0])
    lines[-1]["loss"] = 4.0
    assert values(join(write(tmp_path / "a", lines)), "loss") == [4.0]


def test_a_validation_that_says_an_iteration_after_the_last_that_is_logged(tmp_path):
    """Iteration 117 is the end of an epoch whose last logged one is 100."""
    train = epochs([3.0, 2.0], length=117, interval=50)
    train = [line for line in train if "val_loss" not in line]
    lines = [*train[:2], {"val_loss": 3.0, "step": 117}]
    lines += [*train[2:], {"val_loss": 2.0, "step": 234}]
    run = join(write(tmp_path / "a", lines), TrainLength(max_epochs=2))
    assert places(run, "iter") == [117, 234]
    assert places(run) == [1, 2]


@pytest.mark.parametrize(
    ("metric", "tag"),
    [
        ("val_loss", "loss"),
        ("teacher/val_loss", "loss"),
        ("teacher.val_loss", "loss"),
        ("val/loss_cls", "loss_cls"),
        ("loss_cls", "loss_cls"),
        ("wer", "wer"),
    ],
)
def test_the_counterpart_in_training(metric, tag):
    """What is drawn dashed beside a metric."""
    assert curves.train_tag(metric) == tag


def test_the_best_is_the_first_of_the_lowest_finite_ones(tmp_path):
    """NaN and Infinity are none; with rule 'greater' it is the highest."""
    losses = [math.nan, 3.0, 1.0, 1.0, -math.inf, 2.0]
    curve = join(write(tmp_path / "a", epochs(losses))).curve("val_loss", False)
    assert curves.best(curve, "val_loss").epoch == 3
    assert curves.best(curve, "val_loss", "greater").epoch == 2
    assert curves.best(curve[:1], "val_loss") is None


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


def test_the_plan_decides_what_is_counted(tmp_path):
    """A first epoch under way does not tell whether there will be a second."""
    lines = epochs([3.0], length=10)[:-1]
    work_dir = write(tmp_path / "a", lines)
    assert join(work_dir).unit == "epoch"
    assert join(work_dir, TrainLength(max_iters=100)).unit == "iter"


def test_epochs_that_are_not_logged(tmp_path):
    """LogProcessor(by_epoch=False): iterations all the same, whatever was planned."""
    run = join(write(tmp_path / "a", iterations([3.0, 2.0])), TrainLength(max_epochs=2))
    assert (run.unit, run.planned) == ("iter", None)
    assert places(run, "iter") == [10, 20]


def test_one_epoch_whose_validation_says_iterations(tmp_path):
    """Only the plan tells it from an iteration-based training."""
    lines = [*epochs([3.0], length=10)[:-1], {"val_loss": 3.0, "step": 10}]
    run = join(write(tmp_path / "a", lines), TrainLength(max_epochs=2))
    assert (run.unit, places(run)) == ("epoch", [1])


#: The interval of the log is another one from here on.
THIRDS = [{"lr": 0.1, "loss": 1.0, "step": step} for step in (15, 30)]


@pytest.mark.parametrize(
    ("lines", "plan", "went"),
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
def test_whether_a_run_got_to_its_end(tmp_path, lines, plan, went):
    """By what its config planned."""
    assert join(write(tmp_path / "a", lines), plan).reached_end is went


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
    assert curves.find_train_length(file) == plan


def test_the_plan_of_a_config_in_the_work_dir(tmp_path):
    """By the time of the start; or by any name if it is the only one."""
    write(tmp_path / "20260101_000000", [])
    (file,) = scalars.find(str(tmp_path))
    (tmp_path / "any.py").write_text("train_cfg = dict(max_epochs=7)")
    assert curves.find_train_length(file).max_epochs == 7
    (tmp_path / "20260101_000000.py").write_text("train_cfg = dict(max_epochs=8)")
    assert curves.find_train_length(file).max_epochs == 8
    for no_plan in (b"", b"\xff"):  # or no text at all
        (tmp_path / "20260101_000000.py").write_bytes(no_plan)
        assert curves.find_train_length(file) == TrainLength()


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
