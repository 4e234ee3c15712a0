"""Pages of the site that follow from tables of the repository."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Sequence, Tuple

Row = Dict[str, str]

ROOT = Path(__file__).resolve().parent.parent
VERDICTS = ("accepted", "rejected", "not checked")
NAMES = {
    "mmaction": "mmaction2",
    "mmseg": "mmsegmentation",
}
SUPERVISED = "supervised"


def write(docs: Path) -> None:
    """Write the pages into `libraries/` and `_generated/`."""
    libraries, parts = docs / "libraries", docs / "_generated"
    for folder in (libraries, parts):
        folder.mkdir(exist_ok=True)
    _, verdicts = read(docs / "coverage" / "verdicts.csv")
    _, configs = read(docs / "coverage" / "configs.csv")
    pages = {parts / "recording.md": recording(ROOT / "benchmarks" / "results.json")}
    for library in sorted({row["library"] for row in configs}):
        of_library = [r for r in verdicts if r["library"] == library]
        others = [r for r in configs if r["library"] == library]
        pages[libraries / f"{library}.md"] = page(library, of_library, others)
    for old in {*libraries.glob("*.md"), *parts.glob("*.md")} - set(pages):
        old.unlink()
    for path, lines in pages.items():
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read(path: Path) -> Tuple[List[str], List[Row]]:
    """Return the comments at the top of a table, and its rows.

    Without those of verdicts of models that are not supervised: they have none.
    """
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    comments = [line.lstrip("# ").strip() for line in lines if line.startswith("#")]
    rows = csv.DictReader(x for x in lines if not x.startswith("#"))
    return comments, [row for row in rows if row.get("verdict") != ""]


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yield a Markdown table; columns whose name begins with a space are numbers."""
    yield "| " + " | ".join(name.strip() for name in columns) + " |"
    yield "|" + "|".join("--:" if n.startswith(" ") else "---" for n in columns) + "|"
    for row in rows:
        yield "| " + " | ".join(map(str, row)) + " |"


def text(message: str) -> str:
    """Return a message as it can stand in a cell."""
    return re.sub(r"([\\*_`|<>\[\]$])", r"\\\1", " ".join(message.split()))


def overview(docs: Path) -> List[str]:
    """Return how many configs of each library have which verdict."""
    head, verdicts = read(docs / "coverage" / "verdicts.csv")
    _, configs = read(docs / "coverage" / "configs.csv")
    counts: Dict[str, Counter[str]] = defaultdict(Counter)
    for row in verdicts:
        counts[row["library"]][row["verdict"]] += 1
    shipped = Counter(row["library"] for row in configs)
    supervised = Counter(r["library"] for r in configs if r["kind"] == SUPERVISED)
    rows = [
        [NAMES.get(name, name), shipped[name], supervised[name]]
        + [counts[name][verdict] for verdict in VERDICTS]
        for name in sorted(shipped)
    ]
    total = [sum(int(str(row[at])) for row in rows) for at in range(1, 6)]
    columns = [
        "library",
        " shipped",
        " supervised",
        *(f" {v}" for v in VERDICTS),
    ]
    command, _, date = head[0].rpartition(", ")
    return [
        "",
        *table(columns, [*rows, ["all", *total]]),
        "",
        f"The sweep has reached {len(verdicts)} of {total[1]} configs of supervised "
        f"models (`{command}`, {date}).",
        "",
    ]


def page(library: str, verdicts: List[Row], configs: List[Row]) -> List[str]:
    """Return the page of a library."""
    counts = Counter(row["verdict"] for row in verdicts)
    other = [row for row in configs if row["kind"] != SUPERVISED]
    lines = [
        f"# {NAMES.get(library, library)}",
        "",
        f"{len(configs)} shipped configs, {len(configs) - len(other)} of them of "
        f"supervised models. The sweep has reached {len(verdicts)}: "
        + ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)
        + ".",
        "",
    ]
    repairs = Counter(
        repair
        for row in verdicts
        if row["verdict"] == "accepted" and row["repair"]
        for repair in row["repair"].replace("the loss gets ", "", 1).split("; ")
    )
    lines += section(
        "What the loss gets that the validation lacks",
        ["the loss gets", " configs"],
        [(text(name), count) for name, count in repairs.most_common()],
    )
    for title, rows in (
        ("Rejected, and the fix", [r for r in verdicts if r["verdict"] == "rejected"]),
        ("Not checked", [row for row in verdicts if row["verdict"] == "not checked"]),
        ("Not supervised", other),
    ):
        lines += [f"## {title}", "", *by_reason(rows), ""] if rows else []
    families: Dict[str, Counter[str]] = defaultdict(Counter)
    for row in verdicts:
        families[row["family"]][row["verdict"]] += 1
    return lines + section(
        "By family",
        ["family", *(f" {verdict}" for verdict in VERDICTS)],
        [
            (text(name), *(found[verdict] or "" for verdict in VERDICTS))
            for name, found in sorted(families.items())
        ],
    )


def section(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> List[str]:
    """Return a heading and a table, or nothing without rows."""
    return [f"## {title}", "", *table(columns, rows), ""] if rows else []


def by_reason(rows: Iterable[Row]) -> List[str]:
    """Return a list item for each reason of a family, with its number of configs."""
    found = Counter(
        (row["family"], shortened(row["reason"] or row["kind"])) for row in rows
    )
    return [
        f"- **{text(family)}** ({count}): {text(reason)}"
        for (family, reason), count in sorted(found.items())
    ]


def shortened(reason: str) -> str:
    """Return a reason without what would make a table unreadable."""
    return reason if len(reason) < 400 else reason[:400].rsplit(" ", 1)[0] + " ..."


def recording(results: Path) -> List[str]:
    """Return the tables of what recording costs, from the last benchmark."""
    measured = json.loads(results.read_text(encoding="utf-8"))
    where = ", ".join(f"{name} {value}" for name, value in measured["where"].items())
    verdicts = {None: "", True: "met", False: "MISSED"}
    rows = [
        [row[name] for name in ("what", "native", "here", "compared", "target")]
        + [verdicts[row["met"]]]
        for row in measured["targets"]
    ]
    columns = ["what", "mmengine " + measured["where"]["mmengine"], "with this package"]
    return [
        f"Measured with {where}.",
        "",
        *table([*columns, "compared", "target", ""], rows),
    ]
