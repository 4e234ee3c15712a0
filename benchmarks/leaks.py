"""Whether runners that are dropped leave memory or objects behind.

    python benchmarks/leaks.py [RUNNERS]

Trains one epoch and validates with 200 runners, one after the other, in one process:
with a model that appends a loss element, with ``ValLossHook``, and, as a control, with
neither on mmengine that is not patched. What mmengine keeps of each experiment, a
message hub and a logger, is deleted in all. Objects are those of the dropped runners
and of this package that the garbage collector still finds.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, Dict, NamedTuple

TESTS = Path(__file__).resolve().parent.parent / "tests"
CASES = ("control", "loss element", "ValLossHook")
#: Runners by which caches and allocators have settled.
_SETTLED = 50


class Leaks(NamedTuple):
    """What is left of runners.

    Attributes:
        settled (float): Resident memory after the first 50 runners, in MB.
        last (float): The same after the last one.
        alive (dict): Class name -> number of objects after the last one.
    """

    settled: float
    last: float
    alive: Dict[str, int]


def measure(case: str, runners: int) -> Leaks:
    """Run one case of ``CASES`` in this process, which has to be a new one."""
    warnings.simplefilter("ignore")
    models: Any = importlib.import_module("loss_forward.models")
    if case != "control":
        importlib.import_module("valloss_compat")
    settled = 0.0
    with tempfile.TemporaryDirectory() as work_dir:
        for index in range(runners):
            _run(models, case, work_dir)
            if index + 1 in (_SETTLED, runners):
                gc.collect()
                settled = settled or _resident()
    return Leaks(settled, _resident(), _alive())


def _run(models: Any, case: str, work_dir: str) -> None:
    appends = case == "loss element"
    model = models.Appending() if appends else models.Classifier()
    hooks = [models.hook()] if case == "ValLossHook" else []
    runner = models.make_runner(
        *(work_dir, *hooks),
        model=model,
        train_cfg={"by_epoch": True, "max_epochs": 1},
        default_hooks={"checkpoint": None},
    )
    metrics = models.Watch()
    runner.register_hook(metrics)
    runner.train()
    for kind in (_module("logging").MessageHub, _module("logging").MMLogger):
        kind._instance_dict.clear()
    assert ("val_loss" in metrics.metrics[0]) == (case != "control")


def _module(name: str) -> Any:
    """Return a module of mmengine, which only the processes of the cases import."""
    return importlib.import_module(f"mmengine.{name}")


def _resident() -> float:
    """Return the resident memory of this process in MB, on Linux."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _alive() -> Dict[str, int]:
    runner = _module("runner")
    kinds = (
        *(runner.Runner, runner.BaseLoop, _module("hooks").Hook),
        *(_module("evaluator").Evaluator, _module("model").BaseModel),
    )

    def counts(one: Any) -> bool:
        # type(), as some objects answer for another one by __class__.
        here = str(type(one).__module__).startswith("valloss_compat._loss_forward")
        return here or issubclass(type(one), kinds)

    found = Counter(type(one).__name__ for one in gc.get_objects() if counts(one))
    return dict(found)


def main() -> None:
    """Run each case in a process of its own, and print a table."""
    runners = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print(f"| {runners} runners | MB after {_SETTLED} | at the end | objects |")
    print("|---|--:|--:|---|")
    for case in CASES:
        code = f"import leaks; leaks.child({case!r}, {runners})"
        search = [Path(__file__).parent, TESTS, *filter(None, sys.path)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, search))}
        command = [sys.executable, "-c", code]
        output = subprocess.check_output(command, env=environment, text=True)
        settled, last, alive = json.loads(output.splitlines()[-1])
        growth = f"{last:.1f} ({(last / settled - 1):+.1%})"
        print(f"| {case} | {settled:.1f} | {growth} | {alive or 'none'} |", flush=True)


def child(case: str, runners: int) -> None:
    """Print what :func:`measure` returns as JSON."""
    print(json.dumps(measure(case, runners)))


if __name__ == "__main__":
    main()
