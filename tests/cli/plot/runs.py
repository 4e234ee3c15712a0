"""The run that ``plot`` reads from a work dir, and where its values lie."""

from __future__ import annotations

from valloss_compat._cli.plot import curves, scalars
from valloss_compat._cli.plot.curves import Planned


def join(work_dir, plan=Planned()):  # noqa: B008
    """The run of a work dir."""
    starts = [start for file in scalars.find(str(work_dir)) for start in read(file)]
    return curves.join(starts, plan)


def read(file):
    return scalars.read(str(file))[0]


def places(run, unit="epoch", tag="val_loss", train=False):
    return [point.at(unit) for point in run.curve(tag, train)]


def values(run, tag="val_loss"):
    return [point.scalars[tag] for point in run.curve(tag, train=False)]
