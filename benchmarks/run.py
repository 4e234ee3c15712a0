"""How fast ``valloss_compat`` is, compared with native mmengine in the same run.

    python benchmarks/run.py             # some three minutes
    python benchmarks/run.py --quick     # half a minute: shorter epochs, rough figures

Prints two Markdown tables, with the targets of this project, and writes ``cost.png``,
``cost-dark.png`` and ``results.json``. A missed target does not make it fail: the exit
code says only whether it ran.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from typing import Any, Callable, Dict

import import_time
import loop
import memory
import mmengine
import numpy
import picture
import recording
import report
import torch

import valloss_compat


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="shorter epochs and fewer rounds"
    )
    parser.add_argument(
        "--out",
        default=os.path.dirname(os.path.abspath(__file__)),
        help="folder for the pictures and results.json (default: that of this script)",
    )
    arguments = parser.parse_args()
    quick = arguments.quick
    os.makedirs(arguments.out, exist_ok=True)
    where = _where()
    if quick:
        where["rounds"] = "few (--quick)"
    # First, while this process, which starts others, is small.
    imports = _step("import", lambda: import_time.measure(3 if quick else 9))
    # Before the others have raised and fragmented what the allocator holds.
    peaks = _step(
        "memory",
        lambda: memory.measure(memory.QUICK_LENGTHS if quick else memory.LENGTHS),
    )
    loops = _step("loop", lambda: loop.measure(10 if quick else 60))
    costs = _step(
        "recording",
        lambda: recording.measure(
            recording.QUICK_LENGTHS if quick else recording.LENGTHS, 1 if quick else 4
        ),
    )
    measured = report.Measured(where, costs, loops, peaks, imports)
    print(report.markdown(measured))
    picture.draw(costs.costs, where["mmengine"], arguments.out)
    with open(
        os.path.join(arguments.out, "results.json"), "w", encoding="utf-8"
    ) as file:
        json.dump(report.as_dict(measured), file, indent=1)
        file.write("\n")


def _step(name: str, measure: Callable[[], Any]) -> Any:
    start = time.time()
    found = measure()
    print(f"{name}: {time.time() - start:.0f} s", file=sys.stderr)
    return found


def _where() -> Dict[str, str]:
    """Return the versions and the machine that the figures are for."""
    return {
        "valloss_compat": valloss_compat.__version__,
        "mmengine": mmengine.__version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "Python": platform.python_version(),
        "on": f"{_processor()} ({os.cpu_count()} cores)",
        "date": time.strftime("%Y-%m-%d"),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:  # Linux alone has it
        pass
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
