"""The command plot: output, exit codes and messages."""

from __future__ import annotations

import inspect
import math
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest
from mmengine.runner import LogProcessor

import valloss_compat
from cli.plot.work_dirs import epochs, plot, train, write

# Drawing does not depend on the release of mmengine.
pytestmark = pytest.mark.slow


def test_real_training_is_drawn_into_a_file(tmp_path, capsys):
    """On the installed mmengine, from the first iteration to the file."""
    work_dir = tmp_path / "run"
    cfg = {"by_epoch": True, "max_epochs": 3}
    train(work_dir, [3.0, 1.0, 2.0], train_cfg=cfg, cfg={"train_cfg": cfg})
    capsys.readouterr()
    target = tmp_path / "new" / "folder" / "curves.png"
    assert plot(work_dir, "-o", target) == 0
    assert target.read_bytes().startswith(b"\x89PNG")
    captured = capsys.readouterr()
    assert captured.out == (
        "run: best val_loss at epoch 2, 1; 3 validations; ended at epoch 3 of 3\n"
        f"Picture: {target}\n"
    )
    assert captured.err == ""


@pytest.mark.parametrize(
    ("suffix", "head"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("PDF", b"%PDF")]
)
def test_suffix_chooses_the_format(run, tmp_path, suffix, head):
    """An existing file is replaced."""
    target = tmp_path / f"curves.{suffix}"
    target.write_text("old")
    assert plot(run, "-o", target) == 0
    assert target.read_bytes().startswith(head)


def test_finished_training_without_validation_blames_the_config(
    run, tmp_path, figures, capsys
):
    """The other run is drawn as usual."""
    lines = [line for line in epochs([2.0, 1.0]) if "val_loss" not in line]
    plan = "train_cfg = dict(by_epoch=True, max_epochs=2)\n"
    other = write(tmp_path / "b" / "20260101_000000", lines, config=plan)
    assert plot(run, other, "-o", "a.png") == 0
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("warning: b: the training ended without a validation, ")
    assert "val_interval" in line
    assert "b: no validation; ended at epoch 2 of 2" in captured.out.splitlines()


def test_runs_without_loss_and_validation_are_an_error(tmp_path, figures, capsys):
    """No figure without curves is written."""
    lines = [{"lr": 0.1, "epoch": 1, "iter": 5, "step": 5}]
    runs = [write(tmp_path / name / "20260101_000000", lines) for name in "ab"]
    assert plot(*runs, "-o", "a.png") == 2
    captured = capsys.readouterr()
    assert (
        captured.err.count("no validation logged 'val_loss', training logged epoch")
        == 2
    )
    assert "warning" not in captured.err
    assert (captured.out, figures) == ("", [])


def test_run_without_a_finite_loss_is_drawn(tmp_path, figures, capsys):
    """A run that diverged at once."""
    work_dir = write(
        tmp_path / "run" / "20260101_000000", [{"val_loss": math.nan, "step": 1}]
    )
    assert plot(work_dir, "-o", "a.png") == 0
    assert "no finite val_loss (1 not finite" in capsys.readouterr().out


def test_restart_and_incomplete_line_are_noted_on_stderr(tmp_path, figures, capsys):
    """The summary counts only the drawn validations."""
    write(tmp_path / "run" / "20260101_000000", epochs([4, 3, 2]))
    later = tmp_path / "run" / "20260101_000100"
    work_dir = write(later, epochs([2.5], begin=3), tail='{"lr"')
    assert plot(work_dir, "-o", "a.png") == 0
    captured = capsys.readouterr()
    assert "3 validations; ended at epoch 3" in captured.out
    assert captured.err.splitlines() == [
        f"note: run: {later / 'vis_data' / 'scalars.json'}: the last line is half "
        "written and left out: the run goes on, or was killed",
        "note: run: the restart 20260101_000100 repeated epoch 3 and later, so that "
        "the earlier lines of these are left out",
    ]


def test_runs_with_the_same_folder_names_get_longer_names(tmp_path, figures, capsys):
    """Here three folders distinguish two runs."""
    for name in "ab":
        write(tmp_path / name / "work" / "run" / "20260101_000000", epochs([2.0]))
    both = [tmp_path / name / "work" / "run" for name in "ab"]
    assert plot(*both, "-o", "a.png") == 0
    names = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["a/work/run", "b/work/run", "Picture"]


def test_output_is_required(run, capsys):
    with pytest.raises(SystemExit) as ended:
        plot(run)
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith("arguments are required: -o/--output\n")


def test_missing_run_does_not_prevent_the_others(run, tmp_path, figures, capsys):
    """The exit code is 1."""
    assert plot(run, tmp_path / "gone", "-o", "a.png") == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(
        f"not drawn: {tmp_path / 'gone'} does not exist, but "
    )
    assert captured.out.startswith("run: best val_loss at epoch 2")
    assert len(figures) == 1


def test_matplotlib_settings_and_pyplot_figures_are_unchanged(run, tmp_path):
    before, figures = dict(matplotlib.rcParams), plt.get_fignums()
    assert plot(run, "-o", tmp_path / "a.png") == 0
    assert dict(matplotlib.rcParams) == before
    assert plt.get_fignums() == figures


def test_plot_works_without_mmengine_and_torch(run, tmp_path):
    """In a process in which importing either of them fails."""
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    for name in ("mmengine", "torch"):
        (stubs / f"{name}.py").write_text("raise ImportError(__name__)")
    package = str(Path(valloss_compat.__file__).parent.parent)
    paths = [str(stubs), package, os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-m", "valloss_compat", "plot", str(run), "-o", "a.png"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        cwd=str(tmp_path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "Picture: a.png"
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "config",
    [
        "train_cfg = " + "-" * 100_000 + "1",
        "train_cfg = dict(max_epochs={[]: 1})",
        "train_cfg = dict(max_epochs=" + "9" * 400 + ")",
    ],
    ids=["nested", "unhashable", "too large"],
)
def test_odd_config_beside_the_log_gives_no_planned_end(
    tmp_path, figures, capsys, config
):
    """It only says how long the training was to be."""
    work_dir = write(tmp_path / "a" / "b", epochs([2.0, 1.0]), config=config)
    assert plot(work_dir, "-o", "a.png") == 0
    assert "2 validations; ended at epoch 2\n" in capsys.readouterr().out


def test_control_characters_of_a_log_are_escaped(tmp_path, capsys):
    """Those of a tag, which may be in a work dir of another user."""
    lines = [{"lr": 0.1, "loss": 1.0, "epoch": 1, "step": 1}]
    lines += [{"\x1b]0;title\x07acc": 1.0, "step": 1}]
    assert plot(write(tmp_path / "a" / "b", lines), "-o", tmp_path / "a.png") == 2
    stderr = capsys.readouterr().err
    assert "validations logged \\x1b]0;title\\x07acc" in stderr
    assert "\x1b" not in stderr


@pytest.mark.parametrize("hierarchy", [False, True])
@pytest.mark.parametrize("metric", ["loss_cls", "val/loss_cls", "val_loss"])
def test_loss_is_found_by_each_of_its_names(tmp_path, figures, hierarchy, metric):
    """As a metric and as a tag, also in logs with hierarchy, next to the training."""
    cfg = {"by_epoch": True, "max_epochs": 2}
    processor = {"type": "LogProcessor", "log_with_hierarchy": hierarchy}
    if not hierarchy:  # came with mmengine 0.6.0
        del processor["log_with_hierarchy"]
    elif "log_with_hierarchy" not in inspect.signature(LogProcessor).parameters:
        pytest.skip("this LogProcessor has no log_with_hierarchy")
    train(tmp_path / "run", [3.0, 1.0], train_cfg=cfg, log_processor=processor)
    assert plot(tmp_path / "run", "-o", "a.png", "--metric", metric) == 0
    (axes,) = figures[0].axes
    curves = [list(line.get_ydata()) for line in axes.get_lines()]
    assert [3.0, 1.0] in curves
    assert len(curves[0]) == (4 if metric == "val_loss" else 0)  # of the training
    assert axes.get_title(loc="left") == "run"
