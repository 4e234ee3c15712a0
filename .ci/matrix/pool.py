"""Runs cells in parallel: one thread makes environments, the others run cells."""

from __future__ import annotations

import contextlib
import datetime
import json
import queue
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

import cell
from matrix.rows import Built, RowFailed, Rows
from summary import Cell, first_error, write_death
from table import ROOT, Release, Row

#: A cell that takes longer hangs; on two cores with seven other programs one took 260.
SECONDS = 900


class Server:
    """A process that runs cells of one row, one after the other (warm.py).

    Args:
        row (Row): The row.
        built (Built): Its environment.
        log (Path): Where warnings and errors of its imports go.
    """

    def __init__(self, row: Row, built: Built, log: Path) -> None:
        self.row = row
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [built.python, str(Path(__file__).with_name("warm.py"))],
                cwd=str(ROOT / "tests"),
                env=built.variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        """Whether it can run another cell."""
        return self._process.poll() is None

    def run(
        self, variables: Dict[str, str], arguments: List[str], log: Path
    ) -> Tuple[int, str]:
        """Run a cell; return its exit code, and why if that is not 0."""
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None
        assert answers is not None
        request = {"environment": variables, "arguments": arguments, "log": str(log)}
        log.write_bytes(b"")
        with contextlib.suppress(BrokenPipeError):  # it ends without an answer
            requests.write(json.dumps(request) + "\n")
            requests.flush()
        if not select.select([answers], [], [], SECONDS)[0]:
            self.end()
            return -signal.SIGKILL, f"not done after {SECONDS} s"
        code = int(answers.readline() or -signal.SIGKILL)
        return code, first_error(log) if code else ""

    def end(self) -> None:
        """End it, with its cell and everything that this started."""
        self._process.terminate()
        self._process.wait()


class Pool:
    """Runs cells.

    Args:
        rows (Rows): Makes the environments.
        folder (Path): For reports and logs.
        run (str): The commit, for the reports.
        unchanged (Callable): Tells whether the tree is still at that commit.
        keep (bool): Whether environments are kept.
    """

    def __init__(
        self,
        rows: Rows,
        folder: Path,
        run: str,
        unchanged: Callable[[], bool],
        keep: bool = False,
    ) -> None:
        self._rows = rows
        self._folder = folder
        self._run = run
        self._unchanged = unchanged
        self._keep = keep
        self._ready: queue.Queue[Optional[Tuple[Row, Release, Built]]] = queue.Queue()
        self._left: Dict[str, int] = {}
        self._servers: List[Server] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._total = self._done = self._red = 0
        self._start = time.monotonic()

    def run(self, plan: Sequence[Tuple[Row, List[Release]]], jobs: int) -> bool:
        """Run all cells of a plan.

        Returns:
            bool: False if it was interrupted.
        """
        self._total = sum(len(releases) for _, releases in plan)
        tasks = [lambda: self._make(plan, jobs), *[self._work] * jobs]
        threads = [
            threading.Thread(target=self._guarded, args=(task,), daemon=True)
            for task in tasks
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            self._stop()
        return not self._stopped.is_set()

    def _guarded(self, task: Callable[[], None]) -> None:
        """Run one thread's task; an unexpected error stops the whole run."""
        try:
            task()
        except BaseException:
            traceback.print_exc()
            self._stop()
            for _ in threading.enumerate():  # for the threads that wait for a cell
                self._ready.put(None)

    def _make(self, plan: Sequence[Tuple[Row, List[Release]]], jobs: int) -> None:
        for row, releases in plan:
            if self._stopped.is_set():
                break
            start = time.monotonic()
            self._left[row.name] = len(releases)
            try:
                built = self._rows.build(row)
            except RowFailed as error:
                if self._stopped.is_set():
                    break
                for release in releases:
                    self._write_death(
                        f"{row.name}-{release.name}", f"no environment: {error}"
                    )
                    self._report(f"{row.name}-{release.name}")
                continue
            self._print(f"{row.name}: made in {time.monotonic() - start:.0f} s")
            for release in releases:
                self._ready.put((row, release, built))
        for _ in range(jobs):
            self._ready.put(None)

    def _work(self) -> None:
        server: Optional[Server] = None
        while True:
            item = self._ready.get()
            if item is None or self._stopped.is_set():
                return
            row, release, built = item
            name = f"{row.name}-{release.name}"
            if server is None or server.row != row or not server.alive:
                server = Server(row, built, self._folder / f"{row.name}.log")
                self._servers.append(server)
            self._test(row, release, built, server)
            if not self._stopped.is_set() and not self._unchanged():
                self._print(f"{name}: the tree is no longer at {self._run}: stopped")
                (self._folder / f"{name}.xml").unlink(missing_ok=True)
                self._stop()
            if self._stopped.is_set():
                return
            self._report(name)
            with self._lock:
                self._left[row.name] -= 1
                last = not self._left[row.name]
            if not last:
                continue
            for other in self._servers:  # what they have open keeps its disk space
                if other.row == row:
                    other.end()
            if not self._keep:
                self._rows.free(row)

    def _test(self, row: Row, release: Release, built: Built, server: Server) -> None:
        name = f"{row.name}-{release.name}"
        report, log = (self._folder / f"{name}.{end}" for end in ("xml", "log"))
        paths = built.paths[release.name]
        table = self._rows.table
        slow = table.slow_of(row, table.releases_on(row))
        variables = cell.environment(built.variables, name, paths, slow)
        variables["VALLOSS_COMPAT_COMMIT"] = self._run
        report.unlink(missing_ok=True)  # an old one must not stand for this run
        code, why = server.run(variables, cell.pytest_arguments(report), log)
        # A process that failed after it wrote a report without a failure has failed.
        if (
            code
            and not self._stopped.is_set()
            and not Cell(name, self._folder).failures
        ):
            self._write_death(name, f"exit code {code}: {why}")

    def _write_death(self, name: str, why: str) -> None:
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        path = self._folder / f"{name}.xml"
        write_death(path, why, now, {"commit": self._run})

    def _report(self, name: str) -> None:
        """Print one line of progress."""
        found = Cell(name, self._folder)
        with self._lock:
            self._done += 1
            self._red += not found.green
            left = (time.monotonic() - self._start) / self._done
            left *= self._total - self._done
            text = f"[{self._done:3}/{self._total}] {name:36} "
            text += "passed" if found.green else "FAILED"
            text += (
                f" {found.seconds:5.1f} s, {self._red} red, {left / 60:.0f} min left"
            )
            if found.failures:
                text += f"\n    {': '.join(found.failures[0])}"
        self._print(text)

    def _print(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def _stop(self) -> None:
        self._stopped.set()
        for server in self._servers:
            server.end()
        self._rows.close()
