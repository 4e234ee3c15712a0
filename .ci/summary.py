"""Read the JUnit reports of tox cells, add them up, and close with one plain line.

summary.py --cells 'CELL CELL ...' [--failed-steps 'STEP ...'] [--reports FOLDER]

A cell without a readable report, or with a report without any test, has died: it counts
as one failed test. So does a step that failed although no cell did (lint, say). Exit
code: 0 only if some test passed and none failed.
"""

from __future__ import annotations

import argparse
import collections
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

from table import REPORTS

# The failures of these steps are in the reports of their cells.
STEPS_OF_CELLS = {"readme", "core"}


class Cell:
    """The contents of one cell's report.

    Attributes:
        name (str): The cell's name.
        died (str): Why there is no result; empty if there is one.
        failures (list): Name and first error line of each failed test.
        skips (list): The reason of each skipped test.
        properties (dict): The commit and the versions that ran.
        date (str): Start of the run, as ISO 8601.
    """

    def __init__(self, name: str, folder: Path = REPORTS) -> None:
        self.name = name
        self.passed = self.failed = self.skipped = 0
        self.seconds = 0.0
        self.died = self.date = ""
        self.failures: List[Tuple[str, str]] = []
        self.skips: List[str] = []
        self.properties: Dict[str, str] = {}
        self.found = True
        try:
            root = ET.parse(str(folder / f"{name}.xml")).getroot()
        except (OSError, ET.ParseError):
            self.found = False
            self.died = "wrote no report: see its log"
        else:
            self._read(root)
        self.failed += bool(self.died)

    def _read(self, root: ET.Element) -> None:
        for case in root.iter("testcase"):
            self._count(case)
        for suite in root.iter("testsuite"):
            self.seconds += float(suite.get("time", 0))
            self.date = suite.get("timestamp", "")
        for item in root.iter("property"):
            self.properties[item.get("name", "")] = item.get("value", "")
        if not (self.passed or self.failed):
            self.died = "ran no test"

    def _count(self, case: ET.Element) -> None:
        name = f"{case.get('classname')}::{case.get('name')}"
        skipped = case.find("skipped")
        trouble = [case.find("failure"), case.find("error")]
        wrong = next((found for found in trouble if found is not None), None)
        if wrong is not None:
            self.failed += 1
            self.failures.append((name, first_line(wrong.get("message") or "")))
        elif skipped is not None:
            self.skipped += 1
            self.skips.append(f"{skipped.get('message')}")
        else:
            self.passed += 1

    @property
    def green(self) -> bool:
        """Whether something ran and nothing failed."""
        return self.passed > 0 and self.failed == 0

    def line(self) -> str:
        """Return the cell's row of the table."""
        counts = f"{self.passed:5} {self.failed:6} {self.skipped:7} {self.seconds:6.1f}"
        return f"{self.name:36} {counts}  {self.died}".rstrip()


def first_line(text: str) -> str:
    """Return the first line that is not empty, cut to fit on a screen."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0][:160] if lines else "no message"


def first_error(log: Path) -> str:
    """Return the first line of a log that looks like an error, else its last one."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    shown = [line for line in lines if line.strip()] or ["its log is empty"]
    for pattern in (r"^E  ", r"(?i)\berror\b|^fatal|\w(error|exception)\b", ""):
        found = [line for line in shown if re.search(pattern, line)]
        if found:
            break
    # A log without any error may have ended anywhere: its last line.
    return first_line(re.sub("^E +", "", found[0] if pattern else found[-1]))


def write_death(path: Path, why: str, date: str, properties: Dict[str, str]) -> None:
    """Write the report of a cell that could not write its own."""
    root = ET.Element("testsuites")
    suite = ET.SubElement(root, "testsuite", name="pytest", time="0", timestamp=date)
    listed = ET.SubElement(suite, "properties")
    for name, value in properties.items():
        ET.SubElement(listed, "property", name=name, value=value)
    case = ET.SubElement(suite, "testcase", classname="cell", name="died")
    ET.SubElement(case, "error", message=why)
    ET.ElementTree(root).write(str(path))


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
