"""The command ``plot`` draws the loss curves of one or more work dirs.

It reads their ``scalars.json`` and imports neither mmengine nor torch.
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
import sys
from types import ModuleType
from typing import Any, Optional, Sequence

from valloss_compat._cli import print_plain
from valloss_compat._cli.plot import curves, runs, scalars
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


def register(subparsers: Any) -> None:
    """Add the command.

    Args:
        subparsers: The object that ``ArgumentParser.add_subparsers`` returns.
    """
    parser = subparsers.add_parser(
        "plot",
        help="draw training and validation loss of one or more work dirs",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "work_dirs",
        nargs="+",
        metavar="WORK_DIR",
        help="a work dir of mmengine, one of its TIMESTAMP folders, or a scalars.json",
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="FILE",
        help="picture to write, .png, .svg or .pdf. An existing file is replaced",
    )
    parser.add_argument(
        "--metric",
        default="val_loss",
        metavar="NAME",
        help="metric of the validations, such as loss_cls (default: %(default)s)",
    )
    parser.add_argument(
        "--rule",
        choices=("less", "greater"),
        help="which value is the best (default: less for a metric with loss in its "
        "name, none for others)",
    )
    parser.add_argument(
        "--x",
        choices=("epoch", "iter", "auto"),
        default="auto",
        help="unit of the x axis (default: auto, epochs if all runs count them)",
    )
    parser.add_argument("--log", action="store_true", help="logarithmic y axis")
    parser.add_argument(
        "--title", default="", help="title (default: the name of a single run)"
    )
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    """Draw the requested runs.

    Args:
        args (Namespace): The parsed arguments of :func:`register`.

    Returns:
        int: 0, or 1 if a run could not be drawn and others could.

    Raises:
        CommandError: If nothing was drawn.
    """
    _check_output(args.output)
    metric = scalars.without_mode(args.metric, "val")
    named_runs, errors = runs.read(args.work_dirs, metric)
    for message in errors:
        print_plain(f"not drawn: {message}", sys.stderr)
    rule = _resolve_rule(metric, args.rule)
    unit = runs.common_unit(named_runs, args.x)
    figure = _import_figure()
    drawn = [_run_curves(figure, n, metric, rule, unit) for n in named_runs]
    if args.log:
        _check_log_axis(drawn)
    try:
        os.makedirs(os.path.dirname(args.output) or ".", exist_ok=True)
        figure.draw(
            drawn,
            args.output,
            metric=metric,
            train_name=curves.train_tag(metric),
            unit=_UNITS[unit],
            ylabel="loss" if "loss" in metric else metric,
            title=args.title or (drawn[0].name if len(drawn) == 1 else ""),
            log=args.log,
        )
    except OSError as error:
        raise CommandError(
            f"{args.output} cannot be written: {error.strerror or error}. Fix: name "
            "another file with -o"
        ) from None
    for named, shown in zip(named_runs, drawn):
        print_plain(_summary(named, shown.best_label, metric, unit))
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


def _resolve_rule(metric: str, rule: Optional[str]) -> str:
    if rule is None and "loss" not in metric:
        raise CommandError(
            f"the better value of {metric!r} may be the smaller or the larger one. "
            "Fix: add --rule less or --rule greater"
        )
    return rule or "less"


def _run_curves(
    figure: ModuleType, named: runs.NamedRun, metric: str, rule: str, unit: str
) -> Any:
    """Collect the data that the figure shows of one run."""
    run = named.run
    val = run.curve(metric, train=False)
    tag = curves.train_tag(metric)
    best = curves.best(val, metric, rule)
    end = max(point.position(unit) or 0.0 for point in run.points)
    known_end = run.planned is not None and unit == run.unit
    return figure.RunCurves(
        name=named.name,
        train=_curve(run.curve(tag, train=True), tag, unit),
        val=_curve(val, metric, unit),
        best=best and (best.position(unit) or 0.0, best.scalars[metric]),
        best_label=_label(best, metric, unit) if best else "",
        end=end,
        planned=run.planned if known_end and run.reached_end is False else None,
    )


def _curve(points: Sequence[curves.Point], tag: str, unit: str) -> Any:
    values = [point.scalars[tag] for point in points]
    return (
        [point.position(unit) or 0.0 for point in points],
        [value if math.isfinite(value) else math.nan for value in values],
    )


def _label(point: curves.Point, metric: str, unit: str) -> str:
    return f"{_format_position(point, unit)}, {point.scalars[metric]:.4g}"


def _format_position(point: curves.Point, unit: str) -> str:
    return f"{_UNITS[unit]} {round(point.position(unit) or 0.0, 1):,.10g}"


def _check_log_axis(drawn: Sequence[Any]) -> None:
    for run in drawn:
        values = [*run.train[1], *run.val[1]]
        if not any(value > 0 for value in values):
            raise CommandError(
                f"{run.name} has no value above 0, but --log needs one. Fix: leave "
                "--log out"
            )
        if run.best is not None and run.best[1] <= 0:
            print_plain(
                f"note: {run.name}: the best value, {run.best[1]:.4g}, is not drawn, "
                "as a logarithmic axis has no place for it",
                sys.stderr,
            )


def _import_figure() -> ModuleType:
    """Import the module that needs matplotlib, which is an optional dependency."""
    try:
        return importlib.import_module("valloss_compat._cli.plot.figure")
    except ImportError as error:
        raise CommandError(
            f"plot needs matplotlib, but importing it failed with {error}. Fix: pip "
            "install matplotlib"
        ) from None


def _summary(named: runs.NamedRun, best_label: str, metric: str, unit: str) -> str:
    """Summarize a run in one line."""
    run = named.run
    val = run.curve(metric, train=False)
    end = f"ended at {_UNITS[run.unit]} {run.last:,.0f}"
    if run.planned is not None:
        end += f" of {run.planned:,}"
    if not val:
        return f"{named.name}: no validation; {end}"
    best = f"best {metric} at {best_label}" if best_label else f"no finite {metric}"
    broken = [p for p in val if not math.isfinite(p.scalars[metric])]
    if broken:
        first = _format_position(broken[0], unit)
        best += f" ({len(broken)} not finite, the first at {first})"
    count = f"{len(val)} validation" + ("" if len(val) == 1 else "s")
    return f"{named.name}: {best}; {count}; {end}"
