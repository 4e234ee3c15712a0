"""What plot draws: curves with their marks, colours, legends, titles and axes."""

from __future__ import annotations

import math

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from cli.plot.work_dirs import epochs, iterations, plot, write
from valloss_compat._cli.plot.figure import COLORS, MARKERS

# The drawing asks nothing of mmengine: it reads what was logged.
pytestmark = pytest.mark.slow


def curve(line):
    return [list(map(float, axis)) for axis in line.get_data()]


def labels(figure):
    (axes,) = figure.axes
    return [text.get_text() for text in axes.get_legend().get_texts()]


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
    keys = axes.get_legend().get_lines()
    assert [k.get_color() for k in keys] == [x.get_color() for x in axes.get_lines()]
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
    assert colors == [COLORS[0]] * 4 + [COLORS[1]] * 4
    assert [line.get_marker() for line in axes.get_lines()[1::4]] == ["o", "s"]
    assert [curve(line) for line in axes.get_lines()[3::4]] == [[[3], [2]], [[2], [2]]]
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
    """Names of four runs would hide the curves, and take no room from them."""
    names = ["a", "b", "c", "d"]
    runs = [write(tmp_path / n / "20260101_000000", epochs([3, 1, 2])) for n in names]
    for count in (1, 3, 4):
        assert plot(*runs[:count], "-o", "a.png") == 0
    below, heights = [], []
    for figure in figures:
        FigureCanvasAgg(figure).draw()
        (axes,) = figure.axes
        legend = axes.get_legend().get_window_extent()
        below.append(legend.y1 < axes.get_window_extent().y0)
        heights.append(axes.get_window_extent().height)
        assert legend.y0 >= 0  # and within the picture
    assert below == [False, False, True]
    assert heights[2] == pytest.approx(heights[0], rel=0.03)
    frame = axes.get_window_extent()
    assert legend.x0 + legend.x1 == pytest.approx(frame.x0 + frame.x1)


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
    assert len(set(COLORS)) == len(COLORS) == 7
    assert math.gcd(len(COLORS), len(MARKERS)) == 1


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


@pytest.mark.parametrize(("count", "marker"), [(60, "o"), (61, "")])
def test_many_validations_have_no_markers(tmp_path, figures, count, marker):
    """They would hide the curve."""
    work_dir = write(tmp_path / "a", iterations([2.0] * count))
    assert plot(work_dir, "-o", "a.png") == 0
    assert figures[0].axes[0].get_lines()[1].get_marker() == marker


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


@pytest.mark.parametrize("place", [{"step": 0}, {}])
def test_a_single_validation_at_the_start(tmp_path, figures, capsys, place):
    """An axis has a length all the same."""
    work_dir = write(tmp_path / "run" / "20260101_000000", [{"val_loss": 1.0, **place}])
    assert plot(work_dir, "-o", "a.png") == 0
    (axes,) = figures[0].axes
    assert axes.get_xlim() == (0, 1)
    assert [curve(line) for line in axes.get_lines()[1:3]] == [[[0], [1]]] * 2
    assert labels(figures[0])[1:] == ["best: epoch 0, 1", "end: epoch 0"]
    assert capsys.readouterr().out.splitlines()[0] == (
        "run: best val_loss at epoch 0, 1; 1 validation; ended at epoch 0"
    )


def axes_of(figures, *arguments):
    """The axes of a picture that is drawn of some runs."""
    assert plot(*arguments, "-o", "a.png") == 0
    (axes,) = figures[-1].axes
    return axes


def test_the_frame_of_a_picture(run, figures):
    """From zero to the planned end, in whole epochs, on 1080 by 600 pixels."""
    axes = axes_of(figures, run)
    assert axes.get_xlim() == pytest.approx((0, 5.075))
    assert [tick for tick in axes.get_xticks() if tick != int(tick)] == []
    assert [s for s in axes.spines if axes.spines[s].get_visible()] == [
        "left",
        "bottom",
    ]
    assert axes.get_axisbelow() is True
    assert list(figures[0].get_size_inches() * figures[0].dpi) == [1080, 600]


def test_several_runs_end_with_the_longest(run, tmp_path, figures):
    """What one of them planned is left out."""
    other = write(tmp_path / "b" / "20260101_000000", epochs([3, 1]))
    assert axes_of(figures, run, other).get_xlim() == pytest.approx((0, 3.045))


@pytest.mark.parametrize(
    ("values", "from_zero"),
    [
        ([0.0, 1.0], True),
        ([3.9, 10.0], True),
        ([4.0, 10.0], False),
        ([5.0, 10.0], False),
        ([-0.5, 2.0], False),
    ],
)
def test_whether_an_axis_begins_at_zero(tmp_path, figures, values, from_zero):
    """Not far below the values, which it would flatten, and not above one."""
    lines = [{"val_loss": value, "step": 1 + i} for i, value in enumerate(values)]
    axes = axes_of(figures, write(tmp_path / "run" / "20260101_000000", lines))
    bottom = axes.get_ylim()[0]
    assert (bottom == 0) == from_zero
    assert bottom <= min(values)


def test_looks_come_again_where_there_are_more_runs(tmp_path, figures):
    """Seven colours and eight markers, in the picture as in the legend."""
    runs = [
        write(tmp_path / f"{i:02}" / "20260101_000000", epochs([2, 1], length=5))
        for i in range(17)
    ]
    axes = axes_of(figures, *runs)
    colors = (COLORS * 3)[:17]
    markers = (MARKERS * 3)[:17]
    assert [line.get_color() for line in axes.get_lines()[1::4]] == list(colors)
    assert [line.get_marker() for line in axes.get_lines()[1::4]] == list(markers)
    keys = axes.get_legend().get_lines()[:17]
    assert [key.get_color() for key in keys] == list(colors)
    assert [key.get_marker() for key in keys] == list(markers)


@pytest.mark.parametrize(
    ("plan", "label"),
    [("", "end: epoch 1.4"), ("max_epochs=1234", "stop: epoch 1.4 of 1,234")],
)
def test_an_end_within_an_epoch(tmp_path, figures, plan, label):
    """To a tenth of one."""
    lines = epochs([3.0, 2.0], length=117, interval=50)[:-2]
    config = f"train_cfg = dict({plan})\n"
    work_dir = write(tmp_path / "run" / "20260101_000000", lines, config=config)
    keys = axes_of(figures, work_dir).get_legend().get_texts()
    assert keys[-1].get_text() == label
