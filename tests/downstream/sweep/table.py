"""The tables of the sweep: of kinds, and of verdicts."""

from __future__ import annotations

import csv
import datetime
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple

from downstream.oracle.written import versions

KINDS = ("library", "config", "family", "kind", "reason")
VERDICTS = (
    "library",
    "config",
    "family",
    "kind",
    "verdict",
    "repair",
    "reason",
    "run_as",
    "signature",
)
Rows = Dict[Tuple[str, str], Dict[str, str]]


def read(path: Path) -> Rows:
    """The lines of a table; none if there is no file."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        lines = [line for line in file if not line.startswith("#")]
    return {(row["library"], row["config"]): row for row in csv.DictReader(lines)}


def write(
    path: Path,
    columns: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    command: str = "downstream.sweep --write",
) -> None:
    """Write a table, with its command, the date and the versions at the top."""
    path.parent.mkdir(parents=True, exist_ok=True)
    today = datetime.date.today().isoformat()
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# python -m {command}, {today}\n{versions()}\n")
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        for row in rows:
            table.writerow({name: row.get(name, "") for name in columns})


def append(path: Path, columns: Sequence[str], row: Mapping[str, Any]) -> None:
    """Add a line to a table, so that an interrupted sweep keeps it."""
    with path.open("a", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writerow({name: row.get(name, "") for name in columns})


def summary(rows: Iterable[Mapping[str, str]]) -> List[str]:
    """How many supervised configs of each library have which verdict."""
    counts: Dict[str, Dict[str, int]] = {}
    for row in rows:
        name = row["verdict"] or row["kind"]
        of_library = counts.setdefault(row["library"], {})
        of_library[name] = of_library.get(name, 0) + 1
    return [
        f"{library:10} " + ", ".join(f"{n} {name}" for name, n in sorted(found.items()))
        for library, found in counts.items()
    ]
