"""The package's import graph: layers as in the design, no cycles, a bounded size."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Set

import pytest

pytestmark = pytest.mark.slow  # asks nothing of mmengine

PACKAGE = "valloss_compat"
FOLDER = Path(__file__).resolve().parent.parent / PACKAGE

#: Imports go to the left (here: upwards) only; within a layer they are free.
LAYERS = [
    ["_version", "_distribution", "_config", "errors", "options"],
    ["_recording"],
    ["_libraries"],
    ["_loss_forward"],
    ["hooks"],
    ["_patches"],
    ["_api"],
    ["_cli"],
    ["__init__", "__main__"],
]
ROOT_MODULES = {
    *("__init__.py", "__main__.py", "errors.py", "options.py"),
    *("_version.py", "_distribution.py", "_config.py", "_api.py"),
}
MOST_MODULES = 75


class Edge(NamedTuple):
    """A module names another one."""

    importer: str
    imported: str
    line: int
    #: False for a name in a string: it is loaded later, so it makes no cycle.
    statement: bool = True

    def __str__(self) -> str:
        how = "imports" if self.statement else "names"
        return f"{self.importer}:{self.line} {how} {self.imported}"


def edges(sources: Dict[str, str]) -> List[Edge]:
    """Return the edges between modules, by their names and sources.

    A package is the name of its `__init__.py`. Imports count wherever they stand: in
    functions and under `if TYPE_CHECKING` too. So do the strings `"MODULE:NAME"` and
    `import_module("MODULE")`. Imports of other packages do not.
    """
    packages = {name.rpartition(".")[0] for name in sources}
    found: Set[Edge] = set()
    for name, source in sources.items():
        package = name if name in packages else name.rpartition(".")[0]
        for node in ast.walk(ast.parse(source, name)):
            line = getattr(node, "lineno", 0)
            for module in _imported(node, package):
                imported = _known(module, sources)
                if imported is not None and imported != name:
                    found.add(Edge(name, imported, line))
            for module in _named(node):
                if module in sources:
                    found.add(Edge(name, module, line, statement=False))
    return sorted(found)


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    """Yield the dotted names that an import statement loads, if it is one."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parents = package.split(".")[: -(node.level - 1) or None]
            base = ".".join([*parents, base] if base else parents)
        yield from (f"{base}.{alias.name}" for alias in node.names)


def _named(node: ast.AST) -> Iterator[str]:
    """Yield the module that a string names to be imported later, if it is one."""
    text = _text(node)
    if text is not None and re.match(r"[\w.]+:\w+$", text):
        yield text.partition(":")[0]
    if isinstance(node, ast.Call) and node.args:
        function = getattr(node.func, "attr", getattr(node.func, "id", ""))
        module = _text(node.args[0])
        if function == "import_module" and module is not None:
            yield module


def _text(node: ast.AST) -> Optional[str]:
    """Return the value of a string literal: `Constant.value`; `Str.s` on Python 3.7."""
    value = getattr(node, "s" if sys.version_info < (3, 8) else "value", None)
    return value if isinstance(value, str) else None


def _known(module: str, sources: Dict[str, str]) -> Optional[str]:
    """Return the module itself, or the one that has it as an attribute."""
    if module in sources:
        return module
    parent = module.rpartition(".")[0]
    return parent if parent in sources else None


def layer(module: str) -> int:
    """Return the number of a module's layer.

    Raises:
        KeyError: If the design has no layer for it.
    """
    parts = module.split(".")
    top = parts[1] if parts[1:] else "__init__"
    return {name: n for n, names in enumerate(LAYERS) for name in names}[top]


#: ``run`` applies the patches as its script would: by importing the package.
BY_IMPORT = "valloss_compat._cli.run:"


def against_the_layers(found: List[Edge]) -> List[str]:
    """Return the edges that go to the right."""
    return [str(e) for e in found if layer(e.imported) > layer(e.importer)]


def cycles(found: List[Edge]) -> List[str]:
    """Return the import statements that lie on a cycle."""
    reached: Dict[str, Set[str]] = {}
    statements = [edge for edge in found if edge.statement]
    for edge in statements:
        reached.setdefault(edge.importer, set()).add(edge.imported)
    for middle in list(reached):  # Warshall's transitive closure
        for targets in reached.values():
            if middle in targets:
                targets |= reached[middle]
    return [str(e) for e in statements if e.importer in reached.get(e.imported, ())]


@pytest.fixture(scope="module")
def sources() -> Dict[str, str]:
    """Sources of the package, by the names of the modules."""
    read = {}
    for path in FOLDER.rglob("*.py"):
        parts = path.relative_to(FOLDER.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        read[name] = path.read_text(encoding="utf-8")
    return read


def test_imports_follow_the_layers(sources):
    found = against_the_layers(edges(sources))
    assert [edge for edge in found if not edge.startswith(BY_IMPORT)] == []


def test_modules_import_each_other_without_cycles(sources):
    found = cycles(edges(sources))
    assert not found, "\n".join(found)


def test_root_has_only_the_modules_of_the_design(sources):
    files = {path.name for path in FOLDER.iterdir() if path.is_file()}
    assert files == {*ROOT_MODULES, "py.typed"}


def test_package_has_a_bounded_number_of_modules(sources):
    assert len(sources) <= MOST_MODULES, sorted(sources)


@pytest.mark.parametrize(
    "statement",
    [
        "import valloss_compat._api",
        "import valloss_compat._api as api",
        "from valloss_compat import _api",
        "from valloss_compat._api import status",
        "from .. import _api",
        "from .._api import status",
        "def f():\n    from valloss_compat import _api",
        "if TYPE_CHECKING:\n    import valloss_compat._api",
        "import_module('valloss_compat._api')",
        "importlib.import_module('valloss_compat._api')",
        "TABLE = {'a': ('valloss_compat._api:status', 1)}",
    ],
)
def test_import_to_the_right_is_found(statement):
    sources = {
        "valloss_compat": "",
        "valloss_compat._api": "",
        "valloss_compat._recording": "",
        "valloss_compat._recording.epoch": statement,
    }
    (edge,) = edges(sources)
    assert edge[:2] == ("valloss_compat._recording.epoch", "valloss_compat._api")
    (found,) = against_the_layers([edge])
    line = 2 if "\n" in statement else 1
    assert found.startswith(f"valloss_compat._recording.epoch:{line} ")
    assert found.endswith(" valloss_compat._api")


@pytest.mark.parametrize(
    "statement",
    [
        "from valloss_compat import errors",
        "from ..errors import Error",
        "from . import recorder",
        "import mmengine.runner, valloss_compat._recording.recorder",
        "'''valloss_compat._api, or valloss_compat._api:status'''",
        "getattr(x, 'valloss_compat._api')",
    ],
)
def test_import_to_the_left_or_within_a_layer_is_accepted(statement):
    sources = {
        "valloss_compat": "",
        "valloss_compat._api": "",
        "valloss_compat.errors": "",
        "valloss_compat._recording": "",
        "valloss_compat._recording.epoch": statement,
        "valloss_compat._recording.recorder": "",
    }
    assert against_the_layers(edges(sources)) == []


def test_import_of_the_root_package_is_to_the_right():
    sources = {
        "valloss_compat": "",
        "valloss_compat._cli": "",
        "valloss_compat._cli.run": "from valloss_compat import status",
        "valloss_compat.__main__": "from valloss_compat import _cli, status",
    }
    expected = ["valloss_compat._cli.run:1 imports valloss_compat"]
    assert against_the_layers(edges(sources)) == expected


def test_relative_import_of_a_package_starts_at_the_package():
    sources = {
        "valloss_compat": "",
        "valloss_compat._cli": "from .run import main\nfrom . import plot",
        "valloss_compat._cli.run": "from .plot import draw",
        "valloss_compat._cli.plot": "",
    }
    assert [(e.importer[16:], e.imported[16:]) for e in edges(sources)] == [
        ("cli", "cli.plot"),
        ("cli", "cli.run"),
        ("cli.run", "cli.plot"),
    ]


def test_module_without_a_layer_is_an_error():
    with pytest.raises(KeyError, match="other"):
        layer("valloss_compat.other")


def test_cycle_is_found_with_all_its_imports():
    sources = {
        "a": "import b",
        "b": "def f():\n    import c",
        "c": "from a import x\nimport d",
        "d": "TABLE = ['a:x']",
    }
    expected = ["a:1 imports b", "b:2 imports c", "c:1 imports a"]
    assert cycles(edges(sources)) == expected


def test_modules_that_name_each_other_once_make_no_cycle():
    sources = {"a": "import b\nimport c", "b": "import c", "c": ""}
    assert cycles(edges(sources)) == []
