"""One cell: a release put in front of a row's environment, and pytest run on it.

A release lies in a folder of its own and comes first on PYTHONPATH. mmengine is pure
Python: one folder serves all rows, and cells of one row run side by side, which they
could not if each had to install its release. Runs on Python 3.7 too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Dict, List, Mapping, Sequence

from table import ROOT, Release, Row

RELEASES = ROOT / ".tox" / "mmengine"


def search_path() -> str:
    """Return a PATH with tox, uv and all interpreters on it."""
    script = f"source '{ROOT}/.ci/interpreters' && printf %s \"$PATH\""
    found = subprocess.check_output(["bash", "-c", script], universal_newlines=True)
    return os.pathsep.join([str(ROOT / ".venv" / "bin"), found])


def install(requirement: str, folder: Path, python: str) -> None:
    """Install one distribution, without what it requires, into a folder of its own.

    Raises:
        subprocess.CalledProcessError: If it cannot be had.
    """
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Made aside and moved, so that a folder that is there is whole.
    with tempfile.TemporaryDirectory(dir=str(folder.parent)) as aside:
        target = ["--no-deps", "--target", os.path.join(aside, "new"), requirement]
        if shutil.which("uv"):  # seconds quicker
            command = ["uv", "pip", "install", "--quiet", "--python", python]
        else:
            command = [python, "-m", "pip", "--disable-pip-version-check", "install"]
        subprocess.run([*command, *target], check=True)
        try:
            os.rename(os.path.join(aside, "new"), str(folder))
        except OSError:  # another process was quicker
            if not folder.exists():
                raise


def folders(release: Release, row: Row | None, python: str) -> List[Path]:
    """Return what a cell needs on PYTHONPATH; install what is not there yet.

    Args:
        release (Release): Whose cell it is.
        row (Row, optional): Where torchvision is wanted for the oldest releases; it
            lies in the row's environment, beside its site-packages, so that the others
            do without it, as they do in a cell of their own.
        python (str): The environment's interpreter.
    """
    found = [RELEASES / release.name]
    install(release.requirement, found[0], python)
    if row is not None and release.needs_torchvision:
        found.append(Path(python).parent.parent / "torchvision")
        install(f"torchvision=={row.torchvision}", found[-1], python)
    return found


def environment(
    base: Mapping[str, str], cell: str, paths: Sequence[Path], slow: Release | None
) -> Dict[str, str]:
    """Return the environment variables of a cell's pytest.

    Args:
        base (Mapping[str, str]): Those of the row.
        cell (str): Its name.
        paths (Sequence[Path]): What its release needs on PYTHONPATH.
        slow (Release, optional): Who runs the slow tests in its place; None if it does.
    """
    search = os.pathsep.join(map(str, paths))
    return {
        **base,
        "VALLOSS_COMPAT_CELL": cell,
        "PYTHONPATH": search,
        "VALLOSS_COMPAT_SLOW_TESTS_ON": slow.name if slow else "",
    }


def command(
    python: str, report: Path, arguments: Sequence[str] = (), coverage: bool = False
) -> List[str]:
    """Return the command that tests a cell; it runs in tests/."""
    # `-m pytest` puts the working directory on sys.path: tests/, not the source tree.
    line = [python, "-m", "pytest", "-q", f"--junitxml={report}", *arguments]
    if coverage:
        settings = f"--rcfile={ROOT / 'pyproject.toml'}"
        line[1:1] = ["-m", "coverage", "run", settings]
    return line


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that leads its group, and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
