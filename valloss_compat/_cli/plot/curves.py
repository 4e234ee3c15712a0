"""The curves of a run, with its restarts joined.

``LoggerHook`` decides what the ``step`` of a line counts. In training it counts
iterations. In a validation it counts the epochs that are done, or iterations
with ``log_metric_by_epoch=False``. An iteration-based training has no epochs,
so the ``step`` of its validations is 0 unless that option is set.
"""

from __future__ import annotations

import math
import os
import re
import statistics
from contextlib import suppress
from glob import escape, glob
from itertools import dropwhile
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from valloss_compat._cli.plot.scalars import Scalars, Start, is_train


class TrainLength(NamedTuple):
    """Epochs, or iterations of a training according to its ``train_cfg``."""

    max_epochs: Optional[int] = None
    max_iters: Optional[int] = None


class Point(NamedTuple):
    """A line of the log with its position in the training."""

    train: bool  #: True for a line of training, False for a validation.
    iteration: Optional[float]  #: Iterations done. None if unknown.
    #: Epochs done, with the fraction of the current one. None if it counts iterations.
    epoch: Optional[float]
    scalars: Scalars  #: The number for each tag.

    def position(self, unit: str) -> Optional[float]:
        """Return the position in a unit, ``'epoch'`` or ``'iter'``."""
        return self.epoch if unit == "epoch" else self.iteration


class Run(NamedTuple):
    """The points of one run."""

    points: List[Point]  #: In order, without those that a restart repeated.
    unit: str  #: What the training counts, ``'epoch'`` or ``'iter'``.
    planned: Optional[int]  #: Configured number of epochs or iterations.
    notes: List[str]  #: For the user.
    name: str = ""  #: A name that no other run of the figure has.

    @property
    def last(self) -> float:
        """The last logged iteration, or the last epoch, finished or not."""
        positions = [point.position(self.unit) or 0 for point in self.points]
        return float(math.ceil(max(positions)))

    @property
    def reached_end(self) -> Optional[bool]:
        """Whether the training reached its planned end, None if that is unknown."""
        if self.planned is None:
            return None
        logged = [p.iteration or 0 for p in self.points if p.train][-2:]
        # The last iterations are logged only if the logging interval hits them.
        counts_iterations = self.unit == "iter" and len(logged) == 2
        missing = logged[1] - logged[0] - 1 if counts_iterations else 0
        return self.last + missing >= self.planned

    def curve(self, tag: str, train: bool) -> List[Point]:
        """Return the points of training, or of validations, that have a tag."""
        return [p for p in self.points if p.train is train and tag in p.scalars]


#: Positions and values.
Curve = Tuple[Sequence[float], Sequence[float]]


class RunCurves(NamedTuple):
    """The data that the figure shows of one run."""

    name: str  #: In the legend.
    train: Curve  #: May be empty, as ``val`` may.
    val: Curve
    best: Optional[Tuple[float, float]]  #: Position and value of the best validation.
    best_label: str  #: Its label, such as ``'epoch 7, 0.216'``. Empty if there is none.
    end: float  #: Position at which the run ended.
    planned: Optional[float]  #: Planned end, if the run did not reach it.


def join(starts: Sequence[Start], planned: TrainLength) -> Run:
    """Join the starts of one run; where two overlap, the later one is used.

    There is at least one, each has at least one line, and they are in chronological
    order. Starts that only validated are left out, unless there are no others.
    """
    notes: List[str] = []
    training = [
        start
        for start in starts
        if any(is_train(line) or line.get("step") for line in start.lines)
    ]
    if training and len(training) < len(starts):
        notes.append("starts without a training are left out")
    starts = training or starts
    by_epoch = _counts_epochs(starts, planned)
    points: List[Point] = []
    for start in starts:
        new_points = _locate(start.lines, by_epoch, notes)
        kept = [point for point in points if _is_before(point, new_points[0])]
        if len(kept) < len(points):
            first = _describe_position(new_points[0])
            notes.append(
                f"the restart {start.name} repeated {first} and later, so that the "
                "earlier lines of these are left out"
            )
        points = kept + new_points
    if by_epoch:
        return Run(points, "epoch", planned.max_epochs, notes)
    return Run(points, "iter", planned.max_iters, notes)


def _counts_epochs(starts: Sequence[Start], planned: TrainLength) -> bool:
    """Whether the training is epoch-based and its epochs are logged.

    ``LogProcessor(by_epoch=True)``, the default, logs an epoch in iteration-based
    trainings too. That epoch is always 1, and the ``step`` of the validations is 0
    or an iteration. With ``by_epoch=False`` an epoch-based training logs no epoch.
    """
    epochs: List[float] = []
    steps: List[float] = []  # of the validations that follow a line of training
    for start in starts:
        for line in dropwhile(lambda line: not is_train(line), start.lines):
            if is_train(line):
                epochs.append(line.get("epoch", 0))
            else:
                steps.append(line.get("step", 0))
    if not epochs:
        return True  # by default, LoggerHook counts validations in epochs
    if planned.max_iters:
        return False
    is_epoch = planned.max_epochs is not None or set(steps) <= {1}
    return max(epochs) > 1 or (max(epochs) == 1 and is_epoch)


def _locate(lines: Sequence[Scalars], by_epoch: bool, notes: List[str]) -> List[Point]:
    """Find the position of each line."""
    length = _epoch_length(lines) if by_epoch else None
    points: List[Point] = []
    latest: Scalars = {}
    note = (
        "validations without an iteration are drawn at the last one that was logged "
        "before. Fix: LoggerHook(log_metric_by_epoch=False)"
    )
    for line in lines:
        step = line.get("step", 0.0)
        epoch, trained = latest.get("epoch"), latest.get("step", 0.0)
        if is_train(line):
            latest = line
            done = _epochs_done(step, line.get("epoch"), length)
            points.append(Point(True, step, done, line))
        elif not by_epoch:
            if step < trained and note not in notes:
                notes.append(note)
            points.append(Point(False, max(step, trained), None, line))
        elif latest and trained <= step != epoch:
            done = _epochs_done(step, epoch, length)
            points.append(Point(False, step, done, line))
        else:
            iteration = step * length if length else None
            points.append(Point(False, iteration, step, line))
    return points


def _epoch_length(lines: Sequence[Scalars]) -> Optional[float]:
    """Estimate the number of iterations in an epoch, None without any epoch.

    ``LoggerHook`` logs at the same iterations within each epoch, so the first
    lines of two successive epochs are one epoch apart. ``ignore_last`` leaves out
    the last line of an epoch, so a single epoch only gives a lower bound.
    """
    first: Dict[float, float] = {}
    least = 0.0
    for line in lines:
        if is_train(line) and line.get("epoch"):
            first.setdefault(line["epoch"], line["step"])
            least = max(least, line["step"] / line["epoch"])
    lengths = [first[e + 1] - first[e] for e in first if e + 1 in first]
    return statistics.median(lengths) if lengths else math.ceil(least) or None


def _epochs_done(
    iteration: float, epoch: Optional[float], length: Optional[float]
) -> Optional[float]:
    """Epochs done after an iteration of an epoch. Epochs are counted from 1."""
    if epoch is None or not length:
        return None
    return min(max(iteration / length, epoch - 1), epoch)


def _is_before(point: Point, restart: Point) -> bool:
    """Whether a point lies before the first point of a restart."""
    if restart.epoch is not None and point.epoch is not None:
        # An epoch-based training resumes at the beginning of an epoch.
        return point.epoch <= _current_epoch(restart) - 1
    return (point.iteration or 0) < (restart.iteration or 0)


def _describe_position(point: Point) -> str:
    if point.epoch is not None:
        return f"epoch {_current_epoch(point):.0f}"
    return f"iteration {point.iteration or 0:.0f}"


def _current_epoch(point: Point) -> float:
    return point.scalars.get("epoch") or math.ceil(point.epoch or 0)


def train_tag(metric: str) -> str:
    """Return the tag of training that corresponds to a metric of validation.

    This is ``loss`` for ``val_loss`` and ``teacher/val_loss``.
    """
    return "loss" if re.split(r"[./]", metric)[-1] == "val_loss" else metric


def best(curve: Sequence[Point], metric: str, rule: str = "less") -> Optional[Point]:
    """Return the first point with the best finite value, None without any.

    ``rule`` is ``'less'`` or ``'greater'``, as in ``CheckpointHook``.
    """
    finite = [point for point in curve if math.isfinite(point.scalars[metric])]
    sign = 1 if rule == "less" else -1
    return min(finite, key=lambda p: sign * p.scalars[metric], default=None)


def find_train_length(scalars: str) -> TrainLength:
    """Read the configured length of the training that wrote a ``scalars.json``.

    It is that of the first config with a length: ``config.py`` beside the file, or
    the config that ``Runner.dump_config`` wrote into the work dir.
    """
    vis_data = os.path.dirname(os.path.abspath(scalars))
    work_dir, timestamp = os.path.split(os.path.dirname(vis_data))
    dumped = glob(os.path.join(escape(work_dir), "*.py"))
    paths = [os.path.join(vis_data, "config.py")]
    paths.append(os.path.join(work_dir, f"{timestamp}.py"))
    # With several configs, each may belong to another training in the work dir.
    paths += dumped if len(dumped) == 1 else []
    for path in paths:
        with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            planned = _parse_train_length(file.read())
            if planned != TrainLength():
                return planned
    return TrainLength()


def _parse_train_length(config: str) -> TrainLength:
    """Parse the last ``train_cfg`` in the text of a config, which is not run."""
    entries = re.findall(r"^train_cfg\s*=(.*(?:\n[ )}].*)*)", config, re.MULTILINE)
    lengths = {}
    for name in TrainLength._fields:
        # No axis shows more digits.
        pattern = rf"\b{name}['\"]?\s*[=:]\s*([1-9]\d{{0,11}})\s*[,)}}]"
        found = re.search(pattern, "".join(entries[-1:]))
        lengths[name] = int(found.group(1)) if found else None
    return TrainLength(**lengths)
