"""What ``import valloss_compat`` adds to ``import mmengine.runner``.

Each round is a new process that imports the one and then the other, both from
compiled modules in a temporary folder. The process that compiles them is not counted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import List, NamedTuple

_SCRIPT = """
import gc, json, time
start = time.perf_counter()
import mmengine.runner
between = time.perf_counter()
# A garbage collection of all objects of torch and mmengine, which takes 120 ms, may
# be due now.
gc.disable()
begin = time.perf_counter()
import valloss_compat
end = time.perf_counter()
print(json.dumps([(between - start) * 1e3, (end - begin) * 1e3]))
"""


class ImportTime(NamedTuple):
    """Milliseconds, one a round.

    Attributes:
        mmengine (list[float]): ``import mmengine.runner``.
        here (list[float]): ``import valloss_compat`` after that.
    """

    mmengine: List[float]
    here: List[float]


def measure(rounds: int) -> ImportTime:
    """Measure both imports.

    Args:
        rounds (int): Number of rounds.
    """
    with tempfile.TemporaryDirectory() as folder:
        found = [_fresh(folder) for _ in range(rounds + 1)][1:]
    return ImportTime([pair[0] for pair in found], [pair[1] for pair in found])


def _fresh(folder: str) -> List[float]:
    unwanted = ("PYTHONDONTWRITEBYTECODE", "VALLOSS_COMPAT")
    environment = {k: v for k, v in os.environ.items() if k not in unwanted}
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _SCRIPT],
        # So that the installed package is imported, not one in the current folder.
        cwd=folder,
        env={**environment, "PYTHONPYCACHEPREFIX": os.path.join(folder, "compiled")},
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise RuntimeError(f"the imports failed:\n{process.stderr}")
    times: List[float] = json.loads(process.stdout.splitlines()[-1])
    return times
