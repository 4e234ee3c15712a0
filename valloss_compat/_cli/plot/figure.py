"""The figure of one or more runs, the only module that imports matplotlib."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Optional, Sequence, Tuple

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatterSciNotation, MaxNLocator

from valloss_compat._cli.plot.curves import RunCurves

# The palette of Okabe and Ito, which is safe for color blindness, without its
# yellow, which is too light for a line (https://jfly.uni-koeln.de/color/).
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
#: Markers distinguish runs without color vision, and more runs than colors.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
_GREY = "#80868b"

_TRAIN: Dict[str, Any] = {"linestyle": (0, (4, 2)), "linewidth": 1.2}
_VAL: Dict[str, Any] = {"linewidth": 1.8}
_MARK: Dict[str, Any] = {"linestyle": "none"}
_BEST = {**_MARK, "marker": "*", "markersize": 15, "markeredgecolor": "white"}
_STOP: Dict[str, Any] = {"linestyle": ":", "linewidth": 1.5}
_END = {**_MARK, "marker": "|", "markersize": 14, "markeredgewidth": 2.2}


class _PlainFormatter(LogFormatterSciNotation):
    """Labels ticks of a logarithmic axis with numbers, not with powers of ten."""

    def __call__(self, x: float, pos: Optional[int] = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def draw(
    runs: Sequence[RunCurves],
    path: str,
    *,
    metric: str = "val_loss",
    train_name: str = "loss",
    unit: str = "epoch",
    ylabel: str = "loss",
    title: str = "",
    log: bool = False,
) -> None:
    """Draw the curves of at least one run into a file, whose suffix is its format.

    ``metric`` and ``train_name`` are the names of the curves in the legend, ``unit``
    and ``ylabel`` those of the axes. Without a ``title`` there is none. With ``log``
    the y axis is logarithmic.
    """
    # A plain Figure needs no display and leaves the state of pyplot alone.
    legend_below = len(runs) > 3
    height = 5 + 0.14 * (len(runs) + 4) if legend_below else 5
    figure = Figure(figsize=(9, height), dpi=120)
    axes = figure.add_subplot()
    for index, run in enumerate(runs):
        _draw_run(axes, run, index, len(runs) == 1)
    axes.set_xlabel(unit)
    axes.set_ylabel(_escape_dollars(ylabel) + (" (logarithmic)" if log else ""))
    if title:
        axes.set_title(_escape_dollars(title), loc="left", fontweight="bold")
    _set_limits(axes, runs, log)
    axes.grid(color=_GREY, alpha=0.25, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    placement: Dict[str, Any] = {"loc": "best"}
    if legend_below:
        placement = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.11), "ncol": 2}
    handles = _legend_handles(runs, metric, train_name, unit)
    axes.legend(handles=handles, framealpha=0.9, edgecolor="none", **placement)
    figure.tight_layout()
    figure.savefig(path)


def _draw_run(axes: Any, run: RunCurves, index: int, single: bool) -> None:
    style = _run_style(index)
    axes.plot(*run.train, color=style["color"], **_TRAIN)
    if single:
        style["color"] = COLORS[1]
    if len(run.val[0]) > 60:  # markers would hide the curve
        style["marker"] = ""
    axes.plot(*run.val, markersize=4, **style, **_VAL)
    color = style["color"]
    if run.best is not None:
        axes.plot(*run.best, color=color, zorder=4, **_BEST)
    if single:
        axes.axvline(run.end, color=_GREY, **_STOP)
        if run.planned is not None:
            axes.axvspan(run.end, run.planned, color=_GREY, alpha=0.08, linewidth=0)
    elif run.val[0]:
        axes.plot(run.val[0][-1], run.val[1][-1], color=color, zorder=3, **_END)


def _set_limits(axes: Any, runs: Sequence[RunCurves], log: bool) -> None:
    ends = [run.end for run in runs]
    if len(runs) == 1:
        ends.append(runs[0].planned or 0)
    curves = [curve for run in runs for curve in (run.train, run.val)]
    left = min(position for positions, _ in curves for position in positions)
    span = max(ends) - min(left, 0)
    # The span is 0 if a training was stopped after a validation at its start.
    axes.set_xlim(min(left, 0), max(ends) + 0.015 * span if span else 1)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))
    if log:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(_PlainFormatter())
        axes.yaxis.set_minor_formatter(_PlainFormatter(minor_thresholds=(1.5, 0.5)))
        return
    values = [v for _, values in curves for v in values if math.isfinite(v)]
    # Start at zero, unless the values are so far above it that the curves get flat.
    if values and 0 <= min(values) < 0.4 * max(values):
        axes.set_ylim(bottom=0)


def _escape_dollars(text: str) -> str:
    """Keep matplotlib from reading text between two dollars as a formula."""
    return text.replace("$", r"\$")


def _legend_handles(
    runs: Sequence[RunCurves], metric: str, train_name: str, unit: str
) -> List[Line2D]:
    """Legend entries for several runs, then for the kinds of lines and markers."""
    first, single = runs[0], len(runs) == 1
    entries: List[Tuple[bool, str, Dict[str, Any]]] = [
        (
            not single,
            f"{run.name}, best at {run.best_label}" if run.best_label else run.name,
            {**_run_style(index), "markersize": 5, "linewidth": 2.2},
        )
        for index, run in enumerate(runs)
    ]
    train_color, val_color = COLORS[:2] if single else (_GREY, _GREY)
    has_train = any(run.train[0] for run in runs)
    has_val, has_best = any(run.val[0] for run in runs), any(run.best for run in runs)
    best = f"best: {first.best_label}" if single else "best"
    end = f"{unit} {round(first.end, 1):,.10g}"
    end = (
        f"end: {end}" if first.planned is None else f"stop: {end} of {first.planned:,}"
    )
    entries += [
        (has_train, f"training: {train_name}", {"color": train_color, **_TRAIN}),
        (has_val, f"validation: {metric}", {"color": val_color, **_VAL}),
        (has_best, best, {"color": val_color, **_BEST}),
        (single, end, {"color": _GREY, **_STOP}),
        (not single and has_val, "last validation", {"color": _GREY, **_END}),
    ]
    return [
        Line2D([], [], label=_escape_dollars(label), **style)
        for is_drawn, label, style in entries
        if is_drawn
    ]


def _run_style(index: int) -> Dict[str, Any]:
    color, marker = COLORS[index % len(COLORS)], MARKERS[index % len(MARKERS)]
    return {"color": color, "marker": marker}
