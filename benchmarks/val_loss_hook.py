"""What ``ValLossHook`` costs, model by model.

    python benchmarks/val_loss_hook.py [NAME ...]

needs the downstream libraries (tox's ``downstream-mmpretrain``, ``downstream-full``);
rows of missing libraries are left out. Images and batches are as in the shipped config,
as far as a CPU can. Validations with and without the hook run in turn; the medians of
their batches are compared, without the first and last one, where the self-check runs:

    validation  one batch without the hook
    added       what the hook adds to it
    own         the part of that which mode 'loss' of the model itself takes, when
                everything that can be reused is
    overhead    the rest: added - own, relative to a validation
    replica     making the copy of the model, once in a validation
    self-check  the first and last batch, beyond the others, in validations of one batch

What data loaders do is not in there: two_views.py measures it.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import logging
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

TESTS = Path(__file__).resolve().parent.parent / "tests"
#: Library, or a library that it needs -> the module in tests/ with its rows.
ROW_MODULES = {
    "mmpretrain": "downstream.mmpretrain_rows",
    "mmdet": "downstream.full_rows",
}


class Cost(NamedTuple):
    """Milliseconds of CPU time, but for ``check``, which counts validations."""

    validation: float
    added: float
    own: float
    replica: float
    check: float

    @property
    def overhead(self) -> float:
        """What the hook adds beyond the model's own loss, relative to a validation."""
        return (self.added - self.own) / self.validation


def rows_of(names: Sequence[str]) -> List[Any]:
    """Return the rows of the installed libraries, or those with these names."""
    rows: List[Any] = []
    for library, module in ROW_MODULES.items():
        if _installed(library):
            rows += importlib.import_module(module).ROWS
    return [row for row in rows if not names or row.name in names]


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its parent package is missing
        return False


def measure(row: Any, folder: Path, repeats: int) -> Cost:
    """Measure one row.

    Args:
        row (Row): The row.
        folder (Path): For data and logs.
        repeats (int): Validations of each kind, in turn.
    """
    from downstream.rows import runner_of
    from mmengine.hooks import Hook

    from valloss_compat._loss_forward.replica import Replica

    reuse: Any = importlib.import_module("valloss_compat._loss_forward.reuse")

    config = (row.large or row.config)(folder)
    loader = config.val_dataloader
    if row.library == "mmpretrain":  # two batches; the others have seven
        whole = {"type": "RepeatDataset", "times": 3, "dataset": loader.dataset}
        loader.dataset = whole

    class Timer(Hook):
        priority = "VERY_HIGH"

        def before_val_iter(self, runner: Any, batch_idx: int, **_: Any) -> None:
            times[hooked].append([])
            self.start = time.process_time()
            own.append(0.0)

        def after_val_iter(self, runner: Any, batch_idx: int, **_: Any) -> None:
            times[hooked][-1] = time.process_time() - self.start

    times: Dict[bool, List[Any]] = {True: [], False: []}
    own: List[float] = []
    hooked = True
    built = row.build(config) if row.build else None
    with_hook = runner_of(config, folder, model=built, strategy="auto")
    model = with_hook.model
    without = runner_of(config, folder, model=model)
    for runner in (with_hook, without):
        runner.register_hook(Timer())
        runner.val()
    forward, compare = model._run_forward, reuse.alike

    def run_forward(data: Any, mode: str) -> Any:
        start = time.process_time()
        try:
            return forward(data, mode=mode)
        finally:
            own[-1] += (time.process_time() - start) * (mode == "loss")

    def compared(*args: Any) -> bool:
        start = time.process_time()
        try:
            return bool(compare(*args))
        finally:
            own[-1] -= time.process_time() - start

    vars(model)["_run_forward"] = run_forward
    reuse.alike = compared
    batches = len(with_hook.val_loop.dataloader)
    per_run: Dict[bool, List[Any]] = {True: [], False: []}
    own_per_run: List[Any] = []
    try:
        for _ in range(repeats):
            for hooked in (True, False):
                times[hooked], own[:] = [], []
                (with_hook if hooked else without).val_loop.run()
                per_run[hooked].append(times[hooked])
                if hooked:
                    own_per_run.append(list(own))
    finally:
        reuse.alike = compare
        vars(model).pop("_run_forward", None)
    inner = slice(1, batches - 1)
    plain = statistics.median(t for run in per_run[False] for t in run[inner])
    with_loss = statistics.median(t for run in per_run[True] for t in run[inner])
    loss = statistics.median(t for run in own_per_run for t in run[inner])
    ends = statistics.median(run[0] + run[-1] - 2 * with_loss for run in per_run[True])
    copies = []
    for _ in range(repeats):
        start = time.process_time()
        Replica(model)
        copies.append(time.process_time() - start)
    return Cost(
        plain * 1e3,
        (with_loss - plain) * 1e3,
        loss * 1e3,
        statistics.median(copies) * 1e3,
        ends / plain,
    )


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="rows to print; all if there is none")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args(argv)

    sys.path.insert(0, str(TESTS))
    warnings.simplefilter("ignore")
    import valloss_compat  # noqa: F401

    logging.disable(logging.ERROR)
    print(
        "| library | model | validation, ms | added, ms | own, ms | overhead | "
        "replica, ms | self-check |"
    )
    print("|---|---|--:|--:|--:|--:|--:|--:|")
    for row in rows_of(args.names):
        with tempfile.TemporaryDirectory() as folder:
            cost = measure(row, Path(folder), args.repeats)
        print(
            f"| {row.library} | {row.name} | {cost.validation:.0f} | "
            f"{cost.added:.1f} | "
            f"{cost.own:.1f} | {cost.overhead:.1%} | {cost.replica:.0f} | "
            f"{cost.check:.1f} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
