"""Shipped datasets on made data: their records are replaced, and nothing else.

Datasets look for folders and files when they are built. All paths of the shipped
configs are relative to the working directory: a temporary one.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

from mmengine.registry import DATASETS

from downstream.oracle.model import dicts
from downstream.sweep.files import Files
from downstream.sweep.kinds import LIBRARIES


@contextlib.contextmanager
def records(scope: str, loaders: Any, files: Files) -> Iterator[None]:
    """Let the datasets of data loaders load made records.

    Args:
        scope (str): The package in which names of classes are looked up first.
        loaders: Configs of data loaders; of each dataset the class is patched for the
            length of the block.
        files (Files): What the records are of.
    """
    with contextlib.ExitStack() as stack:
        for config, cls in _datasets(loaders, scope).values():
            _paths(config)
            owner, table = _owner(cls)
            if owner is None:
                continue
            prepare = getattr(table, "prepare", None)
            if prepare is not None:
                prepare(config, cls, files)
            stack.enter_context(_replaced(cls, owner, table.DATASETS, files))
        yield


def classes(loaders: Any, scope: str) -> List[str]:
    """The names of the classes of all datasets in a config."""
    found: List[str] = []
    for config, cls in _datasets(loaders, scope).values():
        for meta in (config.get("metainfo"), getattr(cls, "METAINFO", None)):
            if isinstance(meta, dict):
                found += [n for n in meta.get("classes") or () if isinstance(n, str)]
    return found


def _owner(cls: Any) -> Tuple[Any, Any]:
    """The first base of a class that a table has, and the module of that table."""
    for base in cls.__mro__:
        library = base.__module__.split(".")[0]
        if library in LIBRARIES:
            name = f"downstream.sweep.records_{library}"
            if importlib.util.find_spec(name) is not None:
                module = importlib.import_module(name)
                if any(key.split(".")[0] == base.__name__ for key in module.DATASETS):
                    return base, module
    return None, None


def _datasets(loaders: Any, scope: str) -> Dict[int, Any]:
    """The configs and classes of all datasets that load records."""
    found = {}
    for inner in dicts(loaders):
        cls = inner.get("type")
        if isinstance(cls, str):
            with DATASETS.switch_scope_and_registry(scope) as registry:
                cls = registry.get(cls)
        if isinstance(cls, type) and hasattr(cls, "load_data_list"):
            found[id(inner)] = (inner, cls)
    return found


def _paths(config: Any) -> None:
    """Make the folders and the files, empty ones, that a dataset asks for."""
    root = Path(config.get("data_root") or "")
    prefixes = config.get("data_prefix") or {}
    if isinstance(prefixes, str):
        prefixes = {"": prefixes}
    for prefix in prefixes.values():
        if isinstance(prefix, str):
            (root / prefix).mkdir(parents=True, exist_ok=True)
    for name, value in config.items():
        if name.endswith("_file") and value and isinstance(value, str):
            for path in (Path(value), root / value):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()


@contextlib.contextmanager
def _replaced(cls: Any, owner: Any, table: Any, files: Files) -> Iterator[None]:
    """Replace methods of a base, and of what derives from it down to a class."""
    before = []
    for name, make in table.items():
        cls_name, _, method = name.partition(".")
        if cls_name == owner.__name__ and method:
            for base in cls.__mro__[: cls.__mro__.index(owner) + 1]:
                if method in vars(base):
                    before.append((base, method, vars(base)[method]))
                    setattr(base, method, _bound(make, files))
            if method not in vars(owner):
                before.append((owner, method, None))
                setattr(owner, method, _bound(make, files))
    try:
        yield
    finally:
        for base, method, own in reversed(before):
            if own is None:
                delattr(base, method)
            else:
                setattr(base, method, own)


def _bound(make: Any, files: Files) -> Any:
    return lambda dataset: make(dataset, files)
