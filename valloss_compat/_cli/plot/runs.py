"""The runs that ``plot`` was asked for: named, read, and in one unit."""

from __future__ import annotations

import os
import sys
from typing import Dict, List, NamedTuple, Sequence, Tuple

from valloss_compat._cli.plot import curves, scalars
from valloss_compat.errors import CommandError


class Request(NamedTuple):
    """A run that can be drawn.

    Attributes:
        name (str): What tells it from the others.
        run (Run): What was read.
    """

    name: str
    run: curves.Run


def read(paths: Sequence[str], metric: str) -> Tuple[List[Request], List[str]]:
    """Read runs, and write what is to be noted on stderr.

    Args:
        paths (Sequence[str]): Their work dirs, as the user gave them.
        metric (str): What is to be drawn of the validations.

    Returns:
        tuple: The runs that can be drawn, at least one, and why others cannot.

    Raises:
        CommandError: If none can.
    """
    requests: List[Request] = []
    errors: List[str] = []
    different: Dict[str, str] = {}
    for path in paths:
        different.setdefault(os.path.realpath(path), path)
    if len(different) < len(paths):
        print("note: what is given twice is drawn once", file=sys.stderr)
    paths = list(different.values())
    for path, name in zip(paths, _names(paths)):
        try:
            run = _read_one(path, metric)
        except CommandError as error:
            errors.append(str(error))
            continue
        except OSError as error:
            errors.append(f"{error.filename} cannot be read: {error.strerror}")
            continue
        for note in run.notes:
            print(f"note: {name}: {note}", file=sys.stderr)
        if all(point.train for point in run.points):
            print(f"warning: {name}: {_not_validated(run)}", file=sys.stderr)
        requests.append(Request(name, run))
    if not requests:
        raise CommandError("; ".join(errors))
    return requests, errors


def _names(paths: Sequence[str]) -> List[str]:
    """The shortest ends of the paths that tell them apart."""
    parts = [os.path.abspath(path).split(os.sep) for path in paths]
    depths = range(1, max(map(len, parts)) + 1)
    ends = [["/".join(part[-depth:]) for part in parts] for depth in depths]
    different = len(set(ends[-1]))
    return next(names for names in ends if len(set(names)) == different)


def _read_one(path: str, metric: str) -> curves.Run:
    files = scalars.find(path)
    starts: List[scalars.Start] = []
    notes: List[str] = []
    for file in files:
        fresh, said = scalars.read(file)
        starts += fresh
        notes += [f"{file}: {note}" for note in said]
    if not starts:
        raise CommandError(
            f"{path}: {files[-1]} is empty, nothing was logged yet: draw it after the "
            "first validation"
        )
    run = curves.join(starts, curves.find_planned(starts[-1].path))
    validations = [point for point in run.points if not point.train]
    train = run.curve(curves.train_tag(metric), train=True)
    if not run.curve(metric, train=False) and (validations or not train):
        raise CommandError(f"{path}: {_missing(run, metric)}")
    return run._replace(notes=notes + run.notes)


def _not_validated(run: curves.Run) -> str:
    """Why a run is drawn without what was asked for."""
    if run.went_through:
        return (
            "it went through without a validation, and its training alone is drawn: "
            "see whether its config has a val_cfg, and a val_interval within its length"
        )
    return "no validation is logged so far, and its training alone is drawn"


def _missing(run: curves.Run, metric: str) -> str:
    """Why there is nothing to draw."""
    said = [f"no validation logged {metric!r}"]
    for word, train in (("validations have", False), ("training has", True)):
        points = [point for point in run.points if point.train is train]
        tags = sorted({tag for point in points for tag in point.scalars} - {"step"})
        if tags:
            said.append(f"{word} {', '.join(tags)}")
    if metric == "val_loss":
        return (
            f"{'; '.join(said)}. `import valloss_compat` before the training adds "
            "val_loss for a model that returns its losses, and with "
            "custom_hooks=[dict(type='ValLossHook')] for those of mmpretrain, mmdet, "
            "mmseg and mmpose; --metric NAME draws another"
        )
    return f"{'; '.join(said)}. Choose one of them with --metric NAME"


def unit_of(requests: Sequence[Request], wanted: str) -> str:
    """The unit of the x axis.

    Args:
        requests (Sequence[Request]): What is to be drawn on it.
        wanted (str): ``'epoch'``, ``'iter'``, or ``'auto'``: the one that all have.

    Returns:
        str: ``'epoch'`` or ``'iter'``.

    Raises:
        CommandError: If a run does not have it.
    """
    units = {request.run.unit for request in requests}
    unit = wanted if wanted != "auto" else ("iter" if "iter" in units else "epoch")
    for request in requests:
        if any(point.at(unit) is None for point in request.run.points):
            why = (
                "is iteration-based and counts no epochs: choose --x iter"
                if unit == "epoch"
                else "has no line of training that tells how many iterations an epoch "
                "has: choose --x epoch, or draw it alone"
            )
            raise CommandError(f"{request.name} {why}")
    return unit
