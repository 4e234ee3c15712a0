"""The picture of coverage: by library, and by family."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

from downstream.sweep import table
from downstream.sweep.check import ACCEPTED, NOT_CHECKED, REJECTED
from downstream.sweep.kinds import SUPERVISED

COLOURS = {ACCEPTED: "#2a7f4f", REJECTED: "#c8553d", NOT_CHECKED: "#b9b9b9"}
#: Families in a column of the picture.
COLUMN = 60


def draw(folder: Path) -> int:
    """Draw ``coverage.svg`` from the table of verdicts in a folder."""
    import matplotlib

    matplotlib.use("Agg")
    # Without a seed, names of parts of an SVG differ each time.
    matplotlib.rcParams.update(
        {"svg.hashsalt": "sweep", "svg.fonttype": "none", "font.size": 7}
    )
    from matplotlib import pyplot

    libraries: Dict[str, Dict[str, int]] = {}
    families: Dict[str, Dict[str, int]] = {}
    for row in table.read(folder / "verdicts.csv").values():
        if row["kind"] == SUPERVISED:
            for found, name in (
                (libraries, row["library"]),
                (families, f"{row['library']}: {row['family']}"),
            ):
                counts = found.setdefault(name, dict.fromkeys(COLOURS, 0))
                counts[row["verdict"]] += 1
    columns = [list(libraries.items())]
    ordered = list(families.items())
    columns += [ordered[at : at + COLUMN] for at in range(0, len(ordered), COLUMN)]
    figure, axes = pyplot.subplots(
        1, len(columns), figsize=(4 * len(columns), 8), layout="constrained"
    )
    for axis, part in zip(axes, columns):
        _bars(axis, part)
    axes[0].legend(loc="lower center", bbox_to_anchor=(0.5, -0.1), ncol=3)
    figure.savefig(folder / "coverage.svg", metadata={"Date": None})
    return 0


def _bars(axis: Any, part: List[Any]) -> None:
    """Shares of the verdicts, a bar for each name, with its number of configs."""
    names = [f"{name} ({sum(counts.values())})" for name, counts in part]
    left = [0.0] * len(part)
    for verdict, colour in COLOURS.items():
        shares = [100 * c[verdict] / sum(c.values()) for _, c in part]
        axis.barh(names, shares, left=left, color=colour, label=verdict)
        left = [a + b for a, b in zip(left, shares)]
    axis.set_xlim(0, 100)
    axis.invert_yaxis()
    axis.set_xlabel("% of supervised configs")
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
