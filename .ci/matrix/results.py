"""The matrix as a table and a picture, from the JUnit reports of its cells.

If every cell has a report of the same unchanged commit, docs/matrix.csv, matrix.png and
matrix-dark.png are written and the lines for the pages are printed. Otherwise they go
to .tox/matrix, and the pictures say that the matrix is not whole.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any, Dict, List

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from summary import Cell
from table import ROOT, Table

MATRIX = ROOT / ".tox" / "matrix"
VERSIONS = ("python", "torch", "numpy", "mmengine", "valloss_compat")
# For readers who cannot tell red from green too; each also has a symbol.
PASSED, FAILED, NOT_RUN, NO_CELL = "#8fd0b8", "#d55e00", "none", "#80868b28"
INK, GREY = "#202124", "#80868b"
#: Inches a cell, and around the grid: left, top, right, bottom.
WIDTH, HEIGHT = 0.44, 0.235
LEFT, TOP, RIGHT, BOTTOM = 1.75, 1.2, 0.2, 0.55


class Results:
    """The reports of all cells.

    Attributes:
        cells (dict): Name of each cell of the table -> its report.
        run (list): The cells that have a report.
        commits (list): The commits of the reports, sorted.
    """

    def __init__(self, table: Table, folder: Path = MATRIX) -> None:
        self.table = table
        self.cells: Dict[str, Cell] = {n: Cell(n, folder) for n in table.cells()}
        self.run: List[Cell] = [cell for cell in self.cells.values() if cell.found]
        self.commits = sorted({c.properties.get("commit", "") for c in self.run})

    @property
    def whole(self) -> bool:
        """Whether all cells ran, on one unchanged commit."""
        one = len(self.commits) == 1 and self.commits[0].isalnum()
        return one and len(self.run) == len(self.cells)

    def title(self) -> str:
        """The outcome, in one line."""
        green = sum(cell.green for cell in self.run)
        if self.whole:
            return f"{green} of {len(self.cells)} cells passed"
        return f"NOT WHOLE: {len(self.run)} of {len(self.cells)} run, {green} passed"

    def details(self) -> str:
        """Version, commit, date and number of tests, in one line."""
        counts = ", ".join(
            f"{sum(getattr(cell, kind) for cell in self.run):,} {kind}"
            for kind in ("passed", "failed", "skipped")
        )
        commits = " and ".join(name[:10] + name[40:] for name in self.commits)
        days = sorted({cell.date[:10] for cell in self.run})
        when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
        versions = {cell.properties.get("valloss_compat") for cell in self.run}
        version = ", ".join(sorted(versions - {None}))
        return f"valloss_compat {version}, commit {commits}, {when}. Tests: {counts}"

    def write_csv(self, path: Path) -> None:
        """Write one line a cell."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            counts = ("passed", "failed", "skipped", "seconds")
            writer.writerow(["cell", "outcome", *counts, *VERSIONS, "first error"])
            for name, cell in self.cells.items():
                versions = [cell.properties.get(key, "") for key in VERSIONS]
                error = ": ".join(cell.failures[0]) if cell.failures else ""
                outcome = "passed" if cell.green else "failed"
                found = [cell.passed, cell.failed, cell.skipped, f"{cell.seconds:.1f}"]
                if not cell.found:
                    outcome, found = "not run", [""] * len(counts)
                writer.writerow([name, outcome, *found, *versions, error])


def draw(results: Results, folder: Path) -> None:
    """Draw the results, for a light page and for a dark one.

    Args:
        results (Results): The reports of all cells.
        folder (Path): That of the PNG files.
    """
    _draw(results, folder / "matrix.png")
    with style.context(ROOT / "docs" / "dark.mplstyle"):
        _draw(results, folder / "matrix-dark.png")


def _draw(results: Results, path: Path) -> None:
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
    )
    figure.text(left, 1 - 0.56 / height, results.details(), fontsize=9, alpha=0.7)
    handles: List[Any] = [
        Patch(facecolor=PASSED, edgecolor=GREY, label="✓ all tests passed"),
        Patch(facecolor=FAILED, edgecolor=GREY, label="✗ and how many failed"),
        Patch(facecolor=NO_CELL, edgecolor=GREY, label="not part of the matrix"),
    ]
    if not results.whole:
        handles.append(Patch(facecolor=NOT_RUN, edgecolor=GREY, label="? not run"))
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
    colour, symbol, ink = NO_CELL, "", None
    if cell is not None:
        colour, symbol = NOT_RUN, "?"
        if cell.found:
            colour, symbol, ink = PASSED, "✓", INK
        if cell.found and not cell.green:
            colour, symbol, ink = FAILED, f"✗ {cell.failed}", "#ffffff"
    page = axes.get_facecolor()
    axes.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor=page, lw=1))
    axes.text(
        x + 0.5, y + 0.53, symbol, ha="center", va="center", fontsize=8, color=ink
    )


def _label(axes: Any, rows: List[Any], releases: List[Any]) -> None:
    axes.xaxis.tick_top()
    axes.set_xticks([x + 0.5 for x in range(len(rows))])
    axes.set_xticklabels(
        [f"{row.torch_minor}\n{row.python}" for row in rows], fontsize=8.5
    )
    axes.set_yticks([y + 0.5 for y in range(len(releases))])
    axes.set_yticklabels([f"{r.pypi} {r.version}" for r in releases], fontsize=8.5)
    axes.tick_params(length=0)
    axes.annotate(
        "torch\nPython",
        (0, 1),
        xytext=(-8, 3.5),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        fontsize=8.5,
        fontweight="bold",
    )
    for side in axes.spines.values():
        side.set_visible(False)
    # A line between the distributions.
    for y in range(1, len(releases)):
        if releases[y].factor != releases[y - 1].factor:
            axes.axhline(y, color=GREY, linewidth=1)


def main() -> int:
    """Write the table and the picture."""
    results = Results(Table())
    if not results.run:
        print(f"no report of a cell in {MATRIX.relative_to(ROOT)}")
        return 1
    folder = ROOT / "docs" if results.whole else MATRIX
    folder.mkdir(exist_ok=True)
    results.write_csv(folder / "matrix.csv")
    draw(results, folder)
    print(f"{folder.relative_to(ROOT)}: matrix.csv, matrix.png and matrix-dark.png")
    print(f"{results.title()}; {results.details()}")
    if results.whole:
        print(
            "For docs/compatibility.md and README.md:\n\n"
            f"![The matrix: {results.title()}](matrix.png)\n\n"
            f"{results.title()}; {results.details()}. Cell by cell: "
            "[matrix.csv](matrix.csv)."
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
