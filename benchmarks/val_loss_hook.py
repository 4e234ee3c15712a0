"""The oracle table: what ``ValLossHook`` reports and costs, model by model.

    python benchmarks/val_loss_hook.py [NAME ...]

needs the downstream libraries (tox's ``downstream-mmpretrain``, ``downstream-full``);
rows of missing libraries are left out. The loss is compared on small images. The cost
is compared on images and batches as in the shipped config, as far as a CPU can: a
validation with the hook and one without run in turn, and their medians are compared.
`the model's own` is the part of the cost that mode ``'loss'`` of the model itself
takes, when everything that can be reused is.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import logging
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, List, Optional, Sequence

TESTS = Path(__file__).resolve().parent.parent / "tests"
#: Library, or a library that it needs -> the module in tests/ with its rows.
ROW_MODULES = {
    "mmpretrain": "downstream.mmpretrain_rows",
    "mmdet": "downstream.full_rows",
}


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


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Print the table.

    Returns:
        int: 1 if a row differs from its oracle by more than 1e-5 relative.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="rows to print; all if there is none")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args(argv)

    sys.path.insert(0, str(TESTS))
    warnings.simplefilter("ignore")
    from downstream.rows import measure

    import valloss_compat  # noqa: F401

    logging.disable(logging.ERROR)
    wrong = 0
    print(
        "| library | model | oracle | ours | relative difference | cost | "
        "the model's own | target | |"
    )
    print("|---|---|--:|--:|--:|--:|--:|--:|---|")
    for row in rows_of(args.names):
        with tempfile.TemporaryDirectory() as folder:
            seen = measure(row, Path(folder), args.repeats)
        wrong += seen.difference > 1e-5
        print(
            f"| {row.library} | {row.name} | {seen.oracle:.6f} | {seen.ours:.6f} | "
            f"{seen.difference:.1e} | {seen.cost:.2f} | {seen.theirs:.2f} | "
            f"{row.target} | {'met' if seen.cost <= row.target else 'MISSED'} |",
            flush=True,
        )
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
