"""The rows' environments: made by tox within a disk limit, deleted when done.

A row takes 2 to 8 GB, and uv's cache has the same files under other names (hard links).
So each row gets its own cache, which is deleted with it. With a permanent cache
(--cache) torch is not downloaded again.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence

import cell
from summary import first_error
from table import ROOT, Row, Table

#: Bytes that are kept free for a new row: the largest took 7 GB.
ROW_BYTES = 8 * 10**9


class RowFailed(Exception):
    """An environment could not be made; the message is the first error line."""


class Built(NamedTuple):
    """An environment that is ready."""

    python: str
    variables: Dict[str, str]
    paths: Dict[str, List[Path]]


class Rows:
    """Makes and frees the environments of rows.

    Args:
        table (Table): The table of releases.
        folder (Path): For logs and caches.
        limit (int): Most bytes that all rows may take at once.
        cache (Path, optional): A permanent cache of uv, which does not count.

    Attributes:
        table (Table): The table of releases.
        peak (int): Most bytes that all rows took at once.
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
        """Build the one wheel that all rows install."""
        shutil.rmtree(str(self._folder / "wheel"), ignore_errors=True)
        options = ["--quiet", "--wheel", "--out-dir", str(self._folder / "wheel")]
        subprocess.run(["uv", "build", *options, str(ROOT)], check=True)

    def adopt(self, wanted: Sequence[Row]) -> List[Row]:
        """Count the environments that an interrupted run left; return their rows.

        Those that are not wanted any more are deleted.
        """
        found = [row for row in self.table.rows if self._place(row).exists()]
        for row in found:
            if row in wanted:
                self._note(row)
            else:
                self.free(row)
        return [row for row in found if row in wanted]

    def build(self, row: Row) -> Built:
        """Make a row's environment, once there is disk space for it.

        One that was adopted has its space already; tox makes what it lacks.

        Raises:
            RowFailed: If tox or an install fails, or the disk is too small.
        """
        if row.name not in self._sizes:
            self._wait_for_space()
        log = self._folder / f"{row.name}.log"
        found = self._folder / f"{row.name}.json"
        variables = dict(os.environ)
        cache = self._cache or self._folder / "cache" / row.name
        variables["UV_CACHE_DIR"] = str(cache)
        (wheel,) = (self._folder / "wheel").glob("*.whl")
        command = ["tox", "run", "--installpkg", str(wheel), "-e", row.environment]
        command += ["--", "--save-environment", str(found)]
        with log.open("w") as file:
            # In its own process group, so that an interrupt does not reach it.
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
        """Delete the environment and cache of a row."""
        if row.name in self._sizes:  # its cells added bytecode
            self._note(row)
        shutil.rmtree(str(self._place(row)), ignore_errors=True)
        shutil.rmtree(str(self._folder / "cache" / row.name), ignore_errors=True)
        with self._changed:
            self._sizes.pop(row.name, None)
            self._changed.notify_all()

    def close(self) -> None:
        """End all waiting, and stop the environment that is being made."""
        if self._making is not None:
            cell.kill_group(self._making)
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wait_for_space(self) -> None:
        with self._changed:
            while not self._closed:
                used = sum(self._sizes.values())
                free = shutil.disk_usage(str(ROOT)).free
                if used + ROW_BYTES <= self._limit and free >= ROW_BYTES:
                    return
                if not self._sizes:
                    raise RowFailed(
                        f"no room for a row: {free / 1e9:.1f} GB are free and "
                        f"{self._limit / 1e9:.1f} GB allowed, "
                        f"{ROW_BYTES / 1e9:.1f} needed"
                    )
                self._changed.wait()
        raise RowFailed("interrupted")

    def _note(self, row: Row) -> int:
        """Measure the size of a row; return the size of all rows."""
        places = [self._place(row), self._folder / "cache" / row.name]
        there = [str(place) for place in places if place.exists()]
        # One call, so that files that both have (hard links) count once.
        lines = subprocess.check_output(["du", "-sk", *there], text=True).splitlines()
        with self._changed:
            self._sizes[row.name] = 1024 * sum(int(line.split()[0]) for line in lines)
            used = sum(self._sizes.values())
            self.peak = max(self.peak, used)
        return used

    def _place(self, row: Row) -> Path:
        return ROOT / ".tox" / row.environment
