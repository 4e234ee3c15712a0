"""Run the whole matrix: every cell of the table, several at a time.

    .venv/bin/python .ci/matrix/run.py                                  all of it
    .venv/bin/python .ci/matrix/run.py py37-torch1.8 py313-torch2.15    these rows
    .venv/bin/python .ci/matrix/run.py --releases 0.1.0 lite0.10.7      these releases

tox makes a row's environment while the cells of the previous row run; it is deleted
when its last cell is done. After an interrupt the same command continues: a cell with a
report of the current commit is not run again (a failed one is, with --again). With
uncommitted changes everything runs.

Reports and logs are in .tox/matrix. At the end, the failed cells are listed, and if all
cells have a report of one commit, the picture and the table in docs/ are written. Needs
tox and tox-uv in .venv (the README's test command makes it).
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import List, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cell
from matrix.pool import Pool
from matrix.rows import Rows
from summary import Cell, show
from table import ROOT, Release, Row, Table

MATRIX = ROOT / ".tox" / "matrix"
#: Bytes for a cell: four ranks, each a process with torch in it.
MEMORY = 2 * 10**9


def commit() -> Tuple[str, bool]:
    """Return the commit that is checked out, and whether something differs from it."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip()
    # The runs themselves write the picture and the table.
    rest = ["--", ".", ":(exclude)docs/matrix*"]
    status = [*git, "status", "--porcelain", "--untracked-files=all", *rest]
    return head, bool(subprocess.check_output(status, text=True))


def lanes() -> int:
    """Return how many cells fit into the cores and the free memory at a time."""
    cores = len(os.sched_getaffinity(0))
    with open("/proc/meminfo", encoding="ascii") as file:
        lines = dict(line.split(":") for line in file)
    available = 1024 * int(lines["MemAvailable"].split()[0])
    return max(1, min(cores, available // MEMORY))


def ordered(rows: List[Row]) -> List[Row]:
    """Return the rows so that short ones lie between long ones.

    A row of four cells is done before the next environment is made; one of thirty gives
    time to make several. A long one comes first, and one last.
    """
    long = [row for row in rows if "edge" not in row.runs]
    short = [row for row in rows if "edge" in row.runs]
    if not long:
        return short
    gaps = max(1, len(long) - 1)
    mixed: List[Row] = []
    for index, row in enumerate(long):
        mixed.append(row)
        begin, end = (len(short) * (index + step) // gaps for step in (0, 1))
        mixed += short[begin:end] if index < gaps else []
    return mixed


def plan(table: Table, options: argparse.Namespace) -> List[Tuple[Row, List[Release]]]:
    """Return the requested rows, each with its requested releases."""
    rows = [table.row(name) for name in options.rows] or ordered(table.rows)
    wanted = {table.release(name).name for name in options.releases or table.by_name}
    return [
        (row, [r for r in table.releases_on(row) if r.name in wanted]) for row in rows
    ]


def parse() -> argparse.Namespace:
    """Return the options."""
    text = __doc__ or ""
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW")
    parser.add_argument("--releases", nargs="+", default=[], metavar="RELEASE")
    parser.add_argument("--again", action="store_true", help="run failed cells again")
    parser.add_argument("--jobs", type=int, default=lanes(), help="cells at a time")
    parser.add_argument("--disk", type=float, default=25.0, help="GB, at most")
    parser.add_argument(
        "--cache", type=Path, help="a cache of uv that stays (100 GB); else none does"
    )
    parser.add_argument("--keep", action="store_true", help="do not delete rows")
    return parser.parse_args()


def main() -> int:
    """Run the requested cells and print a summary."""
    options, table = parse(), Table()
    os.environ["PATH"] = cell.search_path()
    MATRIX.mkdir(parents=True, exist_ok=True)
    head, changed = commit()
    run = f"{head} with changes" if changed else head
    rows = Rows(table, MATRIX, int(options.disk * 1e9), options.cache)
    pool = Pool(rows, MATRIX, run, lambda: commit() == (head, changed), options.keep)
    names, waiting = [], []
    for row, releases in plan(table, options):
        cells = [f"{row.name}-{release.name}" for release in releases]
        names += cells
        left = [
            release
            for release, name in zip(releases, cells)
            if changed or not finished(name, run, options.again)
        ]
        waiting += [(row, left)] if left else []
    # First, as they take their space already.
    left_over = rows.adopt([row for row, _ in waiting])
    waiting.sort(key=lambda item: item[0] not in left_over)
    count = sum(len(releases) for _, releases in waiting)
    print(f"{len(names)} cells of {run}; {len(names) - count} are done already")
    print(f"{options.jobs} at a time, reports and logs in {MATRIX.relative_to(ROOT)}")

    start = time.monotonic()
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell ignores them
        signal.signal(number, signal.default_int_handler)
    if waiting:
        rows.wheel()
        if not pool.run(waiting, options.jobs):
            print("interrupted: the same command goes on from here")
            return 130
    code = show([Cell(name, MATRIX) for name in names])
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{(time.monotonic() - start) / 60:.1f} minutes for {count} cells, "
        f"{(used.ru_utime + used.ru_stime) / 60:.1f} of processor time; the rows took "
        f"{rows.peak / 1e9:.1f} GB at most"
    )
    subprocess.call(["tox", "run", "-q", "-e", "picture"], cwd=ROOT)
    return code


def finished(name: str, run: str, again: bool) -> bool:
    """Tell whether a cell has a report of this commit and need not run again."""
    found = Cell(name, MATRIX)
    return found.properties.get("commit") == run and (found.green or not again)


if __name__ == "__main__":
    sys.exit(main())
