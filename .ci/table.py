"""Reads the table of releases: the rows and cells of the matrix, and their names.

A row is a Python and a torch with its companions; a cell is one release on one row.
Run as a script, it prints the cells of CI. Runs on Python 3.7 too.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

if sys.version_info >= (3, 11):
    import tomllib
else:  # pytest requires it there
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / ".tox" / "reports"
#: Environments of the label `core` that are no rows.
CORE_LIBRARIES = ("downstream-mmpretrain", "downstream-mmpretrain-old")


class Release(NamedTuple):
    """One release of mmengine, or of a fork that carries its import name."""

    factor: str
    version: str
    pypi: str
    needs_torchvision: bool

    @property
    def name(self) -> str:
        """As in a cell's name: lite0.10.4."""
        return f"{self.factor}{self.version}"

    @property
    def requirement(self) -> str:
        """As pip takes it: mmengine-lite==0.10.4."""
        return f"{self.pypi}=={self.version}"


class Row(NamedTuple):
    """A Python, a torch and its companions."""

    python: str
    torch: str
    torchvision: str
    runs: Tuple[str, ...]
    core: Tuple[str, ...] = ()
    numpy: str = ""
    bare: bool = False

    @property
    def torch_minor(self) -> str:
        """2.4 of 2.4.1."""
        return ".".join(self.torch.split(".")[:2])

    @property
    def name(self) -> str:
        """As the rows and cells begin: py311-torch2.4."""
        return f"py{self.python.replace('.', '')}-torch{self.torch_minor}"

    @property
    def environment(self) -> str:
        """The tox environment that runs all its cells."""
        return f"{self.name}-releases"


class Table:
    """The contents of `.ci/releases.toml`."""

    def __init__(self, path: Path = ROOT / ".ci" / "releases.toml") -> None:
        with path.open("rb") as file:
            raw = tomllib.load(file)
        self.releases: List[Release] = []
        self.edge: List[Release] = []
        self.coverage: List[Release] = []
        for entry in raw["distribution"]:
            self._add(entry)
        self.by_name: Dict[str, Release] = {r.name: r for r in self.releases}
        lists = ("runs", "core")
        self.rows = [
            Row(**{**row, **{name: tuple(row.get(name, ())) for name in lists}})
            for row in raw["row"]
        ]

    def _add(self, entry: Dict[str, Any]) -> None:
        versions = entry["releases"]
        until = entry.get("torchvision_until")
        needing = versions[: versions.index(until) + 1] if until else []
        releases = [
            Release(entry["factor"], version, entry["pypi"], version in needing)
            for version in versions
        ]
        self.releases += releases
        self.edge += [r for r in releases if r.version in entry.get("edge", [])]
        self.coverage += [r for r in releases if r.version in entry.get("coverage", [])]

    def of(self, factor: str) -> List[Release]:
        """Return the releases of one distribution, oldest first."""
        return [r for r in self.releases if r.factor == factor]

    def release(self, name: str) -> Release:
        """Return a release by its name; a bare number is one of mmengine's.

        Raises:
            KeyError: If the table has none of that name.
        """
        return self.by_name[name if name in self.by_name else f"mmengine{name}"]

    def releases_on(self, row: Row) -> List[Release]:
        """Return the releases of a row, oldest first, the forks last."""
        sets = {"all": self.of("mmengine"), "edge": self.edge}
        return [r for runs in row.runs for r in sets.get(runs) or self.of(runs)]

    def slow_of(self, row: Row, releases: Sequence[Release]) -> Release:
        """Return the one of some releases that runs a row's slow tests for all.

        The edge releases, which are on all rows, take turns.
        """
        one = self.edge[self.rows.index(row) % len(self.edge)]
        return one if one in releases else releases[-1]

    def row(self, name: str) -> Row:
        """Return a row by its name, or by that of its tox environment.

        Raises:
            KeyError: If the table has none of that name.
        """
        name = re.sub("-(releases|core)$", "", name)
        return {row.name: row for row in self.rows}[name]

    def cells(self) -> List[str]:
        """Return the names of all cells, row by row."""
        return [
            f"{row.name}-{release.name}"
            for row in self.rows
            for release in self.releases_on(row)
        ]

    def ci_cells(self) -> List[str]:
        """Return the names of all cells of CI, as their reports have them."""
        core = [f"{row.name}-{name}" for row in self.rows for name in row.core]
        coverage = [f"coverage-{release.name}" for release in self.coverage]
        return [*coverage, "downstream", *core, *CORE_LIBRARIES]


if __name__ == "__main__":
    print(*Table().ci_cells())
