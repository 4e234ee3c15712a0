"""Finds and reads the ``scalars.json`` files that mmengine writes.

``LoggerHook`` passes each log to the ``LocalVisBackend`` of the visualizer. It
appends one JSON object a line to ``WORK_DIR/TIMESTAMP/vis_data/scalars.json``.
Each start of a training has its own TIMESTAMP, and so has each resume. A
visualizer with a ``save_dir`` appends all of them to one file.
"""

from __future__ import annotations

import json
import math
import os
import re
from glob import escape, glob
from typing import Any, Dict, List, NamedTuple, Tuple

from valloss_compat.errors import CommandError

FILE = "scalars.json"
_TIMESTAMP = re.compile(r"\d{8}_\d{6}")

#: The numbers of one line by their tags.
Scalars = Dict[str, float]


class Start(NamedTuple):
    """One start of a training, from the first iteration or from a checkpoint.

    Its name is the TIMESTAMP, or the path of the file. Values of its lines that are
    no numbers are left out.
    """

    name: str
    path: str
    lines: List[Scalars]


def find(path: str) -> List[str]:
    """Find the files of one run in chronological order.

    ``path`` is a work dir, one of its TIMESTAMP or ``vis_data`` folders, or a file.

    Raises:
        CommandError: If there is no ``scalars.json``.
    """
    if os.path.isfile(path):
        return [path]
    if not os.path.isdir(path):
        raise CommandError(
            f"{path} does not exist, but the work dir of a training is expected"
        )
    folders = ("", "*", os.path.join("*", "vis_data"))
    found = [file for folder in folders for file in _files_below(path, folder)]
    if not found:
        raise CommandError(
            f"{path} is no work dir: {_describe_folder(path)}. Fix: name the work_dir "
            "of a training that logs to LocalVisBackend, mmengine's default"
        )
    # Files in a folder with a timestamp come last, and by their time.
    return sorted(found, key=lambda file: (_run_name(file[len(path) :]), file))


def _files_below(path: str, folders: str) -> List[str]:
    return glob(os.path.join(escape(path), folders, FILE))


def read(path: str) -> Tuple[List[Start], List[str]]:
    """Read the starts in a file, and make notes about lines that could not be read.

    Raises:
        CommandError: If no line has the format of mmengine.
        OSError: If the file cannot be read.
    """
    starts: List[Start] = []
    broken: List[int] = []
    number, latest = 0, -1.0
    with open(path, encoding="utf-8", errors="replace") as file:
        texts = [(n, text) for n, text in enumerate(file, 1) if text.strip()]
    for number, text in texts:
        line = _parse(text)
        if line is None:
            broken.append(number)
            continue
        # Iterations that go back are the beginning of a restart.
        restarts = is_train(line) and line["step"] <= latest
        if not starts or restarts:
            starts.append(Start(_run_name(path) or path, path, []))
        latest = line["step"] if is_train(line) else latest
        starts[-1].lines.append(line)
    if broken and not starts:
        raise CommandError(
            f"{path} is no {FILE} of mmengine: line {broken[0]} is no JSON object. "
            f"Fix: name a work dir, or the {FILE} of one"
        )
    notes = []
    if broken[-1:] == [number]:
        broken.pop()
        notes.append(
            "the last line is half written and left out: the run goes on, or was killed"
        )
    if broken:
        notes.append(f"{len(broken)} broken lines are left out, first line {broken[0]}")
    return starts, notes


def without_mode(tag: str, mode: str) -> str:
    """Remove ``train/`` or ``val/`` from a tag.

    Named losses of a validation have it, and with ``log_with_hierarchy`` all tags.
    """
    return tag[len(mode) + 1 :] if tag.startswith(f"{mode}/") else tag


def is_train(line: Scalars) -> bool:
    """Whether a line is a line of training.

    A line of training has a learning rate (``lr``, ``base_lr`` and, with several
    optimizers, ``generator.lr``), and depending on the release and on
    ``LogProcessor(by_epoch=...)`` an ``epoch`` or an ``iter``. A line of a
    validation only has a ``step``.
    """
    names = {re.split(r"[./]", tag)[-1] for tag in line}
    return "epoch" in line or "iter" in line or not names.isdisjoint(("lr", "base_lr"))


def _run_name(path: str) -> str:
    """Return the last folder with a timestamp in a path, ``''`` if there is none."""
    named = [part for part in path.split(os.sep) if _TIMESTAMP.match(part)]
    return named[-1] if named else ""


def _parse(text: str) -> Any:
    try:
        # With NaN and Infinity, as mmengine writes them. An int may be beyond float.
        items = json.loads(text, parse_int=float).items()
        line = {tag: value for tag, value in items if type(value) is float}
    except (AttributeError, ValueError, RecursionError):
        return None
    mode = "train" if is_train(line) else "val"
    line = {without_mode(tag, mode): value for tag, value in line.items()}
    # Only a validation may lack its step, which then counts as 0.
    step = line.get("step", math.nan if is_train(line) else 0.0)
    if not math.isfinite(step + line.get("epoch", 0.0)):
        return None
    return line


def _describe_folder(path: str) -> str:
    """Describe the content of a folder without a ``scalars.json``."""
    layout = os.path.join("vis_data", FILE)
    text = f"it has no {layout} and no TIMESTAMP{os.sep}{layout}"
    below = _files_below(path, os.path.join("*", "*", "vis_data"))
    work_dirs = {os.path.relpath(file, path).split(os.sep)[0] for file in below}
    if work_dirs:
        names = [os.path.join(path, name) for name in sorted(work_dirs)]
        return f"{text}, but these work dirs: {', '.join(names)}"
    names = sorted(os.listdir(path))
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{text}, but {shown}" if shown else f"{text}, and is empty"
