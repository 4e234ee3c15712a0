"""A tox cell tests the versions in its name, and the installed wheel."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CELL = os.environ.get("VALLOSS_COMPAT_CELL", "")

in_cell = pytest.mark.skipif(
    not CELL, reason="not in a tox cell: nothing to compare with"
)


def factor(pattern: str) -> str | None:
    """Return what the group of a pattern matches in the cell's name, if anything."""
    found = re.search(pattern, CELL)
    return found and found.group(1)


@in_cell
def test_python_is_the_one_in_the_name_of_the_cell():
    """py38 runs Python 3.8; a bare `py` promises none."""
    wanted = factor(r"\bpy3(\d+)\b")
    if wanted:
        assert sys.version_info[:2] == (3, int(wanted))


@in_cell
def test_torch_is_the_one_in_the_name_of_the_cell():
    """torch1.8 imports torch 1.8.x; a bare `torch` promises none."""
    import torch

    wanted = factor(r"\btorch([\d.]+)")
    if wanted:
        assert torch.__version__.split(".")[:2] == wanted.split(".")


@in_cell
def test_mmengine_is_the_one_in_the_name_of_the_cell():
    """The imported release is the one that the cell names."""
    import mmengine

    wanted = factor(r"(?:mmengine|lite|open|onedl)([\d.]+)$")
    assert wanted, f"the cell {CELL!r} names no release"
    assert mmengine.__version__ == wanted


@in_cell
def test_package_comes_from_the_wheel():
    """The tests import the installed package, not the source tree."""
    spec = importlib.util.find_spec("valloss_compat")
    assert spec is not None
    assert spec.origin is not None
    assert "site-packages" in Path(spec.origin).parts
