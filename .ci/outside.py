"""Run mmengine's own tests without and with this package; compare their outcomes.

    PYTHON .ci/outside.py SOURCE [TESTS ...]

SOURCE is a source tree of mmengine, with its tests. PYTHON has torch, what mmengine
and its tests import, pytest before 8 (which still calls their ``setup``) and
pytest-timeout; both packages are imported from their trees. TESTS are folders or files
in SOURCE (default: all in ``tests/``), each a process of its own, run as a control and
with ``pytest -p valloss_compat``, which imports the package before any test. Options
for both, such as ``--deselect``, go into PYTEST_ADDOPTS.

Where outcomes differ, the test files run again in both states, until the control has
had each outcome of a test that it had with the package: such a test flips by itself.
The exit status is 1 if another one is left.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Dict, List, Sequence, Tuple
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
#: States of mmengine, with the options of pytest that make them.
STATES: Dict[str, List[str]] = {"control": [], "patched": ["-p", "valloss_compat"]}
#: File and name of a test, and its outcomes in all runs of a state.
History = Dict[Tuple[str, str], List[str]]


def outcomes_in(report: Path, tests: Sequence[str], status: int) -> History:
    """Return the outcomes of a JUnit report; a process that crashed leaves none."""
    if not report.exists():
        return {(one, "process"): [f"exit status {status}"] for one in tests}
    found: Dict[Tuple[str, str], List[str]] = {}
    for case in ElementTree.parse(str(report)).iter("testcase"):
        scope = str(case.get("classname")).rsplit(".", 1)[-1]
        key = case.get("file") or tests[0], f"{scope}::{case.get('name')}"
        # A test whose teardown raises has a second entry.
        kinds = ("failure", "error", "skipped")
        found.setdefault(key, []).extend(c.tag for c in case if c.tag in kinds)
    return {key: ["+".join(tags) or "passed"] for key, tags in found.items()}


def unexplained(control: History, patched: History) -> List[Tuple[str, str]]:
    """Return the tests that had an outcome, patched, that the control has never had."""
    tests = sorted({**control, **patched})
    missing = ["missing"]
    return [
        test
        for test in tests
        if not set(patched.get(test, missing)) <= set(control.get(test, missing))
    ]


def environment(source: Path) -> Dict[str, str]:
    """Return the environment variables of both states."""
    kept = {name: v for name, v in os.environ.items() if name != "VALLOSS_COMPAT"}
    search = os.pathsep.join(map(str, (source, ROOT)))
    return {**kept, "PYTHONPATH": search, "MPLBACKEND": "Agg"}


def run(source: Path, tests: Sequence[str], state: str, timeout: int) -> History:
    """Run pytest in one state, and return its outcomes."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        options = [f"--timeout={timeout}", f"--junitxml={report}", *STATES[state]]
        # Reports of this family have the file of each test.
        options += ["-o", "junit_family=xunit1", "--continue-on-collection-errors"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:randomly", *options, *tests],
            cwd=str(source),
            env=environment(source),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return outcomes_in(report, tests, done.returncode)


def compare(source: Path, tests: str, timeout: int, repeat: int) -> int:
    """Run some tests in both states; return how many the package changed."""
    first, other = both = [run(source, [tests], state, timeout) for state in STATES]
    differing = unexplained(first, other)
    counts = Counter(outcomes[0] for outcomes in first.values())
    shown = ", ".join(f"{number} {what}" for what, number in sorted(counts.items()))
    print(f"{tests}: {shown}; {len(differing)} differ", flush=True)
    for _ in range(repeat):
        files = sorted({file for file, _ in unexplained(first, other)})
        for state, history in zip(STATES, both if files else ()):
            for test, outcomes in run(source, files, state, timeout).items():
                history.setdefault(test, []).extend(outcomes)
    changed = unexplained(first, other)
    for test in differing:
        verdict = "CHANGED BY THE PACKAGE" if test in changed else "flips by itself"
        print(f"  {' '.join(test)}: {verdict}", flush=True)
        for state, history in zip(STATES, both):
            print(f"    {state}: {', '.join(history.get(test, ['missing']))}")
    return len(changed)


def main() -> int:
    """Compare all tests that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path, help="source tree of mmengine")
    parser.add_argument("tests", nargs="*", help="in it; default: all of tests/")
    parser.add_argument("--timeout", type=int, default=120, help="of a test, seconds")
    parser.add_argument("--repeat", type=int, default=10, help="at most, where needed")
    chosen = parser.parse_intermixed_args()
    source = chosen.source.resolve()
    found = sorted(str(p.relative_to(source)) for p in source.glob("tests/test_*"))
    print(f"{source}, with the package:", flush=True)
    script = "import valloss_compat as v; print(repr(v.status()).split('\\ntarget')[0])"
    command = [sys.executable, "-c", script]
    subprocess.run(command, cwd=str(source), env=environment(source), check=True)
    numbers = [
        compare(source, tests, chosen.timeout, chosen.repeat)
        for tests in chosen.tests or found
    ]
    print(f"{sum(numbers)} tests are changed by the package")
    return int(any(numbers))


if __name__ == "__main__":
    sys.exit(main())
