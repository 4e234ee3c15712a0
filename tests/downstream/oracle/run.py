"""Compare each model of the tables, print the table, and write it as data."""

from __future__ import annotations

import argparse
import copy
import functools
import importlib
import itertools
import math
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence

import torch
from mmengine.dataset import pseudo_collate

from downstream.oracle import expected, libraries, reported, written
from downstream.oracle.left_out import LEFT_OUT
from downstream.oracle.model import built, config_of, settle
from downstream.oracle.table import Model

LIBRARIES = (
    "mmpretrain",
    "mmdet",
    "mmseg",
    "mmpose",
    "mmaction",
    "mmocr",
    "mmyolo",
    "mmdet3d",
)
#: Two losses agree within the larger of these.
RELATIVE, ABSOLUTE = 1e-5, 1e-7


class Sides(NamedTuple):
    """A row, ready to be run.

    Attributes:
        row (Model): The row.
        config (Config): The whole of it.
        model (nn.Module): The model that the package gets.
        samples (list): Packed samples.
        collate (Callable): Makes a batch of some, as a training does.
        batches (list): Batches for the oracle.
    """

    row: Model
    config: Any
    model: Any
    samples: List[Any]
    collate: Callable[[Sequence[Any]], Any]
    batches: List[Any]


class Result(NamedTuple):
    """The outcome of a row.

    Attributes:
        row (Model): The row.
        model (str): The class of its model.
        losses (int): Number of named losses.
        difference (float): The largest relative one; NaN if there is none.
        status (str): ``'equal'``, ``'finite'`` (the oracle's alone) or what is wrong.
        seconds (float): All of it.
        detail (str): The trace of an error, or the losses that differ.
    """

    row: Model
    model: str
    losses: int
    difference: float
    status: str
    seconds: float
    detail: str


def models(names: Sequence[str] = ()) -> List[Model]:
    """All rows, or those of which the library is named, or a part of the config."""
    rows: List[Model] = []
    for library in LIBRARIES:
        table = importlib.import_module(f"downstream.oracle.models_{library}")
        rows.extend(table.MODELS)
    if not names:
        return rows
    return [
        row
        for row in rows
        if any(n == row.library or n in row.title or n in row.config for n in names)
    ]


def ready(row: Model) -> Sides:
    """Build a row's model and its samples."""
    libraries.load(row.library)
    config = config_of(row)
    model = built(config.model, row.library)
    maker = importlib.import_module(f"downstream.oracle.samples_{row.library}")
    samples = maker.samples(config=config, **row.samples)
    collate: Callable[[Sequence[Any]], Any] = pseudo_collate
    if hasattr(maker, "collate"):
        collate = functools.partial(maker.collate, config=config)
    parts = range(0, len(samples), row.batch)
    batches = [collate(samples[at : at + row.batch]) for at in parts]
    return Sides(row, config, model, samples, collate, batches)


def oracle(sides: Sides, training: bool = True) -> Dict[str, float]:
    """Settle the model, and return its losses (in eval mode the wrong ones)."""
    config = expected.without_drops(sides.config.model)
    twin = built(config, sides.row.library)
    expected.drop_nothing(twin)
    again = copy.deepcopy(sides.batches)
    settle(twin, lambda model: [expected.run(model, batch) for batch in again])
    # The state_dict of Swin V2 leaves out buffers that its load_state_dict needs.
    for target, source in zip(tensors(sides.model), tensors(twin)):
        target.data.copy_(source.data)
    return expected.losses(twin, sides.batches, training)


def tensors(model: Any) -> Iterable[torch.Tensor]:
    """All parameters and buffers of a model."""
    return itertools.chain(model.parameters(), model.buffers())


def compare(row: Model, with_hook: bool = True) -> Result:
    """Run both sides of a row."""
    start = time.time()
    kind, named, detail, worst = "?", {}, "", math.nan
    try:
        sides = ready(row)
        kind = type(sides.model).__name__
        named = oracle(sides)
        bad = [name for name, value in named.items() if not math.isfinite(value)]
        status = f"not finite: {bad}" if bad else "finite"
        detail = str(named)
        if with_hook and not bad:
            with tempfile.TemporaryDirectory() as folder:
                found = reported.losses(sides.model, sides.samples, row, folder)
            found.pop(reported.COUNT)
            worst, wrong = differences(named, found)
            status = f"differs: {sorted(wrong)}" if wrong else "equal"
            detail = str(wrong)
    except Exception as error:
        text = str(error).strip().splitlines() or [""]
        status = f"{type(error).__name__}: {text[-1]}"
        detail = traceback.format_exc()
    count = sum(name != "val_loss" for name in named)
    return Result(row, kind, count, worst, status, time.time() - start, detail)


def differences(named: Dict[str, float], found: Dict[str, float]) -> Any:
    """The largest relative difference, and the losses that do not agree.

    A difference is relative to 0.01 at least, so that the absolute floor is kept.
    """
    worst, wrong = 0.0, {}
    for name in {**named, **found}:
        value = named.get(name, math.nan)
        other = float(found.get(name, math.nan))
        gap = abs(other - value) / max(abs(value), ABSOLUTE / RELATIVE)
        if math.isnan(gap):
            gap = math.inf
        if gap > RELATIVE:
            wrong[name] = (value, other)
        worst = max(worst, gap)
    return worst, wrong


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m downstream.oracle")
    parser.add_argument("names", nargs="*", metavar="NAME", help="rows with it; all")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="put the rows that run into a CSV"
    )
    parser.add_argument(
        "--oracle-only", action="store_true", help="without valloss_compat"
    )
    parser.add_argument("--detail", action="store_true", help="errors and losses")
    chosen = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if not chosen.oracle_only:
        importlib.import_module("valloss_compat")
    results = []
    for row in models(chosen.names):
        results.append(compare(row, not chosen.oracle_only))
        print(line(results[-1]), flush=True)
        if chosen.detail:
            print(results[-1].detail, flush=True)
        if chosen.write:
            written.update(chosen.write, results[-1:], models())
    for one in () if chosen.names else LEFT_OUT:
        print(f"{one.library:10} left out: {one.models}: {one.reason}")
    good = sum(result.status in ("equal", "finite") for result in results)
    print(f"{good} of {len(results)} models")
    return int(good < len(results))


def line(result: Result) -> str:
    """A row of the printed table."""
    return (
        f"{result.row.library:10} {result.model:24} {result.row.title:44.44} "
        f"{result.losses:3d} {result.difference:9.1e} {result.seconds:6.1f} s "
        f"{result.status}"
    )
