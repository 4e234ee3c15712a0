"""Which distribution the files of an imported package come from.

mmengine also comes as mmengine-lite, mmengine-open and onedl-mmengine, all with
the import name ``mmengine``. The metadata beside the package tells, read from
its files: ``importlib.metadata`` is not there on Python 3.7, and finds by the
distribution's name, which is what is asked for here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
from types import ModuleType
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple
from urllib.parse import unquote, urlparse

#: Files that differ between releases, to see whose they are.
_PROBES = ("__init__.py", "version.py", "runner/loops.py")


class Distribution(NamedTuple):
    """An installed distribution.

    Attributes:
        name (str): As in its metadata, ``'mmengine-lite'``.
        version (str): As in its metadata.
    """

    name: str
    version: str


def distributions_of(package: Optional[ModuleType]) -> List[Distribution]:
    """Find the distributions whose files provide an imported package.

    Args:
        package (module, optional): The package.

    Returns:
        list[Distribution]: First the one whose files lie there. More than one
        means that they overwrote each other; none, that no metadata is found.
    """
    file = getattr(package, "__file__", None)
    if package is None or file is None:
        return []
    folder = os.path.dirname(os.path.abspath(file))
    found = []
    for metadata in _metadata_beside(folder, package.__name__):
        right = _right_files(metadata, folder)
        if right is not None:
            found.append((right, os.path.getmtime(metadata), metadata))
    # Of two with the same files, the last one installed is who overwrote.
    paths = [path for _, _, path in sorted(found, reverse=True)]
    paths = paths or list(_editable(folder))
    return [known for known in map(_identity, paths) if known is not None]


def _metadata_beside(folder: str, name: str) -> Iterator[str]:
    site = os.path.dirname(folder)
    for entry in sorted(_entries(site)):
        if name in entry.lower() and entry.endswith((".dist-info", ".egg-info")):
            yield os.path.join(site, entry)


def _right_files(metadata: str, folder: str) -> Optional[int]:
    """How many probed files are as recorded; None if the package is not recorded."""
    record = _read(os.path.join(metadata, "RECORD"))
    if not record:  # an .egg-info has none
        return 0 if metadata.endswith(".egg-info") else None
    package = os.path.basename(folder)
    recorded = dict(_hashes(record))
    if f"{package}/__init__.py" not in recorded:
        return None
    return sum(
        recorded.get(f"{package}/{probe}") == _hash(os.path.join(folder, probe))
        for probe in _PROBES
    )


def _hashes(record: str) -> Iterator[Tuple[str, str]]:
    for line in record.splitlines():
        path, _, rest = line.partition(",")
        yield path, rest.partition(",")[0]


def _hash(path: str) -> Optional[str]:
    try:
        with open(path, "rb") as file:
            digest = hashlib.sha256(file.read()).digest()
    except OSError:
        return None
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _editable(folder: str) -> Iterator[str]:
    """Metadata of editable installs (PEP 610) whose source holds the package."""
    for site in sys.path:
        for entry in _entries(site):
            if not entry.endswith(".dist-info"):
                continue
            text = _read(os.path.join(site, entry, "direct_url.json"))
            source = _source(text) if text else None
            if source and folder.startswith(source.rstrip(os.sep) + os.sep):
                yield os.path.join(site, entry)


def _source(text: str) -> Optional[str]:
    known = json.loads(text)
    if not known.get("dir_info", {}).get("editable"):
        return None
    return os.path.abspath(unquote(urlparse(known.get("url", "")).path))


def _identity(metadata: str) -> Optional[Distribution]:
    for name in ("METADATA", "PKG-INFO"):
        fields: Dict[str, str] = {}
        for line in _read(os.path.join(metadata, name)).splitlines():
            if not line:
                break  # what follows is the description
            key, _, value = line.partition(": ")
            fields.setdefault(key, value)
        if "Name" in fields:
            return Distribution(fields["Name"], fields.get("Version", ""))
    return None


def _entries(folder: str) -> List[str]:
    try:
        return os.listdir(folder)
    except OSError:  # a zip file, or nothing
        return []


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
