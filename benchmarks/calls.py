"""How many functions of the package run at the import, and for one batch with a loss.

    python benchmarks/calls.py

Prints a Markdown table, as kept in ``calls.md``. A call costs some 50 to 100 ns on a
current machine, and counts, unlike times, are the same on a busy one.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from typing import Any, Callable

import mmengine
import mmengine.visualization
import torch
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch.utils.data import DataLoader

PACKAGE = "valloss_compat" + os.sep


def counted(function: Callable[[], Any]) -> Counter[str]:
    """Call a function, and count the calls within the package by module and name."""
    calls: Counter[str] = Counter()

    def count(frame: Any, event: str, _: Any) -> None:
        _, found, path = frame.f_code.co_filename.rpartition(PACKAGE)
        if event == "call" and found:
            calls[f"{path}:{frame.f_code.co_name}"] += 1

    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


class Model(BaseModel):
    """Returns a sample and one loss."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Not used: ``val_step`` does not call it."""

    def val_step(self, data: Any) -> Any:
        """Return the result.

        Args:
            data: A batch.
        """
        return [0, BaseDataElement(loss={"loss": torch.ones(())})]


def validation(length: int) -> Counter[str]:
    """Count the calls of a second validation of this many batches."""
    with tempfile.TemporaryDirectory() as work_dir:
        runner = Runner(
            model=Model(),
            work_dir=work_dir,
            val_dataloader=DataLoader([{"inputs": 0}] * length),
            val_evaluator=Evaluator([]),
            val_cfg={},
            default_scope="mmengine",
            experiment_name=f"valloss_compat_calls_{length}",
            log_level="ERROR",
        )
        runner.val()
        return counted(runner.val)


def main() -> None:
    """Count and print."""
    imported = counted(lambda: __import__("valloss_compat"))
    short, long = validation(2), validation(12)
    batch = {name: (n - short[name]) / 10 for name, n in long.items()}
    batch = {name: n for name, n in batch.items() if n}
    modules = {name.partition(":")[0] for name in batch}
    print(f"mmengine {mmengine.__version__}: `import valloss_compat` makes", end=" ")
    print(f"{sum(imported.values())} calls, a batch with one loss", end=" ")
    print(f"{sum(batch.values()):.0f} calls in {len(modules)} modules.\n")
    print("| function | calls a batch |\n|---|--:|")
    for name, number in batch.items():
        print(f"| `{name.replace(':', '`: `')}` | {number:.0f} |")


if __name__ == "__main__":
    main()
