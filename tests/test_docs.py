"""docs/architecture.md agrees with the package."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Set

from valloss_compat._patches.plan import PATCH_POINTS, PLANS

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FIRST = "<!-- >>> patches, from valloss_compat/_patches/plan.py -->\n"
LAST = "<!-- <<< patches -->"


def table_of_patches() -> str:
    """The table between the markers, from the one in the package."""
    lines = [
        "| in mmengine | wrapper | what the wrapper does | plans | subclasses too |",
        "|---|---|---|---|---|",
    ]
    for point in PATCH_POINTS:
        module, _, function = point.wrapper.partition(":")
        wrapper = f"`{function}` in `{module.replace('.', '/')}.py`"
        target = point.target[len("mmengine.") :].replace(":", ".")
        does, subclasses = point.purpose, ", ".join(point.subclasses)
        if point.default:
            does += "; added where mmengine has none"
        if point.only:
            subclasses += f", if `{point.only.partition(':')[2]}`"
        cells = (
            f"`{target}.{point.attribute}`",
            wrapper,
            does,
            ", ".join(point.plans),
            subclasses,
        )
        lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |"))
    return "\n".join(["", *lines, "", ""])


def paths_in(text: str) -> Set[str]:
    """Files and folders that a text names; folders end with a slash."""
    path = r"(?<![\w/.<])[\w.][\w./]*(?:/|\.(?:py|toml|md))(?!\w)"
    return set(re.findall(path, text))


def test_table_of_patches_is_that_of_the_package() -> None:
    """A difference shows the table to put between the markers."""
    shown = PAGE.split(FIRST)[1].split(LAST)[0]
    assert shown == table_of_patches()


def test_every_plan_is_explained() -> None:
    for plan in PLANS:
        assert f"*{plan}*" in PAGE


def test_named_files_exist() -> None:
    """Relative to the package, the repository or the page."""
    folders = (ROOT / "valloss_compat", ROOT, ROOT / "docs")
    named = paths_in(PAGE)
    assert {path for path in named if path.startswith("_patches/")}
    assert [p for p in named if not any((f / p).exists() for f in folders)] == []


def test_paths_are_found_with_and_without_quotes() -> None:
    text = "`a/b.py`, c.py; `.ci/d.toml` or `e/`, [f](../g.md) and/or x"
    assert paths_in(text) == {"a/b.py", "c.py", ".ci/d.toml", "e/", "../g.md"}
