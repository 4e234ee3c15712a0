"""A process that checks configs of one library, and reports each on a line.

Reads from its first argument a JSON object: the library, the configs that are left,
and those whose verdict is known. Writes to its second a JSON list a line:
``[config, null]`` when it begins with one, and ``[config, row]``.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import signal
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, Dict, Iterator, Sequence, Tuple

import torch

from downstream.oracle import libraries
from downstream.oracle.model import localise
from downstream.sweep import (
    check,
    made,
    operators,
    operators_3d,
    records_mmaction,
    shipped,
    smaller,
)
from downstream.sweep.kinds import SUPERVISED

#: Seconds of a processor that a config may take.
LIMIT = 150
#: What a library registers, beyond its models.
PARTS = ("models", "datasets")
#: Packages whose configs use another library.
USES = {"mmdet": ("mmpretrain",), "mmpretrain": ("mmdet",)}


def main(arguments: Sequence[str]) -> None:
    """Check the configs of a task."""
    task = json.loads(Path(arguments[0]).read_text())
    library = task["library"]
    load(library)
    known = {row["signature"]: row for row in task["known"]}
    with open(arguments[1], "a") as out, tempfile.TemporaryDirectory() as folder:

        def report(*line: Any) -> None:
            print(json.dumps(line), file=out, flush=True)

        os.chdir(folder)
        parent = os.getppid()
        for config in task["configs"]:
            if os.getppid() != parent:  # it was ended
                return
            report(config, None)
            with silent():
                report(config, _row(library, config, known, Path(folder)))
            gc.collect()


def load(library: str) -> None:
    """Make this process one that checks configs of a library."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    importlib.import_module("valloss_compat")
    operators.stand_in()  # before a library takes one of them by its name
    for name in (*USES.get(library, ()), library):
        libraries.load(name, PARTS)
    if library == "mmdet3d":
        operators_3d.stand_in_mmdet3d()
    smaller.blocks()


def prepared(library: str, config: str) -> Tuple[Any, str, int]:
    """Read and shrink a config.

    Returns:
        tuple: The config, its signature, and the number of samples of a batch.
    """
    whole = shipped.read(library, config)
    localise(whole, library)
    smaller.local([whole.train_dataloader, whole.val_dataloader])
    smaller.model(library, whole.model)
    smaller.sizes(library, whole)
    parts = [whole.model, whole.train_dataloader, whole.val_dataloader]
    smaller.name_language(parts)
    if library == "mmaction":
        records_mmaction.bank(whole.model)
    batch = min(2, whole.val_dataloader.get("batch_size", 1))
    signature = smaller.signature(whole, library, batch)
    classes = made.classes(parts, whole.get("default_scope") or library)
    smaller.write_language(parts, classes)
    return whole, signature, batch


def _row(
    library: str, config: str, known: Dict[str, Dict[str, str]], folder: Path
) -> Dict[str, str]:
    entry, _ = shipped.entry(library, config)
    row = {
        **entry._asdict(),
        "verdict": "",
        "repair": "",
        "run_as": "",
        "signature": "",
    }
    if entry.kind != SUPERVISED:
        return row
    try:
        whole, signature, batch = prepared(library, config)
        if signature not in known:
            with limit():
                found = check.verdict(library, whole, batch, folder)
            own = {"run_as": config, "signature": signature}
            known[signature] = {**found._asdict(), **own}
        shared = known[signature]
    except (Exception, Expired) as error:
        reason = shipped.message(error)
        shared = {"verdict": check.NOT_CHECKED, "reason": reason, "run_as": config}
    row.update({k: v for k, v in shared.items() if k in row and k != "config"})
    row.update(library=library, family=entry.family, kind=entry.kind)
    return row


@contextlib.contextmanager
def silent() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()):
        yield


class Expired(BaseException):
    """A config takes too long. What catches all errors does not catch this one."""


@contextlib.contextmanager
def limit() -> Iterator[None]:
    """Raise in what takes too long."""

    def expired(*_: Any) -> None:
        raise Expired(f"took more than {LIMIT} s")

    signal.signal(signal.SIGPROF, expired)
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
