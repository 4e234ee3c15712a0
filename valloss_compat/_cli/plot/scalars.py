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
from typing import Any, Dict, List, NamedTuple, Tuple

from valloss_compat.errors import CommandError

FILE = "scalars.json"
_LAYOUTS = (os.path.join("vis_data", FILE), FILE)
_TIMESTAMP = re.compile(r"\d{8}_\d{6}")

#: Larger values are treated as infinite, because no axis can show them.
_LARGEST = 1e100

#: The numbers of one line by their tags.
Scalars = Dict[str, float]


class Start(NamedTuple):
    """One start of a training, from the first iteration or from a checkpoint.

    Attributes:
        name (str): The TIMESTAMP, or the path of the file.
        path (str): Path of the ``scalars.json``.
        lines (list[dict]): The lines in order. Values that are no numbers are
            left out.
    """

    name: str
    path: str
    lines: List[Scalars]


def find(path: str) -> List[str]:
    """Find the files of one run.

    Args:
        path (str): A work dir, one of its TIMESTAMP or ``vis_data`` folders,
            or a ``scalars.json``.

    Returns:
        list[str]: At least one path, in chronological order.

    Raises:
        CommandError: If there is no ``scalars.json``.
    """
    if os.path.isfile(path):
        return [path]
    if not os.path.isdir(path):
        raise CommandError(
            f"{path} does not exist, but the work dir of a training is expected"
        )
    found = []
    for folder in ("", *_folders(path)):
        for layout in _LAYOUTS:
            file = os.path.join(path, folder, layout)
            if os.path.isfile(file) and file not in found:
                found.append(file)
    if not found:
        raise CommandError(
            f"{path} is no work dir: {_describe_folder(path)}. Fix: name the work_dir "
            "of a training that logs to LocalVisBackend, mmengine's default"
        )
    return found


def read(path: str) -> Tuple[List[Start], List[str]]:
    """Read a file.

    Args:
        path (str): Path of a ``scalars.json``.

    Returns:
        tuple: The starts in the file, and notes for the user about lines that
        could not be read.

    Raises:
        CommandError: If no line has the format of mmengine.
        OSError: If the file cannot be read.
    """
    with open(path, encoding="utf-8", errors="replace") as file:
        texts = file.read().split("\n")
    lines: List[Scalars] = []
    broken: List[int] = []
    for number, text in enumerate(texts, 1):
        if not text.strip():
            continue
        parsed = _parse(text)
        if parsed is None:
            broken.append(number)
        else:
            lines.append(parsed)
    if broken and not lines:
        raise CommandError(
            f"{path} is no {FILE} of mmengine: line {broken[0]} is no JSON object. "
            f"Fix: name a work dir, or the {FILE} of one"
        )
    name = _run_name(path)
    return [Start(name, path, part) for part in _split(lines)], _describe_broken(
        broken, texts
    )


def without_mode(tag: str, mode: str) -> str:
    """Remove ``train/`` or ``val/`` from a tag.

    Named losses of a validation have it, and with ``log_with_hierarchy`` all tags.
    """
    return tag[len(mode) + 1 :] if tag.startswith(f"{mode}/") else tag


def is_train(line: Scalars) -> bool:
    """Whether a line is a line of training.

    A line of training has a learning rate, and depending on the release and on
    ``LogProcessor(by_epoch=...)`` an ``epoch`` or an ``iter``. A line of a
    validation only has a ``step``.
    """
    return "epoch" in line or "iter" in line or any(map(_is_lr, line))


def _is_lr(tag: str) -> bool:
    """Recognise ``lr``, ``base_lr`` and, with several optimizers, ``generator.lr``."""
    return re.split(r"[./]", tag)[-1] in ("lr", "base_lr")


def _folders(path: str) -> List[str]:
    """List the folders in a folder, those with a timestamp last and by time."""
    names = [n for n in os.listdir(path) if os.path.isdir(os.path.join(path, n))]
    return sorted(names, key=lambda n: (bool(_TIMESTAMP.match(n)), n))


def _run_name(path: str) -> str:
    named = [part for part in path.split(os.sep) if _TIMESTAMP.match(part)]
    return named[-1] if named else path


def _parse(text: str) -> Any:
    try:
        parsed = json.loads(text)  # with NaN and Infinity, as mmengine writes them
    except (ValueError, RecursionError):
        return None
    if not isinstance(parsed, dict):
        return None
    line = {k: _number(v) for k, v in parsed.items() if type(v) in (int, float)}
    mode = "train" if is_train(line) else "val"
    line = {without_mode(tag, mode): value for tag, value in line.items()}
    # Only a validation may lack its step, which then counts as 0.
    if not math.isfinite(line.get("step", math.nan if is_train(line) else 0.0)):
        return None
    return line


def _number(value: Any) -> float:
    if abs(value) <= _LARGEST or value != value:
        return float(value)
    return math.inf if value > 0 else -math.inf


def _split(lines: List[Scalars]) -> List[List[Scalars]]:
    """Split lines where the iterations go back, which is where a restart begins."""
    parts: List[List[Scalars]] = [[]]
    latest = -1.0
    for line in lines:
        if is_train(line):
            if line["step"] <= latest:
                parts.append([])
            latest = line["step"]
        parts[-1].append(line)
    return [part for part in parts if part]


def _describe_broken(broken: List[int], texts: List[str]) -> List[str]:
    """Notes about lines that are no JSON objects."""
    notes = []
    if broken and not any(texts[broken[-1] :]):
        broken = broken[:-1]
        notes.append(
            "the last line is half written and left out: the run goes on, or was killed"
        )
    if broken:
        notes.append(f"{len(broken)} broken lines are left out, first line {broken[0]}")
    return notes


def _describe_folder(path: str) -> str:
    """Describe the content of a folder without a ``scalars.json``."""
    text = f"it has no {_LAYOUTS[0]} and no TIMESTAMP{os.sep}{_LAYOUTS[0]}"
    work_dirs = []
    for name in _folders(path):
        folder = os.path.join(path, name)
        below = ["", *_folders(folder)]
        if any(os.path.isfile(os.path.join(folder, b, _LAYOUTS[0])) for b in below):
            work_dirs.append(folder)
    if work_dirs:
        return f"{text}, but these work dirs: {', '.join(work_dirs)}"
    names = sorted(os.listdir(path))
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{text}, but {shown}" if shown else f"{text}, and is empty"
