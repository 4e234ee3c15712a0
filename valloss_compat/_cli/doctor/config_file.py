"""Read a config file without building or importing the classes that it names."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Mapping
from typing import Any, Dict, List, Tuple

from mmengine.config import Config
from mmengine.fileio import load as load_file

from valloss_compat.errors import CommandError

_SUFFIXES = (".py", ".json", ".yaml", ".yml")


def load(name: str) -> Dict[str, Any]:
    """Read a config file and its bases, by a path or ``'PACKAGE::PATH'``.

    Classes, as in the new config style, become strings: ``'package.module.Class'``.

    Raises:
        CommandError: If the file cannot be read.
    """
    package, in_package, inner = name.partition("::")
    if not in_package and not os.path.isfile(name):
        raise CommandError(
            f"there is no config file {name!r}. Fix: name a .py, .json or .yaml "
            "file, or 'PACKAGE::PATH' for a config of a package"
        )
    if not in_package and not name.endswith(_SUFFIXES):
        raise CommandError(
            f"{name!r} is no config: a name that ends in {', '.join(_SUFFIXES)} is "
            "expected"
        )
    failure = ""
    try:
        with tempfile.TemporaryDirectory(prefix="valloss_compat-") as folder:
            path = name
            if in_package:  # which mmengine resolves in `_base_` only
                path = os.path.join(folder, "config.py")
                with open(path, "w", encoding="utf-8") as file:
                    file.write(f"_base_ = [{name!r}]\n")
            config = Config.fromfile(path, import_custom_modules=False)
    except (Exception, SystemExit) as error:
        failure = f"{type(error).__name__}: {error}".rstrip(".")
    # Not raised within `except`: the error of mmengine would be kept as the context,
    # and with it the files that mmengine left open.
    if failure:
        missing = _describe_missing_file(package, inner) if in_package else ""
        if missing:
            raise CommandError(f"there is no config {name!r}: {missing}")
        if not in_package and not name.endswith(".py"):
            failure = _describe_wrong_content(name) or failure
        raise CommandError(
            f"the config {name!r} cannot be read: {failure}. Expected: Python code "
            "that runs here, and bases that exist, by their path where this mmengine "
            "does not know the package of 'PACKAGE::PATH'"
        )
    to_dict = getattr(config, "to_dict", None) or config._cfg_dict.to_dict
    return dict(_to_plain(to_dict()))


def _describe_missing_file(package: str, path: str) -> str:
    """Describe why a config of a package is not found; empty if it exists."""
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None:
        return f"there is no package {package!r} here. Fix: install it"
    place = os.path.join(".mim", "configs")
    folders = spec.submodule_search_locations or ()
    files = [os.path.join(folder, place, path) for folder in folders]
    if any(os.path.isfile(file + suffix) for file in files for suffix in ("", ".py")):
        return ""
    return (
        f"the package {package!r} has no file {path!r} in its {place}. Fix: name the "
        "path from there, as in 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'"
    )


def _describe_wrong_content(name: str) -> str:
    """Describe the content of a JSON or YAML file that is no mapping, else empty."""
    try:
        contents = load_file(name)
    except Exception:  # a syntax error, which the error of mmengine describes
        return ""
    if isinstance(contents, Mapping):
        return ""
    what = "nothing" if contents is None else f"a {type(contents).__name__}"
    return f"it holds {what}, but a mapping is expected"


def import_custom_modules(config: Mapping[str, Any]) -> List[Tuple[str, str]]:
    """Import ``custom_imports`` as a Runner does; return name and error of failures."""
    failed = []
    for name in custom_imports(config):
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as error:
            failed.append((name, f"{type(error).__name__}: {error}"))
    return failed


def custom_imports(config: Mapping[str, Any]) -> List[str]:
    """Return the module names in ``custom_imports``."""
    entry = config.get("custom_imports")
    names = entry.get("imports") if isinstance(entry, Mapping) else entry
    if isinstance(names, str):
        return [names]
    return [str(name) for name in names] if isinstance(names, (list, tuple)) else []


def _to_plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        kind = list if isinstance(value, list) else tuple
        return kind(_to_plain(item) for item in value)
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    return value
