"""Reads the runs that ``plot`` draws, and finds their names and their unit."""

from __future__ import annotations

import os
import sys
from typing import Dict, List, NamedTuple, Sequence, Tuple

from valloss_compat._cli import print_plain
from valloss_compat._cli.plot import curves, scalars
from valloss_compat.errors import CommandError


class NamedRun(NamedTuple):
    """A run that can be drawn.

    Attributes:
        name (str): A name that no other run has.
        run (Run): The points of the run.
    """

    name: str
    run: curves.Run


def read(paths: Sequence[str], metric: str) -> Tuple[List[NamedRun], List[str]]:
    """Read runs and write notes about them on stderr.

    Args:
        paths (Sequence[str]): The work dirs on the command line.
        metric (str): The metric of the validations to draw.

    Returns:
        tuple: The runs that can be drawn, at least one, and an error message for
        each of the others.

    Raises:
        CommandError: If no run can be drawn.
    """
    named_runs: List[NamedRun] = []
    errors: List[str] = []
    unique: Dict[str, str] = {}
    for path in paths:
        unique.setdefault(os.path.realpath(path), path)
    if len(unique) < len(paths):
        print_plain("note: a run that is given twice is drawn once", sys.stderr)
    paths = list(unique.values())
    for path, name in zip(paths, _shortest_names(paths)):
        try:
            run = _read_run(path, metric)
        except CommandError as error:
            errors.append(str(error))
            continue
        except OSError as error:
            errors.append(f"{error.filename} cannot be read: {error.strerror}")
            continue
        for note in run.notes:
            print_plain(f"note: {name}: {note}", sys.stderr)
        if all(point.train for point in run.points):
            text = f"warning: {name}: {_explain_no_validation(run)}"
            print_plain(text, sys.stderr)
        named_runs.append(NamedRun(name, run))
    if not named_runs:
        raise CommandError("; ".join(errors))
    return named_runs, errors


def _shortest_names(paths: Sequence[str]) -> List[str]:
    """The shortest ends of the paths that are different from each other."""
    parts = [os.path.abspath(path).split(os.sep) for path in paths]
    depths = range(1, max(map(len, parts)) + 1)
    ends = [["/".join(part[-depth:]) for part in parts] for depth in depths]
    return next(names for names in ends if len(set(names)) == len(set(ends[-1])))


def _read_run(path: str, metric: str) -> curves.Run:
    files = scalars.find(path)
    starts: List[scalars.Start] = []
    notes: List[str] = []
    for file in files:
        file_starts, file_notes = scalars.read(file)
        starts += file_starts
        notes += [f"{file}: {note}" for note in file_notes]
    if not starts:
        raise CommandError(
            f"{path}: {files[-1]} is empty. Fix: draw it after the first validation"
        )
    run = curves.join(starts, curves.find_train_length(starts[-1].path))
    validations = [point for point in run.points if not point.train]
    train = run.curve(curves.train_tag(metric), train=True)
    if not run.curve(metric, train=False) and (validations or not train):
        raise CommandError(f"{path}: {_explain_missing_metric(run, metric)}")
    return run._replace(notes=notes + run.notes)


def _explain_no_validation(run: curves.Run) -> str:
    """Explain why only the training of a run is drawn."""
    if run.reached_end:
        return (
            "the training ended without a validation, so that only its training loss "
            "is drawn. Fix: add a val_cfg, or lower its val_interval"
        )
    return "no validation is logged so far, so that only its training loss is drawn"


def _explain_missing_metric(run: curves.Run, metric: str) -> str:
    """Explain why a run cannot be drawn."""
    parts = [f"no validation logged {metric!r}"]
    for word, train in (("validations logged", False), ("training logged", True)):
        points = [point for point in run.points if point.train is train]
        tags = sorted({tag for point in points for tag in point.scalars} - {"step"})
        if tags:
            parts.append(f"{word} {', '.join(tags)}")
    if metric == "val_loss":
        return (
            f"{', '.join(parts)}. Fix: `import valloss_compat` in the training of a "
            "model that returns a loss element, add "
            "default_hooks=dict(val_loss=dict(type='ValLossHook')) for other models, "
            "or draw another metric with --metric NAME"
        )
    return f"{', '.join(parts)}. Fix: choose one of them with --metric NAME"


def common_unit(named_runs: Sequence[NamedRun], wanted: str) -> str:
    """Choose the unit of the x axis.

    Args:
        named_runs (Sequence[NamedRun]): The runs to draw.
        wanted (str): ``'epoch'`` or ``'iter'``. ``'auto'`` chooses epochs if all
            runs count them.

    Returns:
        str: ``'epoch'`` or ``'iter'``.

    Raises:
        CommandError: If the positions of a run are not known in this unit.
    """
    units = {named.run.unit for named in named_runs}
    unit = wanted if wanted != "auto" else ("iter" if "iter" in units else "epoch")
    for named in named_runs:
        if any(point.position(unit) is None for point in named.run.points):
            reason = (
                "is iteration-based and counts no epochs. Fix: --x iter"
                if unit == "epoch"
                else "logged no training, so that the iterations of an epoch are not "
                "known. Fix: --x epoch, or draw it alone"
            )
            raise CommandError(f"{named.name} {reason}")
    return unit
