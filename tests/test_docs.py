"""docs/architecture.md and CONTRIBUTING.md agree with the package."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Set

import pytest

from valloss_compat._patches.plan import PLANS

pytestmark = pytest.mark.slow  # asks nothing of mmengine

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("docs/architecture.md", "docs/data-path.svg", "CONTRIBUTING.md")
TEXTS = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}


def paths_in(text: str) -> Set[str]:
    """Files and folders that a text names; folders end with a slash."""
    path = r"(?<![\w/.<-])[\w.][\w./-]*(?:/|\.(?:py|toml|md))(?!\w)"
    return set(re.findall(path, text))


def test_every_plan_is_explained() -> None:
    for plan in PLANS:
        assert f"*{plan}*" in TEXTS["docs/architecture.md"]


@pytest.mark.parametrize("page", PAGES)
def test_named_files_exist(page: str) -> None:
    """Relative to the package, the repository or the page."""
    folders = (ROOT / "valloss_compat", ROOT, ROOT / "docs")
    named = paths_in(TEXTS[page])
    assert {path for path in named if path.startswith("_patches/")}
    assert [p for p in named if not any((f / p).exists() for f in folders)] == []


def test_paths_are_found_with_and_without_quotes() -> None:
    text = "`a/b.py`, c.py; `.ci/d.toml` or `e/`, [f](../g.md) and/or x"
    assert paths_in(text) == {"a/b.py", "c.py", ".ci/d.toml", "e/", "../g.md"}


def test_pictures_are_drawn_for_light_and_dark() -> None:
    """docs/conf.py shows the second on a dark page."""
    shown = {
        page.parent / name
        for page in (ROOT / "docs").glob("*.md")
        for name in re.findall(r"!\[.*?\]\((.+?\.png)\)", page.read_text("utf-8"))
    }
    assert len(shown) > 2
    dark = [path.with_name(f"{path.stem}-dark.png") for path in shown]
    assert [path for path in dark if not path.exists()] == []
