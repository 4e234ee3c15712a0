"""Every code block of README.md and docs/ has a name and a test."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest
from support import blocks

pytestmark = pytest.mark.slow  # asks nothing of mmengine

TESTS = Path(__file__).resolve().parent.parent
PAGE = """
```python one
a
  ```{toctree}
  b
  ```

1. ```bash
   c
   ```

  ```bash two
  d
    e
  ```
```text
f
```
"""


def functions_with_a_block():
    """Return the names of all test functions with a parameter `block`."""
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield from (node.name for a in node.args.args if a.arg == "block")


def test_every_block_has_its_own_name():
    names = Counter(block.name for block in blocks.all_blocks())
    assert {name: count for name, count in names.items() if count > 1 or not name} == {}


def test_every_block_has_a_test():
    tested = {blocks.block_of(name).name for name in functions_with_a_block()}
    assert {block.name for block in blocks.all_blocks()} == tested


def test_blocks_are_read_without_their_indentation_and_without_directives():
    found = blocks.in_text("```python one\na\n```\n" + PAGE.split("a\n", 1)[1], TESTS)
    assert [tuple(block[1:]) for block in found] == [
        ("python", "one", "a\n"),
        ("bash", "two", "d\n  e\n"),
    ]


def test_block_is_that_with_the_longest_name_in_the_test():
    name = blocks.block_of("test_stop_early_in_config_stops").name
    assert name == "stop_early_in_config"
    assert blocks.block_of("test_stop_early").name == "stop_early"
    with pytest.raises(LookupError, match="test_other names none of the blocks"):
        blocks.block_of("test_other")
