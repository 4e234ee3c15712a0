"""Find and read the ``scalars.json`` that mmengine writes, a line at a time.

``LoggerHook`` hands each log to the visualizer, whose ``LocalVisBackend``
appends it to ``WORK_DIR/TIMESTAMP/vis_data/scalars.json`` as one JSON object a
line. Every start of a training, so every resume, has a TIMESTAMP of its own;
a visualizer that was given a ``save_dir`` appends all of them to one file.
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

#: What is larger is as good as infinite: no loss, and no axis can show it.
_LARGEST = 1e100

#: Tag (str) -> number, of one line.
Scalars = Dict[str, float]


class Start(NamedTuple):
    """One start of a training, from the first iteration or from a checkpoint.

    Attributes:
        name (str): Its TIMESTAMP, or the path of the file.
        path (str): The file.
        lines (list[dict]): Its lines, in order; only what is a number.
    """

    name: str
    path: str
    lines: List[Scalars]


def find(path: str) -> List[str]:
    """The files of one run, in the order in which they were begun.

    Args:
        path (str): A work dir, one of its TIMESTAMP or ``vis_data`` folders,
            or a ``scalars.json``.

    Returns:
        list[str]: At least one path.

    Raises:
        CommandError: If there is none.
    """
    if os.path.isfile(path):
        return [path]
    if not os.path.isdir(path):
        raise CommandError(
            f"{path} does not exist, but the work dir of a training is expected: check "
            "the path"
        )
    found = []
    for folder in ("", *_folders(path)):
        for layout in _LAYOUTS:
            file = os.path.join(path, folder, layout)
            if os.path.isfile(file) and file not in found:
                found.append(file)
    if not found:
        raise CommandError(
            f"{path} is no work dir: {_describe_folder(path)}. Give the work_dir of a "
            "training that logs to mmengine's LocalVisBackend, as all do by default"
        )
    return found


def read(path: str) -> Tuple[List[Start], List[str]]:
    """Read a file.

    Args:
        path (str): A ``scalars.json``.

    Returns:
        tuple: The starts in it, at most one unless all went into one file,
        and notes for the user on lines that could not be read.

    Raises:
        CommandError: If no line is one of mmengine's.
        OSError: If it cannot be read.
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
            f"{path} is not as mmengine writes it: line {broken[0]} is no JSON object. "
            f"Give a work dir, or the {FILE} of one"
        )
    name = _run_name(path)
    return [Start(name, path, part) for part in _split(lines)], _describe_broken(
        broken, texts
    )


def is_train(line: Scalars) -> bool:
    """Whether a line is one of training.

    Those have a learning rate, and an ``epoch`` or an ``iter`` where the
    release and ``LogProcessor(by_epoch=...)`` want it; those of a validation
    have nothing but a ``step``.
    """
    return "epoch" in line or "iter" in line or any(map(_is_lr, line))


def _is_lr(tag: str) -> bool:
    """``lr``, ``base_lr``, and with several optimizers ``generator.lr``."""
    return re.split(r"[./]", tag)[-1] in ("lr", "base_lr")


def _folders(path: str) -> List[str]:
    """Folders in a folder; those named by a timestamp last, and by time."""
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
    # Each line of training has its place; that of a validation may be 0.
    if not math.isfinite(line.get("step", math.nan if is_train(line) else 0.0)):
        return None
    return line


def _number(value: Any) -> float:
    if abs(value) <= _LARGEST or value != value:
        return float(value)
    return math.inf if value > 0 else -math.inf


def _split(lines: List[Scalars]) -> List[List[Scalars]]:
    """Parts with rising iterations: a restart begins where they go back."""
    parts: List[List[Scalars]] = [[]]
    latest = -1.0
    for line in lines:
        if is_train(line) and "step" in line:
            if line["step"] <= latest:
                parts.append([])
            latest = line["step"]
        parts[-1].append(line)
    return [part for part in parts if part]


def _describe_broken(broken: List[int], texts: List[str]) -> List[str]:
    """What to say of lines that are no JSON object."""
    notes = []
    if broken and not any(texts[broken[-1] :]):
        broken = broken[:-1]
        notes.append(
            "the last line is half written (the run goes on, or was killed): left out"
        )
    if broken:
        notes.append(f"{len(broken)} broken lines left out, the first is {broken[0]}")
    return notes


def _describe_folder(path: str) -> str:
    """What was looked for, and what there is instead."""
    text = f"neither TIMESTAMP{os.sep}{_LAYOUTS[0]} nor {_LAYOUTS[0]} is in it"
    work_dirs = []
    for name in _folders(path):
        folder = os.path.join(path, name)
        below = ["", *_folders(folder)]
        if any(os.path.isfile(os.path.join(folder, b, _LAYOUTS[0])) for b in below):
            work_dirs.append(folder)
    if work_dirs:
        return f"{text}; these folders in it are work dirs: {', '.join(work_dirs)}"
    names = sorted(os.listdir(path))
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{text}, but {shown or 'nothing at all'}"
