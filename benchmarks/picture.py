"""The picture: cost per iteration over the length of the epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Sequence

from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from recording import Cost

# Seen on light and on dark.
_NATIVE, _HERE, _GREY = "#d1603d", "#4681cc", "#80868b"
_DARK = Path(__file__).resolve().parent.parent / "docs" / "dark.mplstyle"
_MARKERS = {1: "o", 10: "s"}
_WORDS = {1: "one loss", 10: "ten losses"}


def draw(costs: Sequence[Cost], mmengine: str, folder: str) -> None:
    """Draw the costs, for a light page and for a dark one.

    Args:
        costs (Sequence[Cost]): As measured, ascending by length.
        mmengine (str): Its version.
        folder (str): That of ``cost.png`` and ``cost-dark.png``.
    """
    _draw(costs, mmengine, Path(folder, "cost.png"))
    with style.context(_DARK):
        _draw(costs, mmengine, Path(folder, "cost-dark.png"))


def _draw(costs: Sequence[Cost], mmengine: str, path: Path) -> None:
    # A bare Figure renders with Agg: no display, and no global state of pyplot.
    figure = Figure(figsize=(6.5, 4.5), dpi=170)
    axes = figure.add_subplot()
    for losses in (10, 1):
        these = [cost for cost in costs if cost.losses == losses]
        _draw_native(axes, these, f"native mmengine {mmengine}, {_WORDS[losses]}")
    for losses in (10, 1):
        these = [cost for cost in costs if cost.losses == losses]
        axes.plot(
            [cost.length for cost in these],
            [cost.here for cost in these],
            color=_HERE,
            marker=_MARKERS[losses],
            markersize=5,
            label=f"valloss_compat, {_WORDS[losses]}",
        )
    if any(cost.sampled for cost in costs):
        axes.plot([], [], color=_GREY, linestyle="--", label="sampled, not run whole")
    axes.set_title(
        "Recording the validation loss: mean cost per iteration",
        loc="left",
        fontweight="bold",
    )
    axes.set_xlabel("iterations in the epoch")
    axes.set_ylabel("microseconds per iteration")
    axes.set_xscale("log")
    axes.set_yscale("log")
    plain = FuncFormatter(
        lambda value, _: f"{value:,g}" if value < 1 else f"{value:,.0f}"
    )
    axes.xaxis.set_major_formatter(plain)
    axes.yaxis.set_major_formatter(plain)
    axes.set_ylim(bottom=0.3)
    axes.grid(color=_GREY, alpha=0.25, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=True, framealpha=1, edgecolor="none", loc="upper left")
    figure.tight_layout()
    figure.savefig(path)


def _draw_native(axes: Any, costs: List[Cost], label: str) -> None:
    whole = [cost for cost in costs if not cost.sampled]
    sampled = [cost for cost in costs if cost.sampled]
    line = {"color": _NATIVE, "marker": _MARKERS[costs[0].losses], "markersize": 5}
    axes.plot(
        [cost.length for cost in whole],
        [cost.native for cost in whole],
        label=label,
        **line,
    )
    # Starts at the last whole epoch, so that the line has no gap.
    tail = whole[-1:] + sampled
    axes.plot(
        [cost.length for cost in tail],
        [cost.native for cost in tail],
        linestyle="--",
        markerfacecolor=axes.get_facecolor(),
        zorder=1.9,
        **line,
    )
