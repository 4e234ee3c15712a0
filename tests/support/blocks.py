"""The code blocks of README.md and docs/, each with a name in its fence.

A fence begins with ```` ```LANGUAGE NAME ````. The test of a block is a function
`test_NAME...` with a parameter `block`. Directives of MyST and `text` are no code.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, List, NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]

_FENCE = re.compile(r"^( *)```([^\n{]+)\n(.*?)^\1```$", re.M | re.S)


class Block(NamedTuple):
    """A code block."""

    page: Path
    language: str
    name: str
    text: str


def in_text(text: str, page: Path) -> List[Block]:
    """Return the blocks of a page; the name of an unnamed one is empty."""
    found = []
    for indent, info, body in _FENCE.findall(text):
        language, _, name = info.partition(" ")
        lines = [line[len(indent) :] for line in body.splitlines(keepends=True)]
        found.append(Block(page, language, name, "".join(lines)))
    return [block for block in found if block.language != "text"]


def all_blocks() -> List[Block]:
    """Return the blocks of all pages."""
    return [block for page in PAGES for block in in_text(page.read_text("utf-8"), page)]


def block_of(test: str) -> Block:
    """Return the block that a test function names: the longest name wins.

    Raises:
        LookupError: If the function names none.
    """
    named: Dict[str, Block] = {block.name: block for block in all_blocks()}
    fitting = [n for n in named if n and f"{test}_".startswith(f"test_{n}_")]
    if not fitting:
        raise LookupError(f"{test} names none of the blocks {', '.join(sorted(named))}")
    return named[max(fitting, key=len)]
