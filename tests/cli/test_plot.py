"""python -m valloss_compat plot: what it draws, prints and writes."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import valloss_compat
from cli.work_dirs import epochs, iterations, plot, train, write
from valloss_compat.cli import picture

# The drawing asks nothing of mmengine: it reads what was logged.
pytestmark = pytest.mark.slow


@pytest.fixture
def figures(monkeypatch):
    """The figures that were drawn, in place of the files."""
    drawn = []
    monkeypatch.setattr(picture.Figure, "savefig", lambda f, path: drawn.append(f))
    return drawn


@pytest.fixture
def run(tmp_path):
    """A work dir: 1, 3, 2 by epochs of ten iterations, of five that were planned."""
    config = "train_cfg = dict(by_epoch=True, max_epochs=5)\n"
    return write(tmp_path / "run" / "20260101_000000", epochs([3, 1, 2]), config=config)


def curve(line):
    return [list(map(float, axis)) for axis in line.get_data()]


def labels(figure):
    (axes,) = figure.axes
    return [text.get_text() for text in axes.get_legend().get_texts()]


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


def test_a_run_alone(run, figures):
    """Training dashed, validation solid, best and stop marked, the rest shaded."""
    assert plot(run, "-o", "a.png", "--title", "A title") == 0
    (figure,) = figures
    (axes,) = figure.axes
    training, validation, best, stop = axes.get_lines()
    assert curve(validation) == [[1, 2, 3], [3, 1, 2]]
    assert curve(training)[0] == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert curve(training)[1] == [1 / step for step in range(5, 31, 5)]
    assert (training.get_linestyle(), validation.get_linestyle()) == ("--", "-")
    assert training.get_color() != validation.get_color()
    assert (curve(best), best.get_marker()) == ([[2], [1]], "*")
    assert stop.get_xdata()[0] == 3
    assert labels(figure) == [
        "training: loss",
        "validation: val_loss",
        "best: epoch 2, 1",
        "stop: epoch 3 of 5",
    ]
    assert len(axes.patches) == 1
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "loss")
    assert axes.get_title(loc="left") == "A title"
    assert (axes.get_yscale(), axes.get_ylim()[0]) == ("linear", 0)


def test_several_runs(tmp_path, figures, capsys):
    """A colour each, for its training and its validation, and names that differ."""
    first = write(tmp_path / "a" / "run" / "20260101_000000", epochs([3, 1, 2]))
    other = write(tmp_path / "b" / "run" / "20260101_000000", epochs([4, 2]))
    assert plot(first, other, "-o", "a.png", "--log") == 0
    (figure,) = figures
    (axes,) = figure.axes
    colors = [line.get_color() for line in axes.get_lines()]
    assert colors == [picture.COLORS[0]] * 4 + [picture.COLORS[1]] * 4
    assert [line.get_marker() for line in axes.get_lines()[1::4]] == ["o", "s"]
    assert labels(figure) == [
        "a/run, best at epoch 2, 1",
        "b/run, best at epoch 2, 2",
        "training: loss",
        "validation: val_loss",
        "best",
        "last validation",
    ]
    assert axes.get_yscale() == "log"
    assert axes.get_ylabel() == "loss (logarithmic)"
    assert capsys.readouterr().out.splitlines() == [
        "a/run: best val_loss at epoch 2, 1; 3 validations; ended at epoch 3",
        "b/run: best val_loss at epoch 2, 2; 2 validations; ended at epoch 2",
        "Picture: a.png",
    ]


def test_a_crowd_has_its_legend_below(tmp_path, figures):
    """Names of four runs would hide the curves."""
    names = ["a", "b", "c", "d"]
    runs = [write(tmp_path / n / "20260101_000000", epochs([3, 1, 2])) for n in names]
    for asked in (runs[:3], runs):
        assert plot(*asked, "-o", "a.png") == 0
    below = []
    for figure in figures:
        FigureCanvasAgg(figure).draw()
        (axes,) = figure.axes
        legend = axes.get_legend().get_window_extent()
        below.append(legend.y1 < axes.get_window_extent().y0)
        assert legend.y0 >= 0  # and within the picture
    assert below == [False, True]


def test_a_logarithmic_axis_has_plain_numbers(run, figures):
    """0.5 and 2, not powers of ten."""
    assert plot(run, "-o", "a.png", "--log") == 0
    FigureCanvasAgg(figures[0]).draw()
    axis = figures[0].axes[0].yaxis
    shown = {text.get_text() for text in axis.get_ticklabels(which="both")} - {""}
    assert {"0.1", "1"} <= shown
    assert not [text for text in shown if "$" in text]


def test_the_palette_has_no_color_twice():
    """With the markers there are more looks than anybody compares."""
    assert len(set(picture.COLORS)) == len(picture.COLORS) == 7
    assert math.gcd(len(picture.COLORS), len(picture.MARKERS)) == 1


def test_runs_by_epochs_and_by_iterations_share_iterations(tmp_path, figures, capsys):
    """--x auto finds what all have."""
    one = write(tmp_path / "one" / "20260101_000000", epochs([3, 1]))
    two = write(tmp_path / "two" / "20260101_000000", iterations([2, 4]))
    assert plot(one, two, "-o", "a.png") == 0
    (axes,) = figures[0].axes
    lines = axes.get_lines()
    assert [curve(lines[number])[0] for number in (1, 5)] == [[10, 20], [10, 20]]
    assert axes.get_xlabel() == "iteration"
    assert capsys.readouterr().out.splitlines()[:2] == [
        "one: best val_loss at iteration 20, 1; 2 validations; ended at epoch 2",
        "two: best val_loss at iteration 10, 2; 2 validations; ended at iteration 20",
    ]


def test_a_named_loss_and_its_counterpart(run, figures):
    """val/NAME solid; training logs none of that name here."""
    assert plot(run, "-o", "a.png", "--metric", "val/loss_cls", "--x", "iter") == 0
    (axes,) = figures[0].axes
    training, validation = axes.get_lines()[:2]
    assert curve(training) == [[], []]
    assert curve(validation) == [[10, 20, 30], [1.5, 0.5, 1]]
    # A plan in epochs is no place on an axis in iterations.
    assert labels(figures[0])[-1] == "end: iteration 30"
    assert not axes.patches


def test_a_metric_that_is_no_loss(tmp_path, figures):
    """The best is what the rule says, and the axis has its name."""
    lines = [{"accuracy": value, "step": 1 + i} for i, value in enumerate([0.8, 0.9])]
    work_dir = write(tmp_path / "a", lines)
    arguments = ["--metric", "accuracy", "--rule", "greater"]
    assert plot(work_dir, "-o", "a.png", *arguments) == 0
    (axes,) = figures[0].axes
    assert axes.get_ylabel() == "accuracy"
    assert axes.get_ylim()[0] > 0.5  # no need to begin at zero
    assert "best: epoch 2, 0.9" in labels(figures[0])


def test_many_validations_have_no_markers(tmp_path, figures):
    """They would hide the curve."""
    work_dir = write(tmp_path / "a", iterations([2.0] * 61))
    assert plot(work_dir, "-o", "a.png") == 0
    assert figures[0].axes[0].get_lines()[1].get_marker() in ("", "None")


@pytest.mark.parametrize("several", [False, True])
def test_a_training_without_a_validation_yet(tmp_path, figures, capsys, several):
    """Its training is drawn, and the user warned, of each."""
    begun = epochs([1.0], begin=1)[:-1]
    runs = [write(tmp_path / name / "20260101_000000", begun) for name in "ab"]
    assert plot(*runs[: 1 + several], "-o", "a.png") == 0
    said = capsys.readouterr()
    names = ["a", "b"] if several else []
    assert said.err.splitlines() == [
        f"warning: {name}: no validation is logged so far, and its training alone is "
        "drawn"
        for name in names or ["a"]
    ]
    assert said.out.startswith("a: no validation; ended at epoch 1\n")
    end = [] if several else ["end: epoch 1"]
    assert labels(figures[0]) == [*names, "training: loss", *end]


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


def test_values_that_are_not_finite(tmp_path, figures, capsys):
    """They are gaps, and told of."""
    losses = [2.0, math.nan, 1.0, math.inf]
    work_dir = write(tmp_path / "run" / "20260101_000000", epochs(losses))
    assert plot(work_dir, "-o", "a.png") == 0
    drawn = curve(figures[0].axes[0].get_lines()[1])[1]
    assert [math.isnan(value) for value in drawn] == [False, True, False, True]
    assert capsys.readouterr().out.splitlines()[0] == (
        "run: best val_loss at epoch 3, 1 (2 not finite, the first at epoch 2); "
        "4 validations; ended at epoch 4"
    )


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


def test_a_name_is_no_formula(tmp_path):
    """Two dollars in a title or the name of a run are dollars."""
    both = [
        write(tmp_path / name / "20260101_000000", epochs([2, 1]))
        for name in ("$\\a_b", "$\\frac$")
    ]
    target = tmp_path / "a.png"
    assert plot(*both, "-o", target, "--title", "$\\frac$ a$") == 0
    assert target.exists()


def test_a_title_is_shown_as_it_is(run, figures):
    """Its dollars as such: the picture escapes them."""
    assert plot(run, "-o", "a.png", "--title", "$1 to $2") == 0
    assert figures[0].axes[0].get_title(loc="left") == r"\$1 to \$2"


def test_a_single_validation_at_the_start(tmp_path, figures):
    """An axis has a length all the same."""
    work_dir = write(
        tmp_path / "run" / "20260101_000000", [{"val_loss": 1.0, "step": 0}]
    )
    assert plot(work_dir, "-o", "a.png") == 0
    assert figures[0].axes[0].get_xlim() == (0, 1)


def test_a_best_value_that_has_no_logarithm(tmp_path, figures, capsys):
    """Said, as its star is missing."""
    work_dir = write(tmp_path / "run" / "20260101_000000", epochs([2, -1, 1]))
    assert plot(work_dir, "-o", "a.png", "--log") == 0
    said = capsys.readouterr().err
    assert "note: run: the best value, -1, has no place on a logarithmic axis" in said


def test_a_run_that_is_given_twice(run, figures, capsys):
    """Is drawn once, and that is said."""
    assert plot(run, f"{run}/", "-o", "a.png") == 0
    said = capsys.readouterr()
    assert said.err == "note: what is given twice is drawn once\n"
    assert said.out.count("best val_loss") == 1


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
