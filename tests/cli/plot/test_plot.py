"""python -m valloss_compat plot: what it says and writes, and how it ends."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest

import valloss_compat
from cli.plot.work_dirs import epochs, plot, train, write

# The drawing asks nothing of mmengine: it reads what was logged.
pytestmark = pytest.mark.slow


def test_a_real_training_to_a_picture(tmp_path, capsys):
    """On the release at hand, from its first iteration to the file."""
    work_dir = tmp_path / "run"
    cfg = {"by_epoch": True, "max_epochs": 3}
    train(work_dir, [3.0, 1.0, 2.0], train_cfg=cfg, cfg={"train_cfg": cfg})
    capsys.readouterr()
    target = tmp_path / "new" / "folder" / "curves.png"
    assert plot(work_dir, "-o", target) == 0
    assert target.read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr()
    assert said.out == (
        "run: best val_loss at epoch 2, 1; 3 validations; ended at epoch 3 of 3\n"
        f"Picture: {target}\n"
    )
    assert said.err == ""


@pytest.mark.parametrize(
    ("suffix", "head"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("PDF", b"%PDF")]
)
def test_the_suffix_is_the_format(run, tmp_path, suffix, head):
    """And what was there is replaced."""
    target = tmp_path / f"curves.{suffix}"
    target.write_text("old")
    assert plot(run, "-o", target) == 0
    assert target.read_bytes().startswith(head)


def test_a_training_that_never_validated(run, tmp_path, figures, capsys):
    """Beside one that did: nothing is still to come, and the config is to blame."""
    lines = [line for line in epochs([2.0, 1.0]) if "val_loss" not in line]
    plan = "train_cfg = dict(by_epoch=True, max_epochs=2)\n"
    other = write(tmp_path / "b" / "20260101_000000", lines, config=plan)
    assert plot(run, other, "-o", "a.png") == 0
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert line.startswith("warning: b: it went through without a validation, and ")
    assert "val_interval" in line
    assert "b: no validation; ended at epoch 2 of 2" in said.out.splitlines()


def test_neither_loss_nor_validation(tmp_path, figures, capsys):
    """There is nothing to draw: an error, and no picture without a curve."""
    lines = [{"lr": 0.1, "epoch": 1, "iter": 5, "step": 5}]
    runs = [write(tmp_path / name / "20260101_000000", lines) for name in "ab"]
    assert plot(*runs, "-o", "a.png") == 2
    said = capsys.readouterr()
    assert said.err.count("no validation logged 'val_loss'; training has epoch") == 2
    assert "warning" not in said.err
    assert (said.out, figures) == ("", [])


def test_nothing_finite_at_all(tmp_path, figures, capsys):
    """A run that diverged at once is drawn as far as it goes."""
    work_dir = write(
        tmp_path / "run" / "20260101_000000", [{"val_loss": math.nan, "step": 1}]
    )
    assert plot(work_dir, "-o", "a.png") == 0
    assert "no finite val_loss (1 not finite" in capsys.readouterr().out


def test_restarts_and_a_half_written_line_are_noted(tmp_path, figures, capsys):
    """On stderr, by run; the summary counts what is drawn."""
    write(tmp_path / "run" / "20260101_000000", epochs([4, 3, 2]))
    later = tmp_path / "run" / "20260101_000100"
    work_dir = write(later, epochs([2.5], begin=3), tail='{"lr"')
    assert plot(work_dir, "-o", "a.png") == 0
    said = capsys.readouterr()
    assert "3 validations; ended at epoch 3" in said.out
    assert said.err.splitlines() == [
        f"note: run: {later / 'vis_data' / 'scalars.json'}: the last line is half "
        "written (the run goes on, or was killed): left out",
        "note: run: the restart 20260101_000100 did epoch 3 and later again: the "
        "earlier lines on that are left out",
    ]


@pytest.mark.parametrize("best", [-1, 0, 0.5])
def test_a_best_value_that_has_no_logarithm(tmp_path, figures, capsys, best):
    """Said, as its star is missing."""
    lines = [line for line in epochs([0.9, best, 0.8]) if "val_loss" in line]
    work_dir = write(tmp_path / "run" / "20260101_000000", lines)
    assert plot(work_dir, "-o", "a.png", "--log") == 0
    said = capsys.readouterr().err
    note = f"note: run: the best value, {best}, has no place on a logarithmic axis"
    assert (note in said) == (best <= 0)
    assert (said == "") == (best > 0)


def test_a_run_that_is_given_twice(run, figures, capsys):
    """Is drawn once, and that is said."""
    assert plot(run, f"{run}/", "-o", "a.png") == 0
    said = capsys.readouterr()
    assert said.err == "note: what is given twice is drawn once\n"
    assert said.out.count("best val_loss") == 1


def test_names_are_as_long_as_they_have_to_be(tmp_path, figures, capsys):
    """Here three folders tell two runs apart."""
    for name in "ab":
        write(tmp_path / name / "work" / "run" / "20260101_000000", epochs([2.0]))
    both = [tmp_path / name / "work" / "run" for name in "ab"]
    assert plot(*both, "-o", "a.png") == 0
    said = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert said == ["a/work/run", "b/work/run", "Picture"]


def test_a_picture_has_to_be_named(run, capsys):
    """As argparse says it."""
    with pytest.raises(SystemExit) as ended:
        plot(run)
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith("arguments are required: -o/--output\n")


def test_some_that_cannot_be_drawn(run, tmp_path, figures, capsys):
    """The others are; the exit code tells."""
    assert plot(run, tmp_path / "gone", "-o", "a.png") == 1
    said = capsys.readouterr()
    assert said.err.startswith(f"not drawn: {tmp_path / 'gone'} does not exist, but ")
    assert said.out.startswith("run: best val_loss at epoch 2")
    assert len(figures) == 1


def test_the_users_matplotlib_stays_as_it_is(run, tmp_path):
    """Neither settings nor figures of pyplot."""
    before, figures = dict(matplotlib.rcParams), plt.get_fignums()
    assert plot(run, "-o", tmp_path / "a.png") == 0
    assert dict(matplotlib.rcParams) == before
    assert plt.get_fignums() == figures


def test_neither_mmengine_nor_torch_is_needed(run, tmp_path):
    """On a laptop without them: a real process in which importing either fails."""
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
