"""The picture: cost per iteration over the length of the epoch."""

from __future__ import annotations

from typing import Any, List, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from recording import Cost

_NATIVE, _HERE, _GREY = "#d1603d", "#3b6fb6", "#5f6368"
_MARKERS = {1: "o", 10: "s"}
_WORDS = {1: "one loss", 10: "ten losses"}


def draw(costs: Sequence[Cost], mmengine: str, path: str) -> None:
    """Draw the costs.

    Args:
        costs (Sequence[Cost]): As measured, ascending by length.
        mmengine (str): Its version.
        path (str): The PNG file to write.
    """
    # A bare Figure renders with Agg: no display, and no global state of pyplot.
    figure = Figure(figsize=(9, 5.5), dpi=120)
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
    axes.grid(color="#e3e5e8", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=True, framealpha=1, edgecolor="none", loc="upper left")
    figure.tight_layout()
    figure.savefig(path)


def _draw_native(axes: Any, costs: List[Cost], label: str) -> None:
    whole = [cost for cost in costs if not cost.sampled]
    sampled = [cost for cost in costs if cost.sampled]
    style = {"color": _NATIVE, "marker": _MARKERS[costs[0].losses], "markersize": 5}
    axes.plot(
        [cost.length for cost in whole],
        [cost.native for cost in whole],
        label=label,
        **style,
    )
    # Starts at the last whole epoch, so that the line has no gap.
    tail = whole[-1:] + sampled
    axes.plot(
        [cost.length for cost in tail],
        [cost.native for cost in tail],
        linestyle="--",
        markerfacecolor="white",
        zorder=1.9,
        **style,
    )
