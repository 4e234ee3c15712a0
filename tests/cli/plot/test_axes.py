"""What the axes of a picture of plot show, and how many runs are told apart."""

from __future__ import annotations

import pytest

from cli.plot.work_dirs import epochs, plot, write
from valloss_compat._cli.plot import figure

# The drawing asks nothing of mmengine: it reads what was logged.
pytestmark = pytest.mark.slow


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
    colors = (figure.COLORS * 3)[:17]
    markers = (figure.MARKERS * 3)[:17]
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
