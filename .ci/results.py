"""The matrix as a table and a picture, from the JUnit reports of its cells alone.

Whole (every cell of the table has a report of one commit, with nothing changed):
written to docs/matrix.csv and docs/matrix.png, and the lines for the README are
printed. Else to .tox/matrix, and the picture says that it is not whole.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Dict, List

from picture import draw
from reports import Cell
from table import ROOT, Table

MATRIX = ROOT / ".tox" / "matrix"
VERSIONS = ("python", "torch", "numpy", "mmengine", "valloss_compat")


class Results:
    """What all reports say together.

    Attributes:
        cells (dict): Of each cell of the table, what its report says.
        run (list): Those that have one.
        commits (list): Of which commits, oldest name first.
    """

    def __init__(self, table: Table, folder: Path = MATRIX) -> None:
        self.table = table
        self.cells: Dict[str, Cell] = {n: Cell(n, folder) for n in table.cells()}
        self.run: List[Cell] = [cell for cell in self.cells.values() if cell.found]
        self.commits = sorted({c.properties.get("commit", "") for c in self.run})

    @property
    def whole(self) -> bool:
        """Whether these are all cells, of one commit, with nothing changed."""
        one = len(self.commits) == 1 and self.commits[0].isalnum()
        return one and len(self.run) == len(self.cells)

    def title(self) -> str:
        """What came out, in one line."""
        green = sum(cell.green for cell in self.run)
        if self.whole:
            return f"{green} of {len(self.cells)} cells passed"
        return f"NOT WHOLE: {len(self.run)} of {len(self.cells)} run, {green} passed"

    def details(self) -> str:
        """How many tests, of which commit, when, in one line."""
        counts = ", ".join(
            f"{sum(getattr(cell, kind) for cell in self.run):,} {kind}"
            for kind in ("passed", "failed", "skipped")
        )
        commits = " and ".join(name[:10] + name[40:] for name in self.commits)
        days = sorted({cell.date[:10] for cell in self.run})
        when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
        ours = {cell.properties.get("valloss_compat") for cell in self.run}
        version = ", ".join(sorted(ours - {None}))
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


def main() -> int:
    """Write both."""
    results = Results(Table())
    if not results.run:
        print(f"no report of a cell in {MATRIX.relative_to(ROOT)}")
        return 1
    folder = ROOT / "docs" if results.whole else MATRIX
    folder.mkdir(exist_ok=True)
    results.write_csv(folder / "matrix.csv")
    draw(results, folder / "matrix.png")
    print(f"{folder.relative_to(ROOT)}: matrix.png and matrix.csv")
    print(f"{results.title()}; {results.details()}")
    if results.whole:
        print(
            "For the README:\n\n"
            f"![The matrix: {results.title()}](docs/matrix.png)\n\n"
            f"{results.title()}; {results.details()}. Cell by cell: "
            "[docs/matrix.csv](docs/matrix.csv)."
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
