"""Put a defect into each patch point: a test has to fail where it applies, else none.

    .tox/py311-torch2.4-releases/bin/python .ci/defects.py [RELEASE ...]

A defect replaces the wrapper of a point, in one plan, by one that only calls the
original. In plan parity the wrapper of a point with a default does no more than that,
so there the defect is to leave out the point. The tests of ``FOLDERS`` run on a copy of
the tree with the defect, until the first fails. Defects that do not apply, because the
release lacks the point or never has the plan, are tried all at once. The exit status is
1 if a defect that applies fails no test, or those that do not apply fail one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict

import cell
from table import ROOT, Table

FOLDERS = ("patches", "conformance", "integration", "recording", "hooks")
#: The line of ``patch_set.py`` that reads the table, and what comes in its place.
READS = "    for point in PATCH_POINTS:\n        target = "
READS_DEFECTS = READS.replace("PATCH_POINTS", "_with_defects(plan)")
DEFECTS = """

def _with_defects(plan):
    for point in PATCH_POINTS:
        if [point.target, point.attribute, plan] not in PLACES:
            yield point
        elif plan != "parity" or not point.default:
            yield point._replace(wrapper="_patches.patch_set:_calls_the_original")


def _calls_the_original(recorder, original, args, kwargs):
    return original(*args, **kwargs)


PLACES = """
#: Prints each place (target, attribute, plan), and whether this mmengine has it.
APPLIES = """
import json
from valloss_compat._patches.patch_set import PATCH_POINTS, PatchSet
targets = {one.name: one.targets for one in map(PatchSet, ("default", "parity"))}
places = [[point.target, point.attribute, plan]
          for point in PATCH_POINTS for plan in point.plans]
print(json.dumps([[place, targets.get(place[2], {}).get(place[0]) is not None]
                  for place in places]))
"""


def failed(tree: Path, places: Any, variables: Dict[str, str]) -> str:
    """Return the first test that fails with defects in some places; '' if none does."""
    path = tree / "valloss_compat" / "_patches" / "patch_set.py"
    source = (ROOT / path.relative_to(tree)).read_text(encoding="utf-8")
    if source.count(READS) != 1:
        raise RuntimeError(f"{path.name} reads the table in another way than {READS!r}")
    source = source.replace(READS, READS_DEFECTS) + DEFECTS + json.dumps(places)
    path.write_text(source + "\n", encoding="utf-8")
    line = [sys.executable, "-m", "pytest", "-qx", "-p", "no:randomly", *FOLDERS]
    done = subprocess.run(
        line, cwd=tree / "tests", env=variables, stdout=subprocess.PIPE, text=True
    )
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return found.group(1) if found else done.stdout * bool(done.returncode)


def main() -> int:
    """Try all defects on the releases of the command line."""
    table, unexpected = Table(), 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        shutil.copy(str(ROOT / "pyproject.toml"), folder)
        for name in ("valloss_compat", "tests"):
            shutil.copytree(str(ROOT / name), str(tree / name))
        for name in sys.argv[1:] or ["0.1.0", "0.10.4", "0.10.7"]:
            paths = [*cell.folders(table.release(name), None, sys.executable), tree]
            variables = {**os.environ, "VALLOSS_COMPAT_SLOW_TESTS_ON": "another"}
            variables["PYTHONPATH"] = os.pathsep.join(map(str, paths))
            asked = [sys.executable, "-c", APPLIES]
            answer = subprocess.check_output(asked, env=variables)
            known = json.loads(answer.splitlines()[-1])  # imports may print
            rounds = [([place], True) for place, applies in known if applies]
            rounds.append(([place for place, applies in known if not applies], False))
            for places, is_to_fail in rounds:
                found = failed(tree, places, variables)
                what = " ".join(places[0]) if is_to_fail else f"{len(places)} others"
                verdict = "as expected" if bool(found) == is_to_fail else "UNEXPECTED"
                unexpected += verdict == "UNEXPECTED"
                print(f"{name} {what}: {verdict}, {found or 'no failure'}", flush=True)
    return int(unexpected > 0)


if __name__ == "__main__":
    sys.exit(main())
