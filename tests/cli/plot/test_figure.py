"""The figure of plot: curves, markers, colors, legend, title and axes."""

from __future__ import annotations

import math

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from cli.plot.work_dirs import epochs, iterations, plot, write
from valloss_compat._cli.plot.figure import COLORS, MARKERS

# Drawing does not depend on the release of mmengine.
pytestmark = pytest.mark.slow


def curve(line):
    return [list(map(float, axis)) for axis in line.get_data()]


def labels(figure):
    (axes,) = figure.axes
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_single_run_shows_training_validation_best_and_stop(run, figures):
    """Training is dashed and validation solid. The missing epochs are shaded."""
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


def test_several_runs_have_their_own_colors_and_names(tmp_path, figures, capsys):
    """Training and validation of a run have the same color."""
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


def test_legend_of_many_runs_is_below_the_axes(tmp_path, figures):
    """Within the axes it would hide the curves. The axes keep their height."""
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
        assert legend.y0 >= 0  # within the figure
    assert below == [False, False, True]
    assert heights[2] == pytest.approx(heights[1], rel=0.03)
    frame = axes.get_window_extent()
    assert legend.x0 + legend.x1 == pytest.approx(frame.x0 + frame.x1)


def test_logarithmic_axis_has_plain_numbers(run, figures):
    """0.5 and 2, not powers of ten."""
    assert plot(run, "-o", "a.png", "--log") == 0
    FigureCanvasAgg(figures[0]).draw()
    axis = figures[0].axes[0].yaxis
    shown = {text.get_text() for text in axis.get_ticklabels(which="both")} - {""}
    assert {"0.1", "1"} <= shown
    assert not [text for text in shown if "$" in text]


def test_colors_and_markers_combine_without_repetition():
    """The combinations suffice for more runs than a figure can show."""
    assert len(set(COLORS)) == len(COLORS) == 7
    assert math.gcd(len(COLORS), len(MARKERS)) == 1


def test_epoch_based_and_iteration_based_runs_share_iterations(
    tmp_path, figures, capsys
):
    """--x auto uses the unit that all runs have."""
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


def test_named_loss_without_training_values_is_drawn_alone(run, figures):
    """A planned end in epochs is not shown on an axis in iterations."""
    assert plot(run, "-o", "a.png", "--metric", "val/loss_cls", "--x", "iter") == 0
    (axes,) = figures[0].axes
    training, validation = axes.get_lines()[:2]
    assert curve(training) == [[], []]
    assert curve(validation) == [[10, 20, 30], [1.5, 0.5, 1]]
    assert labels(figures[0])[-1] == "end: iteration 30"
    assert not axes.patches


def test_metric_that_is_not_a_loss_needs_a_rule_and_names_the_axis(tmp_path, figures):
    """The best value depends on --rule."""
    lines = [{"accuracy": value, "step": 1 + i} for i, value in enumerate([0.8, 0.9])]
    work_dir = write(tmp_path / "a", lines)
    arguments = ["--metric", "accuracy", "--rule", "greater"]
    assert plot(work_dir, "-o", "a.png", *arguments) == 0
    (axes,) = figures[0].axes
    assert axes.get_ylabel() == "accuracy"
    assert axes.get_ylim()[0] > 0.5  # the axis does not start at zero
    assert "best: epoch 2, 0.9" in labels(figures[0])


@pytest.mark.parametrize(("count", "marker"), [(60, "o"), (61, "")])
def test_many_validations_are_drawn_without_markers(tmp_path, figures, count, marker):
    """Markers would hide the curve."""
    work_dir = write(tmp_path / "a", iterations([2.0] * count))
    assert plot(work_dir, "-o", "a.png") == 0
    assert figures[0].axes[0].get_lines()[1].get_marker() == marker


@pytest.mark.parametrize("several", [False, True])
def test_training_without_a_validation_is_drawn_with_a_warning(
    tmp_path, figures, capsys, several
):
    """Each run without a validation has its own warning."""
    begun = epochs([1.0], begin=1)[:-1]
    runs = [write(tmp_path / name / "20260101_000000", begun) for name in "ab"]
    assert plot(*runs[: 1 + several], "-o", "a.png") == 0
    captured = capsys.readouterr()
    names = ["a", "b"] if several else []
    assert captured.err.splitlines() == [
        f"warning: {name}: no validation is logged so far, so that only its training "
        "loss is drawn"
        for name in names or ["a"]
    ]
    assert captured.out.startswith("a: no validation; ended at epoch 1\n")
    end = [] if several else ["end: epoch 1"]
    assert labels(figures[0]) == [*names, "training: loss", *end]


def test_values_that_are_not_finite_are_gaps_and_counted(tmp_path, figures, capsys):
    losses = [2.0, math.nan, 1.0, math.inf]
    work_dir = write(tmp_path / "run" / "20260101_000000", epochs(losses))
    assert plot(work_dir, "-o", "a.png") == 0
    drawn = curve(figures[0].axes[0].get_lines()[1])[1]
    assert [math.isnan(value) for value in drawn] == [False, True, False, True]
    assert capsys.readouterr().out.splitlines()[0] == (
        "run: best val_loss at epoch 3, 1 (2 not finite, the first at epoch 2); "
        "4 validations; ended at epoch 4"
    )


def test_dollars_in_names_and_titles_can_be_drawn(tmp_path):
    """Text between two dollars is not read as a formula."""
    both = [
        write(tmp_path / name / "20260101_000000", epochs([2, 1]))
        for name in ("$\\a_b", "$\\frac$")
    ]
    target = tmp_path / "a.png"
    assert plot(*both, "-o", target, "--title", "$\\frac$ a$") == 0
    assert target.exists()


def test_dollars_in_the_title_are_escaped(run, figures):
    assert plot(run, "-o", "a.png", "--title", "$1 to $2") == 0
    assert figures[0].axes[0].get_title(loc="left") == r"\$1 to \$2"


@pytest.mark.parametrize("position", [{"step": 0}, {}])
def test_axis_has_a_length_if_all_values_are_at_the_start(
    tmp_path, figures, capsys, position
):
    work_dir = write(
        tmp_path / "run" / "20260101_000000", [{"val_loss": 1.0, **position}]
    )
    assert plot(work_dir, "-o", "a.png") == 0
    (axes,) = figures[0].axes
    assert axes.get_xlim() == (0, 1)
    assert [curve(line) for line in axes.get_lines()[1:3]] == [[[0], [1]]] * 2
    assert labels(figures[0])[1:] == ["best: epoch 0, 1", "end: epoch 0"]
    assert capsys.readouterr().out.splitlines()[0] == (
        "run: best val_loss at epoch 0, 1; 1 validation; ended at epoch 0"
    )


def axes_of(figures, *arguments):
    """Draw a figure with the command and return its axes."""
    assert plot(*arguments, "-o", "a.png") == 0
    (axes,) = figures[-1].axes
    return axes


def test_axes_range_from_zero_to_the_planned_end(run, figures):
    """Ticks are at whole epochs, and the figure has 1080 by 600 pixels."""
    axes = axes_of(figures, run)
    assert axes.get_xlim() == pytest.approx((0, 5.075))
    assert [tick for tick in axes.get_xticks() if tick != int(tick)] == []
    assert [s for s in axes.spines if axes.spines[s].get_visible()] == [
        "left",
        "bottom",
    ]
    assert axes.get_axisbelow() is True
    assert list(figures[0].get_size_inches() * figures[0].dpi) == [1080, 600]


def test_axes_of_several_runs_end_with_the_longest_run(run, tmp_path, figures):
    """The planned end of a run is left out."""
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
def test_axis_starts_at_zero_unless_that_flattens_the_curves(
    tmp_path, figures, values, from_zero
):
    """It never starts above the lowest value."""
    lines = [{"val_loss": value, "step": 1 + i} for i, value in enumerate(values)]
    axes = axes_of(figures, write(tmp_path / "run" / "20260101_000000", lines))
    bottom = axes.get_ylim()[0]
    assert (bottom == 0) == from_zero
    assert bottom <= min(values)


def test_colors_and_markers_repeat_for_more_runs(tmp_path, figures):
    """Seven colors and eight markers, on the axes and in the legend."""
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
def test_end_within_an_epoch_is_rounded_to_a_tenth(tmp_path, figures, plan, label):
    lines = epochs([3.0, 2.0], length=117, interval=50)[:-2]
    config = f"train_cfg = dict({plan})\n"
    work_dir = write(tmp_path / "run" / "20260101_000000", lines, config=config)
    keys = axes_of(figures, work_dir).get_legend().get_texts()
    assert keys[-1].get_text() == label
