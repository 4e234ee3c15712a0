"""The package's metadata, and the commands and tables of CI."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # asks nothing of mmengine

if sys.version_info >= (3, 8):
    from importlib import metadata

ROOT = Path(__file__).resolve().parent.parent
CELL = os.environ.get("VALLOSS_COMPAT_CELL", "")

installed = pytest.mark.skipif(
    not CELL or sys.version_info < (3, 8),
    reason=(
        "not in a tox cell: no wheel to look at"
        if not CELL
        else "Python 3.7 has no importlib.metadata"
    ),
)


@installed
def test_version_is_that_of_the_distribution():
    """`valloss_compat.__version__` and the installed distribution agree."""
    import valloss_compat

    assert metadata.version("valloss_compat") == valloss_compat.__version__


@installed
def test_packaging_is_the_only_requirement():
    """Neither torch nor mmengine is required: a pinned environment does not change."""
    requirements = metadata.requires("valloss_compat") or []
    assert [r for r in requirements if "extra ==" not in r] == ["packaging"]


@installed
def test_wheel_is_typed_and_licensed():
    """py.typed and the licence are in the wheel."""
    files = metadata.files("valloss_compat") or []
    names = {file.name for file in files}
    assert {"py.typed", "LICENSE"} <= names


@installed
def test_wheel_has_every_module_of_the_tree():
    """The wheel has all files of the package and no others."""
    files = metadata.files("valloss_compat") or []
    shipped = {str(f) for f in files if f.parts[0] == "valloss_compat"}
    shipped = {name for name in shipped if "__pycache__" not in name}
    tree = (ROOT / "valloss_compat").rglob("*")
    expected = {p for p in tree if p.is_file() and "__pycache__" not in p.parts}
    assert shipped == {p.relative_to(ROOT).as_posix() for p in expected}


def test_package_has_only_python37_syntax():
    """Every module parses as Python 3.7, on any Python that runs the tests."""
    for path in (ROOT / "valloss_compat").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        if sys.version_info >= (3, 8):
            ast.parse(source, str(path), feature_version=(3, 7))
        else:
            ast.parse(source, str(path))


def test_tox_and_readme_follow_the_table_of_releases():
    """The generated blocks are those of the current .ci/releases.toml."""
    check = [sys.executable, str(ROOT / ".ci" / "blocks.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
