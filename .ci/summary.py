"""Add up the JUnit reports of tox cells, and close with one plain line.

summary.py --cells 'CELL CELL ...' [--failed-steps 'STEP ...']

A cell without a readable report has died: it counts as one failed test. So does a step
that failed although no cell did (lint, say). Exit code: 0 only if some test passed and
none failed.
"""

from __future__ import annotations

import argparse
import collections
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

REPORTS = Path(__file__).resolve().parent.parent / ".tox" / "reports"
# Steps whose failures show in the reports of their cells.
STEPS_OF_CELLS = {"readme", "core"}


class Cell:
    """What one cell's report says."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.passed = self.failed = self.skipped = 0
        self.seconds = 0.0
        self.died = ""
        self.failures: list[str] = []
        self.skips: list[str] = []
        try:
            root = ET.parse(REPORTS / f"{name}.xml").getroot()
        except (OSError, ET.ParseError):
            self.died = "wrote no report: see its log"
        else:
            for case in root.iter("testcase"):
                self._count(case)
            self.seconds = sum(float(s.get("time", 0)) for s in root.iter("testsuite"))
            if not (self.passed or self.failed):
                self.died = "ran no test"
        self.failed += bool(self.died)

    def _count(self, case: ET.Element) -> None:
        name = f"{case.get('classname')}::{case.get('name')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            self.failed += 1
            self.failures.append(name)
        elif skipped is not None:
            self.skipped += 1
            self.skips.append(f"{skipped.get('message')}")
        else:
            self.passed += 1

    def line(self) -> str:
        """Return the cell's row of the table."""
        counts = f"{self.passed:5} {self.failed:6} {self.skipped:7} {self.seconds:6.1f}"
        return f"{self.name:36} {counts}  {self.died}".rstrip()


def main() -> int:
    """Print the table, the failures, the reasons of skips and the closing line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", required=True, type=str.split)
    parser.add_argument("--failed-steps", default="", type=str.split)
    options = parser.parse_args()

    cells = [Cell(name) for name in options.cells]
    print(f"{'cell':36} passed failed skipped seconds")
    for cell in cells:
        print(cell.line())
    for cell in cells:
        for failure in cell.failures:
            print(f"failed in {cell.name}: {failure}")
    skips = collections.Counter(reason for cell in cells for reason in cell.skips)
    for reason, times in skips.most_common():
        print(f"skipped {times} times: {reason}")

    passed, failed, skipped = (
        sum(getattr(cell, kind) for cell in cells)
        for kind in ("passed", "failed", "skipped")
    )
    for step in options.failed_steps:
        print(f"failed step: {step}")
        if step not in STEPS_OF_CELLS or not failed:
            failed += 1
    bad = [cell for cell in cells if cell.failed]
    print(f"{len(cells)} cells, {len(cells) - len(bad)} passed, {len(bad)} failed")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return int(failed > 0 or passed == 0)


if __name__ == "__main__":
    sys.exit(main())
