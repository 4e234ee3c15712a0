"""Write the parts of tox.ini and docs/ that follow from tables.

    blocks.py            rewrite them
    blocks.py --check    print which ones differ, and fail if one does

They are between lines that hold `>>> NAME, from TABLE` and `<<< NAME`.
"""

from __future__ import annotations

import difflib
import re
import runpy
import sys
from typing import Callable, Dict, Iterable, List, Tuple

from table import CORE_LIBRARIES, ROOT, Row, Table

BARE = "torch,coverage,demo,benchmark,downstream"


def labels(table: Table) -> List[str]:
    """The environments of the labels `core` and `matrix`."""
    core = [f"{row.name}-core" for row in table.rows if row.core]
    return [
        # The longest first, so that none is left over at the end.
        *label("core", [*CORE_LIBRARIES, *core]),
        *label("matrix", [row.environment for row in table.rows]),
    ]


def label(name: str, environments: List[str]) -> List[str]:
    """A label of tox, with an environment a line."""
    lines = [f"    {environment}" for environment in environments]
    return [f"{name} = \\", *(f"{line}, \\" for line in lines[:-1]), lines[-1]]


def torches(table: Table) -> List[str]:
    """The pins of torch and numpy, by factor."""
    rows = {row.torch_minor: row for row in table.rows}
    lines = aligned(
        (f"torch{minor}", f"torch=={row.torch}") for minor, row in rows.items()
    )
    old = ",".join(minor for minor, row in rows.items() if row.numpy == "<2")
    bare = [row for row in table.rows if row.bare]
    lines += ["# Bare `torch`: the one that goes with the running Python."]
    lines += [f"{BARE}: torch=={row.torch}; {where(row, bare)}" for row in bare]
    lines += [
        "# torch before 2.3 was compiled for numpy 1.",
        f"torch{{{old}}}: numpy<2",
    ]
    last = max((row for row in bare if row.numpy == "<2"), key=python_of)
    lines += [f'{BARE}: numpy<2; python_version <= "{last.python}"']
    return lines


def python_of(row: Row) -> Tuple[int, ...]:
    """3.10 comes after 3.9."""
    return tuple(map(int, row.python.split(".")))


def where(row: Row, bare: List[Row]) -> str:
    """The environment marker of a bare torch; the first and last are open-ended."""
    ordered = sorted(bare, key=python_of)
    sign = {row is ordered[0]: "<=", row is ordered[-1]: ">="}.get(True, "==")
    return f'python_version {sign} "{row.python}"'


def needing_torchvision(table: Table) -> List[str]:
    """The releases that import torchvision."""
    names = ",".join(r.version for r in table.releases if r.needs_torchvision)
    return [f"mmengine{{{names}}}: torchvision"]


def releases(table: Table) -> List[str]:
    """The pin of each release, by factor."""
    return aligned((release.name, release.requirement) for release in table.releases)


def aligned(pairs: Iterable[Tuple[str, str]]) -> List[str]:
    """`NAME: PIN`, the pins in one column."""
    pairs = list(pairs)
    width = max(len(name) for name, _ in pairs) + 1
    return [f"{name + ':':{width}} {pin}" for name, pin in pairs]


def rows(table: Table) -> List[str]:
    """The table of releases by Python and torch."""
    alike: Dict[Tuple[str, ...], List[str]] = {}
    for row in table.rows:
        alike.setdefault(row.runs, []).append(f"{row.python} with {row.torch}")
    lines = ["| releases | Python with torch |", "|---|---|"]
    for runs in sorted(alike):
        what = ", ".join(described(table, factor) for factor in runs)
        lines += [f"| {what} | {', '.join(alike[runs])} |"]
    return [
        "",
        *lines,
        "",
        f"{len(table.cells())} cells in {len(table.rows)} rows.",
        "",
    ]


def described(table: Table, runs: str) -> str:
    """The releases that a row runs, in words."""
    if runs == "edge":
        return f"mmengine {', '.join(release.version for release in table.edge)}"
    these = table.of("mmengine" if runs == "all" else runs)
    return f"{these[0].pypi} {these[0].version}" + (
        f" to {these[-1].version} ({len(these)})" if these[1:] else ""
    )


def patches(table: Table) -> List[str]:
    """Return the table of patches; it follows from `_patches/plan.py` alone."""
    path = ROOT / "valloss_compat" / "_patches" / "plan.py"
    plan = runpy.run_path(str(path))  # the package itself would import mmengine
    lines = [
        "",
        "| in mmengine | in `_patches/` | what the wrapper does | plans | subclasses |",
        "|---|---|---|---|---|",
    ]
    for point in plan["PATCH_POINTS"]:
        module, _, function = point.wrapper.partition(":")
        target = point.target[len("mmengine.") :].replace(":", ".")
        cells = (
            f"`{target}.{point.attribute}`",
            f"`{module.rpartition('.')[2]}.{function}`",
            point.purpose + "; added where mmengine has none" * bool(point.default),
            ", ".join(point.plans),
            ", ".join(point.subclasses)
            + (f", if `{point.only.partition(':')[2]}`" if point.only else ""),
        )
        lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |"))
    return [*lines, ""]


def overview(table: Table) -> List[str]:
    """Return how many configs of each library ValLossHook accepts."""
    generated = runpy.run_path(str(ROOT / "docs" / "generated.py"))
    lines: List[str] = generated["overview"](ROOT / "docs")
    return lines


#: File -> block -> its lines.
BLOCKS: Dict[str, Dict[str, Callable[[Table], List[str]]]] = {
    "tox.ini": {
        "rows": labels,
        "torch": torches,
        "torchvision": needing_torchvision,
        "releases": releases,
    },
    "docs/compatibility.md": {"rows": rows},
    "docs/architecture.md": {"patches": patches},
    "docs/libraries.md": {"overview": overview},
}


def written(text: str, name: str, lines: List[str]) -> str:
    """Return a file's text with one block rewritten, indented as its first marker.

    Raises:
        ValueError: If the file has no such block, or more than one.
    """
    block = re.compile(
        rf"^( *)(\S+ >>> {name}, from [^\n]*\n).*?^( *\S+ <<< {name}\b)", re.M | re.S
    )

    def fill(found: re.Match[str]) -> str:
        indent, first, last = found.groups()
        body = "".join(f"{indent}{line}".rstrip() + "\n" for line in lines)
        return f"{indent}{first}{body}{last}"

    text, count = block.subn(fill, text)
    if count != 1:
        raise ValueError(f"{count} blocks named {name!r}, expected one")
    return text


def changes() -> Dict[str, Tuple[str, str]]:
    """Return the current and the expected text of each file with blocks."""
    table = Table()
    texts = {}
    for file, blocks in BLOCKS.items():
        now = text = (ROOT / file).read_text(encoding="utf-8")
        for name, lines in blocks.items():
            text = written(text, name, lines(table))
        texts[file] = (now, text)
    return texts


def main() -> int:
    """Write the blocks, or check them."""
    check = sys.argv[1:] == ["--check"]
    stale = 0
    for file, (now, text) in changes().items():
        if now == text:
            continue
        stale += 1
        if check:
            lines = now.splitlines(), text.splitlines()
            print(
                *difflib.unified_diff(*lines, file, "the table", lineterm=""), sep="\n"
            )
        else:
            (ROOT / file).write_text(text, encoding="utf-8")
            print(f"{file}: written")
    if check and stale:
        print("these differ from their tables: run `python .ci/blocks.py`")
    return int(check and stale > 0)


if __name__ == "__main__":
    sys.exit(main())
