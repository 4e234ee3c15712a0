"""The table as data: one line a model, with the date and the versions at the top."""

from __future__ import annotations

import csv
import datetime
from pathlib import Path
from typing import Any, Dict, Sequence, Tuple

from downstream.oracle.left_out import LEFT_OUT

DISTRIBUTIONS = (
    "torch",
    "mmengine",
    "mmcv",
    "mmpretrain",
    "mmdet",
    "mmsegmentation",
    "mmpose",
    "mmaction2",
    "mmocr",
    "mmyolo",
    "mmdet3d",
)
COLUMNS = ("library", "model", "config", "losses", "difference", "status", "date")
Rows = Dict[Tuple[str, str], Dict[str, str]]


def update(path: Path, results: Sequence[Any], order: Sequence[Any]) -> None:
    """Replace the lines of some models, and leave the others.

    Args:
        path (Path): The file; it need not be there. Lines of other versions go.
        results (Sequence[Result]): What ran.
        order (Sequence[Model]): All models. Lines of others go.
    """
    today = datetime.date.today().isoformat()
    rows = read(path)
    for result in results:
        rows[result.row.library, result.row.config] = {
            "library": result.row.library,
            "model": result.model,
            "config": result.row.config,
            "losses": str(result.losses),
            "difference": f"{result.difference:.1e}",
            "status": result.status,
            "date": today,
        }
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# python -m downstream.oracle --write, {today}\n{versions()}\n")
        for one in LEFT_OUT:
            file.write(f"# not here: {one.library}: {one.models}: {one.reason}\n")
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        for model in order:
            if (model.library, model.config) in rows:
                table.writerow(rows[model.library, model.config])


def read(path: Path) -> Rows:
    """The lines of a file that are of these versions."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    if versions() not in lines:
        return {}
    lines = [line for line in lines if not line.startswith("#")]
    return {(row["library"], row["config"]): row for row in csv.DictReader(lines)}


def versions() -> str:
    """Those of all distributions that are installed, as a comment."""
    from importlib import metadata

    found = []
    for name in DISTRIBUTIONS:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return "# " + ", ".join(found)
