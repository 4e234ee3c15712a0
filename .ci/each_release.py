"""Run the tests on one mmengine release after the other, in one environment.

Making an environment and compiling torch's modules costs more than the tests do. So a
row of the matrix does it once, and only mmengine changes. Every release still writes
its own JUnit report and counts as a cell: the tests check that the requested release is
the one that is imported.

    each_release.py [--coverage] [RELEASE ...] [-- PYTEST_ARGUMENT ...]

Without releases: those that the table has for this environment. One of them runs the
slow tests for all; with `--coverage` the others run beside it, as nothing else runs
then. Runs inside a tox environment, on Python 3.7 too.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cell as cells
from table import REPORTS, ROOT, Table


def report_coverage():
    """Add up what all runs covered; return non-zero if that is below the threshold."""
    for action in (["combine", "--quiet"], ["report"]):
        code = subprocess.call([sys.executable, "-m", "coverage", *action], cwd=ROOT)
        if code:
            return code
    return 0


def run(name, release, slow, row, coverage, arguments, beside=False):
    """Test one release; return whether it passed.

    What pytest prints beside another release is shown only if it fails.
    """
    start = time.monotonic()
    report = REPORTS / f"{name}.xml"
    if report.exists():
        report.unlink()
    try:
        paths = cells.folders(release, row, sys.executable)
        done = subprocess.run(
            cells.command(sys.executable, report, arguments, coverage),
            env=cells.environment(os.environ, name, paths, slow),
            stdout=subprocess.PIPE if beside else None,
        )
        code = done.returncode
        if beside:
            sys.stdout.write(done.stdout.decode() if code else "")
    except subprocess.CalledProcessError as error:
        print(error)
        code = 1
    verdict = "FAILED" if code else "passed"
    print(f"{name}: {verdict} in {time.monotonic() - start:.1f} s", flush=True)
    return not code


def main():
    """Run every release asked for; return non-zero if one of them failed."""
    arguments = sys.argv[1:]
    pytest_arguments = []
    if "--" in arguments:
        split = arguments.index("--")
        arguments, pytest_arguments = arguments[:split], arguments[split + 1 :]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument(
        "--save-environment",
        metavar="FILE",
        help="run nothing; write the environment variables of this place, as JSON",
    )
    parser.add_argument("releases", nargs="*", metavar="RELEASE")
    options = parser.parse_args(arguments)
    if options.save_environment:
        Path(options.save_environment).write_text(json.dumps(dict(os.environ)))
        return 0

    table = Table()
    place = os.environ["VALLOSS_COMPAT_CELL"]
    releases = list(map(table.release, options.releases))
    if options.coverage:
        row, releases = None, releases or table.coverage
        slow = releases[len(releases) // 2]
        # Drop the data of earlier runs.
        subprocess.call([sys.executable, "-m", "coverage", "erase"], cwd=ROOT)
    else:
        row = table.row(place)
        core = list(map(table.release, row.core))
        all_of_row = core if place.endswith("-core") else table.releases_on(row)
        releases = releases or all_of_row
        slow = table.slow_of(row, releases)
    # py37-torch1.8-releases becomes py37-torch1.8-mmengine0.1.0.
    prefix = re.sub("-(releases|core)$", "", place)

    def passes(release, beside=False):
        name = f"{prefix}-{release.name}"
        arguments = (row, options.coverage, pytest_arguments, beside)
        return run(name, release, slow, *arguments)

    if not options.coverage:
        return len([release for release in releases if not passes(release)])
    with ThreadPoolExecutor(1) as pool:
        others = [pool.submit(passes, one, True) for one in releases if one != slow]
        passed = [passes(slow), *(other.result() for other in others)]
    return report_coverage() or not all(passed)


if __name__ == "__main__":
    sys.exit(main())
