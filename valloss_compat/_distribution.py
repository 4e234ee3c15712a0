"""The installed distributions that an imported mmengine comes from."""

from __future__ import annotations

import functools
import os
from types import ModuleType
from typing import List, NamedTuple, Optional

#: Every distribution with the import name ``mmengine``.
_NAMES = ("mmengine", "mmengine-lite", "mmengine-open", "onedl-mmengine")


class Distribution(NamedTuple):
    """Name (as on the package index) and version of an installed distribution."""

    name: str
    version: str


@functools.lru_cache(maxsize=1)  # reading metadata takes some 10 ms
def distributions_of(package: Optional[ModuleType]) -> List[Distribution]:
    """Find the distributions that installed an imported mmengine.

    Returns:
        list[Distribution]: More than one means that they overwrote each other;
        the first one has the version of the imported files. Empty if no metadata
        lies beside the package, and on Python 3.7.
    """
    try:
        from importlib.metadata import distributions
    except ImportError:  # Python 3.7
        return []
    file = getattr(package, "__file__", None)
    if file is None:
        return []
    site, folder = os.path.split(os.path.dirname(os.path.abspath(file)))
    found = [
        Distribution(name, distribution.version)
        for name in _NAMES
        for distribution in distributions(name=name, path=[site])
        # An editable install leaves metadata here, and its files elsewhere.
        if f"{folder}/__init__.py" in map(str, distribution.files or ())
    ]
    version = getattr(package, "__version__", None)
    return sorted(found, key=lambda one: one.version != version)
