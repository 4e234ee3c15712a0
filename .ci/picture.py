"""The picture of the matrix: releases down, rows across, a mark and a colour a cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List

from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

# Told apart by people who do not see red and green as well, and each with a mark.
PASSED, FAILED, NOT_RUN, NO_CELL = "#8fd0b8", "#d55e00", "#ffffff", "#f1f2f4"
INK, FAINT = "#202124", "#5f6368"
#: Inches a cell, and around the grid: left, top, right, bottom.
WIDTH, HEIGHT = 0.44, 0.235
LEFT, TOP, RIGHT, BOTTOM = 1.75, 1.2, 0.2, 0.55


def draw(results: Any, path: Path) -> None:
    """Draw the results.

    Args:
        results (Results): What all reports say.
        path (Path): The PNG file to write.
    """
    rows, releases = results.table.rows, results.table.releases
    width = LEFT + WIDTH * len(rows) + RIGHT
    height = TOP + HEIGHT * len(releases) + BOTTOM
    # A bare Figure renders with Agg: no display, and no global state of pyplot.
    figure = Figure(figsize=(width, height), dpi=110)
    axes = figure.add_axes(
        (
            LEFT / width,
            BOTTOM / height,
            WIDTH * len(rows) / width,
            HEIGHT * len(releases) / height,
        )
    )
    axes.set_xlim(0, len(rows))
    axes.set_ylim(len(releases), 0)
    for x, row in enumerate(rows):
        for y, release in enumerate(releases):
            cell = results.cells.get(f"{row.name}-{release.name}")
            _draw_cell(axes, x, y, cell)
    _label(axes, rows, releases)
    left = 0.15 / width
    figure.text(
        left,
        1 - 0.32 / height,
        f"mmengine by Python and torch: {results.title()}",
        fontsize=14,
        fontweight="bold",
        color=INK,
    )
    figure.text(left, 1 - 0.56 / height, results.details(), fontsize=9, color=FAINT)
    handles: List[Any] = [
        Patch(facecolor=PASSED, edgecolor=FAINT, label="✓ all tests passed"),
        Patch(facecolor=FAILED, edgecolor=FAINT, label="✗ and how many failed"),
        Patch(facecolor=NO_CELL, edgecolor=FAINT, label="not part of the matrix"),
    ]
    if not results.whole:
        handles.append(Patch(facecolor=NOT_RUN, edgecolor=FAINT, label="? not run"))
    figure.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(left, 0.08 / height),
        ncol=len(handles),
        frameon=False,
        fontsize=9,
    )
    figure.savefig(str(path))


def _draw_cell(axes: Any, x: int, y: int, cell: Any) -> None:
    colour, mark, ink = NO_CELL, "", INK
    if cell is not None:
        colour, mark = NOT_RUN, "?"
        if cell.found:
            colour, mark = PASSED, "✓"
        if cell.found and not cell.green:
            colour, mark, ink = FAILED, f"✗ {cell.failed}", "#ffffff"
    axes.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="#ffffff", lw=1))
    axes.text(x + 0.5, y + 0.53, mark, ha="center", va="center", fontsize=8, color=ink)


def _label(axes: Any, rows: List[Any], releases: List[Any]) -> None:
    axes.xaxis.tick_top()
    axes.set_xticks([x + 0.5 for x in range(len(rows))])
    axes.set_xticklabels(
        [f"{row.torch_minor}\n{row.python}" for row in rows], fontsize=8.5
    )
    axes.set_yticks([y + 0.5 for y in range(len(releases))])
    axes.set_yticklabels([f"{r.pypi} {r.version}" for r in releases], fontsize=8.5)
    axes.tick_params(length=0, colors=INK)
    axes.annotate(
        "torch\nPython",
        (0, 1),
        xytext=(-8, 3.5),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        fontsize=8.5,
        fontweight="bold",
        color=INK,
    )
    for side in axes.spines.values():
        side.set_visible(False)
    # A line between the distributions.
    for y in range(1, len(releases)):
        if releases[y].factor != releases[y - 1].factor:
            axes.axhline(y, color=FAINT, linewidth=1)
