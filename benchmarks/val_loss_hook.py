"""What ``ValLossHook`` costs, model by model.

    python benchmarks/val_loss_hook.py [NAME ...]

needs the downstream libraries (tox's ``downstream-mmpretrain``, ``downstream-full``);
rows of missing libraries are left out. Images and batches are as in the shipped config,
as far as a CPU can. Validations with and without the hook run in turn. The least time
of all repeats counts, as other work on the machine only adds to it. These are medians
over the batches but the first and the last, where the self-check runs:

    validation  one batch without the hook
    added       what the hook adds to it
    own         the part of that which mode 'loss' of the model itself takes, frozen,
                when everything that can be reused is
    overhead    the rest, relative to a validation: what a batch takes beside the modes
                'predict' and 'loss' of the model, more than without the hook, and the
                copies and comparisons of the hook within them. Not added - own, as
                two large times differ by more than that from run to run.
    replica     making the copy of the model, once in a validation
    self-check  the first and last batch, beyond the others, in validations of one batch

What data loaders do is not in there: two_views.py measures it.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import importlib.util
import logging
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence
from unittest.mock import patch

import numpy as np

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
    rest: float
    replica: float
    check: float

    @property
    def overhead(self) -> float:
        """What the hook adds beyond the model's own loss, relative to a validation."""
        return self.rest / self.validation


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

    from valloss_compat._loss_forward.replica import Replica

    config = (row.large or row.config)(folder)
    loader = config.val_dataloader
    if row.library == "mmpretrain":  # two batches; the others have seven
        whole = {"type": "RepeatDataset", "times": 3, "dataset": loader.dataset}
        loader.dataset = whole
    built = row.build(config) if row.build else None
    with_hook = runner_of(config, folder, model=built, strategy="auto")
    model = with_hook.model
    without = runner_of(config, folder, model=model)
    clock = Clock()
    for runner in (with_hook, without):
        runner.register_hook(clock.hook())
        runner.val()
    runs: Dict[bool, List[Any]] = {True: [], False: []}
    with clock.watching(type(model)):
        for _ in range(repeats):
            for runner in (with_hook, without):
                clock.batches = []
                runner.val_loop.run()
                runs[runner is with_hook].append(clock.batches)
    # Batches, and of each the whole, mode 'predict', mode 'loss' and what is beside.
    hooked, plain = (np.min(runs[key], axis=0) for key in (True, False))
    middle, step = np.median(plain[1:-1], axis=0), np.median(hooked[1:-1], axis=0)
    check = hooked[0, 0] + hooked[-1, 0] - 2 * step[0]
    copies = []
    for _ in range(repeats):
        start = time.process_time()
        Replica(model)
        copies.append(time.process_time() - start)
    return Cost(
        validation=middle[0] * 1e3,
        added=float(step[0] - middle[0]) * 1e3,
        own=float(step[2]) * 1e3,
        rest=float(step[3] - middle[3]) * 1e3,
        replica=min(copies) * 1e3,
        check=check / middle[0],
    )


class Clock:
    """CPU time of batches: whole, mode 'predict', mode 'loss', and what is beside.

    The last has the copies and comparisons for the reuse, which run within the modes.
    """

    def __init__(self) -> None:
        self.batches: List[List[float]] = []
        self._modes: Dict[str, float] = {}
        self._reuse = 0.0

    def hook(self) -> Any:
        """Return a hook that takes the time of each batch."""
        from mmengine.hooks import Hook

        clock = self

        class Timer(Hook):
            priority = "VERY_HIGH"

            def before_val_iter(self, runner: Any, *_: Any, **__: Any) -> None:
                clock._modes = {"predict": 0.0, "loss": 0.0}
                self.start = time.process_time()

            def after_val_iter(self, runner: Any, *_: Any, **__: Any) -> None:
                whole = time.process_time() - self.start
                predict, loss = clock._modes.values()
                beside = whole - predict - loss
                clock.batches.append([whole, predict, loss, beside])

        return Timer()

    @contextmanager
    def watching(self, cls: Any) -> Iterator[None]:
        """Take the times of modes of models of a class, and of the reuse in them."""
        reuse: Any = importlib.import_module("valloss_compat._loss_forward.reuse")
        forward = cls._run_forward

        def run_forward(model: Any, data: Any, mode: str) -> Any:
            start, before = time.process_time(), self._reuse
            try:
                return forward(model, data, mode=mode)
            finally:
                elapsed = time.process_time() - start
                self._modes[mode] += elapsed - (self._reuse - before)

        def timed(function: Callable[..., Any], *args: Any) -> Any:
            start = time.process_time()
            try:
                return function(*args)
            finally:
                self._reuse += time.process_time() - start

        copier = SimpleNamespace(deepcopy=partial(timed, copy.deepcopy))
        with patch.object(cls, "_run_forward", run_forward), patch.multiple(
            reuse, alike=partial(timed, reuse.alike), copy=copier
        ):
            yield


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
