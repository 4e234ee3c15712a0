"""What plot makes of logs: where each value lies, through restarts, and the best."""

from __future__ import annotations

import math

import pytest

from cli.plot.runs import join, places, values
from cli.plot.work_dirs import epochs, iterations, train, write
from valloss_compat._cli.plot import curves
from valloss_compat._cli.plot.curves import Planned


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
    run = join(write(tmp_path / "a", lines), Planned(max_epochs=2))
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
