"""The rows' environments: made by tox, held within a limit of disk, freed when done.

A row holds 2 to 8 GB, and uv's cache holds the same files once more under other names
(hard links). So each row gets a cache of its own, which goes when it goes; with a cache
that stays, torch comes from there the next time.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

import cell
from summary import first_error
from table import ROOT, Row, Table

#: What is kept free for a row in the making, in bytes: the largest took 7 GB.
ROOM = 8 * 10**9


class RowFailed(Exception):
    """An environment could not be made; the message is the first error line."""


class Built(NamedTuple):
    """An environment that is there."""

    python: str
    variables: Dict[str, str]
    paths: Dict[str, List[Path]]


class Rows:
    """Makes and frees the environments of rows.

    Args:
        table (Table): What each row runs.
        folder (Path): For logs and caches.
        limit (int): Most bytes that all rows may take at once.
        cache (Path, optional): A cache of uv that is kept, and not counted.

    Attributes:
        table (Table): As given.
        peak (int): Most bytes that all rows took at once so far.
    """

    def __init__(
        self, table: Table, folder: Path, limit: int, cache: Optional[Path] = None
    ) -> None:
        self.peak = 0
        self.table = table
        self._folder = folder
        self._limit = limit
        self._cache = cache
        self._sizes: Dict[str, int] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._making: Optional[subprocess.Popen[bytes]] = None

    def wheel(self) -> None:
        """Build the wheel that all rows install: one, so that none builds its own."""
        shutil.rmtree(str(self._folder / "wheel"), ignore_errors=True)
        options = ["--quiet", "--wheel", "--out-dir", str(self._folder / "wheel")]
        subprocess.run(["uv", "build", *options, str(ROOT)], check=True)

    def build(self, row: Row) -> Built:
        """Make a row's environment, once there is room for it.

        Raises:
            RowFailed: If tox or an install fails, or the disk is too small.
        """
        self._wait_for_room()
        log = self._folder / f"{row.name}.log"
        found = self._folder / f"{row.name}.json"
        variables = dict(os.environ)
        cache = self._cache or self._folder / "cache" / row.name
        variables["UV_CACHE_DIR"] = str(cache)
        (wheel,) = (self._folder / "wheel").glob("*.whl")
        command = ["tox", "run", "--installpkg", str(wheel), "-e", row.environment]
        command += ["--", "--save-environment", str(found)]
        with log.open("w") as file:
            # In a group of its own: an interrupt is for us to handle.
            self._making = subprocess.Popen(
                command,
                cwd=ROOT,
                env=variables,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
            code = self._making.wait()
        if code:
            self.free(row)
            raise RowFailed(first_error(log))
        inside = json.loads(found.read_text())
        python = str(self._place(row) / "bin" / "python")
        try:
            releases = self.table.releases_on(row)
            paths = {r.name: cell.folders(r, row, python) for r in releases}
        except subprocess.CalledProcessError as error:
            self.free(row)
            raise RowFailed(str(error)) from error
        used = self._note(row)
        if used > self._limit:
            self.free(row)
            raise RowFailed(f"the rows took {used / 1e9:.1f} GB, over the limit")
        return Built(python, inside, paths)

    def free(self, row: Row) -> None:
        """Delete what a row holds."""
        if row.name in self._sizes:  # its cells added bytecode
            self._note(row)
        shutil.rmtree(str(self._place(row)), ignore_errors=True)
        shutil.rmtree(str(self._folder / "cache" / row.name), ignore_errors=True)
        with self._changed:
            self._sizes.pop(row.name, None)
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody wait any longer, and stop what is being made."""
        if self._making is not None:
            cell.kill_group(self._making)
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wait_for_room(self) -> None:
        with self._changed:
            while not self._closed:
                used = sum(self._sizes.values())
                free = shutil.disk_usage(str(ROOT)).free
                if used + ROOM <= self._limit and free >= ROOM:
                    return
                if not self._sizes:
                    raise RowFailed(
                        f"no room for a row: {free / 1e9:.1f} GB are free and "
                        f"{self._limit / 1e9:.1f} GB allowed, {ROOM / 1e9:.1f} needed"
                    )
                self._changed.wait()
        raise RowFailed("interrupted")

    def _note(self, row: Row) -> int:
        """Measure what a row takes; return what all of them take."""
        places = [self._place(row), self._folder / "cache" / row.name]
        there = [str(place) for place in places if place.exists()]
        # One call, so that what both hold under two names counts once.
        lines = subprocess.check_output(["du", "-sk", *there], text=True).splitlines()
        with self._changed:
            self._sizes[row.name] = 1024 * sum(int(line.split()[0]) for line in lines)
            used = sum(self._sizes.values())
            self.peak = max(self.peak, used)
        return used

    def _place(self, row: Row) -> Path:
        return ROOT / ".tox" / row.environment
