"""Add up the JUnit reports of tox cells, and close with one plain line.

summary.py --cells 'CELL CELL ...' [--failed-steps 'STEP ...'] [--reports FOLDER]

A cell without a readable report has died: it counts as one failed test. So does a step
that failed although no cell did (lint, say). Exit code: 0 only if some test passed and
none failed.
"""

from __future__ import annotations

import argparse
import collections
import sys
from pathlib import Path
from typing import Sequence

from reports import Cell
from table import REPORTS

# Steps whose failures show in the reports of their cells.
STEPS_OF_CELLS = {"readme", "core"}


def show(cells: Sequence[Cell], failed_steps: Sequence[str] = ()) -> int:
    """Print the table, the failures, the reasons of skips and the closing line.

    Returns:
        int: 0 only if some test passed and none failed, else 1.
    """
    print(f"{'cell':36} passed failed skipped seconds")
    for cell in cells:
        print(cell.line())
    for cell in cells:
        for test, error in cell.failures:
            print(f"failed in {cell.name}: {test}: {error}")
    skips = collections.Counter(reason for cell in cells for reason in cell.skips)
    for reason, times in skips.most_common():
        print(f"skipped {times} times: {reason}")

    passed, failed, skipped = (
        sum(getattr(cell, kind) for cell in cells)
        for kind in ("passed", "failed", "skipped")
    )
    for step in failed_steps:
        print(f"failed step: {step}")
        if step not in STEPS_OF_CELLS or not failed:
            failed += 1
    bad = [cell for cell in cells if cell.failed]
    print(f"{len(cells)} cells, {len(cells) - len(bad)} passed, {len(bad)} failed")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return int(failed > 0 or passed == 0)


def main() -> int:
    """Show what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", required=True, type=str.split)
    parser.add_argument("--failed-steps", default="", type=str.split)
    parser.add_argument("--reports", default=REPORTS, type=Path)
    options = parser.parse_args()
    cells = [Cell(name, options.reports) for name in options.cells]
    return show(cells, options.failed_steps)


if __name__ == "__main__":
    sys.exit(main())
