"""The command ``plot`` draws the loss curves of one or more work dirs.

It reads their ``scalars.json`` and imports neither mmengine nor torch.
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
import sys
from typing import Any, List, Sequence, Tuple

from valloss_compat._cli import print_plain
from valloss_compat._cli.plot import curves, scalars
from valloss_compat.errors import CommandError

SUFFIXES = (".png", ".svg", ".pdf")
_UNITS = {"epoch": "epoch", "iter": "iteration"}
_DESCRIPTION = """\
Draw the training loss (dashed) and the validation loss (solid) of one or more
runs, with the best validation (star) and the end marked.

A run is a work dir of mmengine. The restarts of a run, as a resume leaves them, are
joined. Where they overlap, the later one is drawn."""
_EPILOG = """\
examples:
  python -m valloss_compat plot work_dirs/digits -o curves.png
  python -m valloss_compat plot work_dirs/a work_dirs/b -o out/ab.svg --log
  python -m valloss_compat plot work_dirs/a -o cls.pdf --metric loss_cls

exit status: 0 all runs were drawn; 1 some runs were drawn, and an error names each of
the others; 2 nothing was drawn."""

_HELP = {
    "work_dirs": "a work dir of mmengine, one of its TIMESTAMP folders, or a "
    "scalars.json",
    "output": "picture to write, .png, .svg or .pdf. An existing file is replaced",
    "metric": "metric of the validations, such as loss_cls (default: %(default)s)",
    "rule": "which value is the best (default: less for a metric with loss in its "
    "name, none for others)",
    "x": "unit of the x axis (default: auto, epochs if all runs count them)",
}


def register(subparsers: Any) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "plot",
        help="draw training and validation loss of one or more work dirs",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("work_dirs", nargs="+", metavar="WORK_DIR", help=_HELP["work_dirs"])
    add("-o", "--output", required=True, metavar="FILE", help=_HELP["output"])
    add("--metric", default="val_loss", metavar="NAME", help=_HELP["metric"])
    add("--rule", choices=("less", "greater"), help=_HELP["rule"])
    add("--x", choices=("epoch", "iter", "auto"), default="auto", help=_HELP["x"])
    add("--log", action="store_true", help="logarithmic y axis")
    add("--title", default="", help="title (default: the name of a single run)")
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    """Draw the requested runs; return 1 if a run could not be drawn, else 0.

    Raises:
        CommandError: If nothing was drawn.
    """
    _check_output(args.output)
    metric = scalars.without_mode(args.metric, "val")
    runs, errors = _read_runs(args.work_dirs, metric)
    for message in errors:
        print_plain(f"not drawn: {message}", sys.stderr)
    if not args.rule and "loss" not in metric:
        raise CommandError(
            f"the better value of {metric!r} may be the smaller or the larger one. "
            "Fix: add --rule less or --rule greater"
        )
    unit = _common_unit(runs, args.x)
    try:
        figure: Any = importlib.import_module("valloss_compat._cli.plot.figure")
    except ImportError as error:  # matplotlib is an optional dependency
        raise CommandError(
            f"plot needs matplotlib, but importing it failed with {error}. Fix: pip "
            "install matplotlib"
        ) from None
    described = [_describe_run(run, metric, args.rule or "less", unit) for run in runs]
    shown = [run_curves for run_curves, _ in described]
    for one in shown if args.log else []:
        if not any(value > 0 for value in [*one.train[1], *one.val[1]]):
            raise CommandError(
                f"{one.name} has no value above 0, but --log needs one. Fix: leave "
                "--log out"
            )
    try:
        os.makedirs(os.path.dirname(args.output) or ".", exist_ok=True)
        figure.draw(
            shown,
            args.output,
            metric=metric,
            train_name=curves.train_tag(metric),
            unit=_UNITS[unit],
            ylabel="loss" if "loss" in metric else metric,
            title=args.title or (runs[0].name if len(runs) == 1 else ""),
            log=args.log,
        )
    except OSError as error:
        raise CommandError(
            f"{args.output} cannot be written: {error.strerror or error}. Fix: name "
            "another file with -o"
        ) from None
    for _, summary in described:
        print_plain(summary)
    print_plain(f"Picture: {args.output}")
    return 1 if errors else 0


def _check_output(path: str) -> None:
    if os.path.isdir(path):
        raise CommandError(
            f"-o {path} is a folder, but a file is expected. Fix: "
            f"-o {os.path.join(path, 'curves.png')}"
        )
    if os.path.splitext(path)[1].lower() not in SUFFIXES:
        raise CommandError(
            f"-o {path} has no suffix of a picture. Fix: end it with one of "
            f"{', '.join(SUFFIXES)}"
        )


def _read_runs(paths: Sequence[str], metric: str) -> Tuple[List[curves.Run], List[str]]:
    """Return the runs that can be drawn, at least one, and errors of the others.

    Notes about the runs are written on stderr.
    """
    runs: List[curves.Run] = []
    errors: List[str] = []
    for path, name in zip(paths, _shortest_names(paths)):
        try:
            run = _read_run(path, metric)._replace(name=name)
        except CommandError as error:
            errors.append(str(error))
            continue
        except OSError as error:
            errors.append(f"{error.filename} cannot be read: {error.strerror}")
            continue
        for note in run.notes:
            print_plain(f"note: {name}: {note}", sys.stderr)
        if all(point.train for point in run.points):
            reason, fix = "no validation is logged so far", ""
            if run.reached_end:
                reason = "the training ended without a validation"
                fix = ". Fix: add a val_cfg, or lower its val_interval"
            text = f"{reason}, so that only its training loss is drawn{fix}"
            print_plain(f"warning: {name}: {text}", sys.stderr)
        runs.append(run)
    if not runs:
        raise CommandError("; ".join(errors))
    return runs, errors


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


def _explain_missing_metric(run: curves.Run, metric: str) -> str:
    parts = [f"no validation logged {metric!r}"]
    for word, train in (("validations logged", False), ("training logged", True)):
        points = [point for point in run.points if point.train is train]
        tags = sorted({tag for point in points for tag in point.scalars} - {"step"})
        if tags:
            parts.append(f"{word} {', '.join(tags)}")
    fix = "choose one of them with --metric NAME"
    if metric == "val_loss":
        fix = (
            "`import valloss_compat` in the training of a model that returns a loss "
            "element, add default_hooks=dict(val_loss=dict(type='ValLossHook')) for "
            "other models, or draw another metric with --metric NAME"
        )
    return f"{', '.join(parts)}. Fix: {fix}"


def _common_unit(runs: Sequence[curves.Run], wanted: str) -> str:
    """Choose the unit of the x axis: epochs for ``'auto'`` if all runs count them."""
    units = {run.unit for run in runs}
    unit = wanted if wanted != "auto" else ("iter" if "iter" in units else "epoch")
    for run in runs:
        if any(point.position(unit) is None for point in run.points):
            reason = (
                "is iteration-based and counts no epochs. Fix: --x iter"
                if unit == "epoch"
                else "logged no training, so that the iterations of an epoch are not "
                "known. Fix: --x epoch, or draw it alone"
            )
            raise CommandError(f"{run.name} {reason}")
    return unit


def _describe_run(
    run: curves.Run, metric: str, rule: str, unit: str
) -> Tuple[curves.RunCurves, str]:
    """Return the data that the figure shows of a run, and its summary in one line."""

    def position(point: curves.Point) -> float:
        return point.position(unit) or 0.0

    def label(point: curves.Point) -> str:
        return f"{_UNITS[unit]} {round(position(point), 1):,.10g}"

    def curve(points: Sequence[curves.Point], tag: str) -> curves.Curve:
        values = [point.scalars[tag] for point in points]
        values = [value if math.isfinite(value) else math.nan for value in values]
        return list(map(position, points)), values

    tag = curves.train_tag(metric)
    val = run.curve(metric, train=False)
    best = curves.best(val, metric, rule)
    value = best.scalars[metric] if best else math.nan
    best_label = f"{label(best)}, {value:.4g}" if best else ""
    is_stopped = unit == run.unit and run.reached_end is False
    shown = curves.RunCurves(
        name=run.name,
        train=curve(run.curve(tag, train=True), tag),
        val=curve(val, metric),
        best=(position(best), value) if best else None,
        best_label=best_label,
        end=max(map(position, run.points)),
        planned=run.planned if is_stopped else None,
    )
    end = f"ended at {_UNITS[run.unit]} {run.last:,.0f}"
    if run.planned is not None:
        end += f" of {run.planned:,}"
    if not val:
        return shown, f"{run.name}: no validation; {end}"
    text = f"best {metric} at {best_label}" if best else f"no finite {metric}"
    broken = [point for point in val if not math.isfinite(point.scalars[metric])]
    if broken:
        text += f" ({len(broken)} not finite, the first at {label(broken[0])})"
    count = f"{len(val)} validation" + ("" if len(val) == 1 else "s")
    return shown, f"{run.name}: {text}; {count}; {end}"
