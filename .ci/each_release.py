"""Run the tests on one mmengine release after the other, in one environment.

Making an environment and compiling torch's modules costs more than the tests do, so a
row of the matrix does it once and only mmengine changes. Every release still writes its
own JUnit report and is a cell of its own: the tests check that the release imported is
the one that was asked for.

    each_release.py [--coverage] [RELEASE ...] [-- PYTEST_ARGUMENT ...]

Without releases: all that tox.ini names. Runs inside a tox environment, on Python 3.7
too.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable


def known_releases():
    """Return the releases in tox.ini's table, oldest first."""
    table = (ROOT / "tox.ini").read_text()
    return re.findall(r"^ +mmengine[\d.]+: +mmengine==(\S+)$", table, re.MULTILINE)


def install(release):
    """Replace the release of mmengine that is installed; say whether it worked."""
    # What it requires is there already, for all releases.
    options = ["--quiet", "--no-deps", f"mmengine=={release}"]
    if shutil.which("uv"):  # seconds quicker, release for release
        return (
            subprocess.call(["uv", "pip", "install", "--python", PYTHON, *options]) == 0
        )
    options.insert(0, "--disable-pip-version-check")
    return subprocess.call([PYTHON, "-m", "pip", "install", *options]) == 0


def run_tests(cell, coverage, arguments):
    """Run pytest for a cell; return its exit code."""
    # `-m pytest` puts the working directory on sys.path: tests/, not the source tree.
    command = [PYTHON, "-m", "pytest", "-q", f"--junitxml={report(cell)}", *arguments]
    if coverage:
        settings = f"--rcfile={ROOT / 'pyproject.toml'}"
        command[1:1] = ["-m", "coverage", "run", settings]
    return subprocess.call(command, env={**os.environ, "VALLOSS_COMPAT_CELL": cell})


def report(cell):
    """Return where the JUnit report of a cell goes."""
    return ROOT / ".tox" / "reports" / f"{cell}.xml"


def report_coverage():
    """Add up what all runs covered; return non-zero if that is below the threshold."""
    for action in (["combine", "--quiet"], ["report"]):
        code = subprocess.call([PYTHON, "-m", "coverage", *action], cwd=str(ROOT))
        if code:
            return code
    return 0


def main():
    """Run every release asked for; return 1 if one of them failed."""
    arguments = sys.argv[1:]
    pytest_arguments = []
    if "--" in arguments:
        split = arguments.index("--")
        arguments, pytest_arguments = arguments[:split], arguments[split + 1 :]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument("releases", nargs="*", metavar="RELEASE")
    options = parser.parse_args(arguments)

    if options.coverage:  # what an earlier run covered does not count
        subprocess.call([PYTHON, "-m", "coverage", "erase"], cwd=str(ROOT))
    row = os.environ["VALLOSS_COMPAT_CELL"]
    failed = []
    for release in options.releases or known_releases():
        # py37-torch1.8-releases becomes py37-torch1.8-mmengine0.1.0.
        cell = f"{row.replace('-releases', '')}-mmengine{release}"
        if report(cell).exists():
            report(cell).unlink()
        start = time.monotonic()
        passed = install(release) and not run_tests(
            cell, options.coverage, pytest_arguments
        )
        verdict = "passed" if passed else "FAILED"
        print(f"{cell}: {verdict} in {time.monotonic() - start:.1f} s", flush=True)
        if not passed:
            failed.append(cell)
    if options.coverage:
        return report_coverage() or bool(failed)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
