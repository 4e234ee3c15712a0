"""The curves of a run, with its restarts joined.

``LoggerHook`` decides what the ``step`` of a line counts. In training it counts
iterations. In a validation it counts the epochs that are done, or iterations
with ``log_metric_by_epoch=False``. An iteration-based training has no epochs,
so the ``step`` of its validations is 0 unless that option is set.
"""

from __future__ import annotations

import ast
import glob
import math
import os
import re
import statistics
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set

from valloss_compat._cli.plot.scalars import Scalars, Start, is_train


class TrainLength(NamedTuple):
    """The length of a training according to its ``train_cfg``.

    Attributes:
        max_epochs (int, optional): Epochs of an epoch-based training.
        max_iters (int, optional): Iterations of an iteration-based training.
    """

    max_epochs: Optional[int] = None
    max_iters: Optional[int] = None


class Point(NamedTuple):
    """A line of the log with its position in the training.

    Attributes:
        train (bool): True for a line of training, False for a validation.
        iteration (float, optional): Iterations done. None if unknown.
        epoch (float, optional): Epochs done, including the fraction of the
            current epoch. None in an iteration-based training.
        scalars (dict): The number for each tag.
    """

    train: bool
    iteration: Optional[float]
    epoch: Optional[float]
    scalars: Scalars

    def position(self, unit: str) -> Optional[float]:
        """Return the position in a unit, ``'epoch'`` or ``'iter'``."""
        return self.epoch if unit == "epoch" else self.iteration


class Run(NamedTuple):
    """The points of one run.

    Attributes:
        points (list[Point]): The points in order. Points that a restart
            repeated are left out.
        by_epoch (bool): Whether the training counts epochs.
        planned (int, optional): Configured number of epochs or iterations.
        notes (list[str]): Notes for the user.
    """

    points: List[Point]
    by_epoch: bool
    planned: Optional[int]
    notes: List[str]

    @property
    def unit(self) -> str:
        """The unit that the training counts in, ``'epoch'`` or ``'iter'``."""
        return "epoch" if self.by_epoch else "iter"

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
        missing = 0 if self.by_epoch or len(logged) < 2 else logged[1] - logged[0] - 1
        return self.last + missing >= self.planned

    def curve(self, tag: str, train: bool) -> List[Point]:
        """Return the points of training, or of validations, that have a tag."""
        return [p for p in self.points if p.train is train and tag in p.scalars]


def join(starts: Sequence[Start], planned: TrainLength) -> Run:
    """Join the starts of one run.

    Args:
        starts (Sequence[Start]): At least one start, in chronological order, each
            with at least one line. Where two overlap, the later one is used.
        planned (TrainLength): The configured length.

    Returns:
        Run: Starts that only validated are left out, unless there are no others.
    """
    notes: List[str] = []
    training = [start for start in starts if not _is_validation_only(start)]
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
    end = planned.max_epochs if by_epoch else planned.max_iters
    return Run(points, by_epoch, end, notes)


def _is_validation_only(start: Start) -> bool:
    return not any(is_train(line) or line.get("step") for line in start.lines)


def _counts_epochs(starts: Sequence[Start], planned: TrainLength) -> bool:
    """Whether the training is epoch-based and its epochs are logged.

    ``LogProcessor(by_epoch=True)``, the default, logs an epoch in iteration-based
    trainings too. That epoch is always 1, and the ``step`` of the validations is 0
    or an iteration. With ``by_epoch=False`` an epoch-based training logs no epoch.
    """
    epochs: Set[float] = set()
    steps_are_epochs, has_training = True, False
    for start in starts:
        latest: Scalars = {}
        for line in start.lines:
            if is_train(line):
                latest, has_training = line, True
                epochs.add(line.get("epoch", 0))
            elif latest:
                steps_are_epochs = steps_are_epochs and line.get("step") == latest.get(
                    "epoch"
                )
    if not has_training:
        return True  # by default, LoggerHook counts validations in epochs
    if planned.max_iters:
        return False
    steps_are_epochs = steps_are_epochs or planned.max_epochs is not None
    return max(epochs) > 1 or (max(epochs) == 1 and steps_are_epochs)


def _locate(lines: Sequence[Scalars], by_epoch: bool, notes: List[str]) -> List[Point]:
    """Find the position of each line."""
    length = _epoch_length(lines) if by_epoch else None
    points: List[Point] = []
    latest: Scalars = {}
    guessed = False
    for line in lines:
        step = line.get("step", 0.0)
        if is_train(line):
            latest = line
            epoch = _epochs_done(step, line.get("epoch"), length)
            points.append(Point(True, step, epoch, line))
            continue
        trained_epoch, trained_step = latest.get("epoch"), latest.get("step")
        if not by_epoch:
            behind = trained_step is not None and step < trained_step
            guessed = guessed or behind
            points.append(Point(False, trained_step if behind else step, None, line))
        elif trained_step is not None and trained_step <= step != trained_epoch:
            epoch = _epochs_done(step, trained_epoch, length)
            points.append(Point(False, step, epoch, line))
        else:
            iteration = step * length if length else None
            points.append(Point(False, iteration, step, line))
    note = (
        "validations without an iteration are drawn at the last one that was logged "
        "before. Fix: LoggerHook(log_metric_by_epoch=False)"
    )
    if guessed and note not in notes:
        notes.append(note)
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
    if re.split(r"[./]", metric)[-1] == "val_loss":
        return "loss"
    return metric


def best(curve: Sequence[Point], metric: str, rule: str = "less") -> Optional[Point]:
    """Return the point with the best value, the first one of equal points.

    Args:
        curve (Sequence[Point]): The validations.
        metric (str): The tag to compare.
        rule (str): ``'less'`` or ``'greater'``, as in ``CheckpointHook``.

    Returns:
        Point, optional: None if no value is finite.
    """
    finite = [point for point in curve if math.isfinite(point.scalars[metric])]
    sign = 1 if rule == "less" else -1
    return min(finite, key=lambda p: sign * p.scalars[metric], default=None)


def find_train_length(scalars: str) -> TrainLength:
    """Read the configured length of the training that wrote a ``scalars.json``.

    Args:
        scalars (str): Path of the ``scalars.json``.

    Returns:
        TrainLength: From the first config with a length: ``config.py`` beside the
        file, or the config that ``Runner.dump_config`` wrote into the work dir.
    """
    for path in _config_paths(scalars):
        try:
            with open(path, encoding="utf-8") as file:
                values = _read_train_cfg(ast.parse(file.read()))
        except Exception:  # ast raises MemoryError and more on odd files
            continue
        planned = TrainLength(
            *(_positive_int(values.get(name)) for name in TrainLength._fields)
        )
        if planned != TrainLength():
            return planned
    return TrainLength()


def _config_paths(scalars: str) -> List[str]:
    vis_data = os.path.dirname(os.path.abspath(scalars))
    start = os.path.dirname(vis_data)
    work_dir, timestamp = os.path.split(start)
    dumped = glob.glob(os.path.join(glob.escape(work_dir), "*.py"))
    named = os.path.join(work_dir, f"{timestamp}.py")
    # With several configs, each may belong to another training in the work dir.
    others = dumped if len(dumped) == 1 else []
    return [os.path.join(vis_data, "config.py"), named, *others]


def _read_train_cfg(module: ast.Module) -> Dict[str, Any]:
    """Parse ``train_cfg = dict(...)`` of a config without running the config."""
    for statement in reversed(module.body):
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "train_cfg"
            for target in statement.targets
        ):
            return _literal_items(statement.value)
    return {}


def _literal_items(value: ast.AST) -> Dict[str, Any]:
    """Items of ``dict(a=1)`` or ``{'a': 1}``. Values that are no literals are None."""
    if isinstance(value, ast.Call):
        return {str(word.arg): _literal(word.value) for word in value.keywords}
    if isinstance(value, ast.Dict):
        pairs = zip(value.keys, value.values)
        return {str(_literal(key)): _literal(item) for key, item in pairs}
    return {}


def _literal(node: Optional[ast.AST]) -> Any:
    try:
        return ast.literal_eval(node)  # type: ignore[arg-type]
    except ValueError:
        return None


def _positive_int(value: Any) -> Optional[int]:
    # No axis shows more.
    return value if type(value) is int and 0 < value < 10**12 else None
