"""Print all messages of the package in a row, to read them with fresh eyes.

    all_messages.py          print PATH:LINE: TEXT for each message and help text
    all_messages.py WORD ...    those that contain one of these words

A message is a string that is no docstring and has a space; what an f-string inserts is
shown as the code in braces.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Iterator, List, Tuple

ROOT = Path(__file__).resolve().parent.parent


def messages(source: str) -> Iterator[Tuple[int, str]]:
    """Yield line and text of each message in a module."""
    tree = ast.parse(source)
    ignored = set()  # docstrings, and the parts of f-strings
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            ignored.add(node.value)
        if isinstance(node, ast.JoinedStr):
            ignored.update(part for part in ast.walk(node) if part is not node)
    for node in ast.walk(tree):
        if node in ignored or not isinstance(node, (ast.JoinedStr, ast.Constant)):
            continue
        text = _text(node)
        if " " in text.strip():
            yield node.lineno, " ".join(text.split())


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text, node.values))
    if isinstance(node, ast.FormattedValue):
        return f"{{{ast.unparse(node.value)}}}"
    value = getattr(node, "value", "")
    return value if isinstance(value, str) else ""


def main(words: List[str]) -> None:
    """Print the messages of the package that contain one of the words, or all."""
    for path in sorted((ROOT / "valloss_compat").rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        for line, text in sorted(messages(source)):
            if not words or any(word in text for word in words):
                print(f"{path.relative_to(ROOT)}:{line}: {text}")


if __name__ == "__main__":
    main(sys.argv[1:])
