"""One cell: a release put in front of a row's environment, and pytest run on it.

Each release is installed into its own folder, which comes first on PYTHONPATH. mmengine
is pure Python: one folder serves all rows, and cells of one row can run in parallel
without installing anything. Runs on Python 3.7 too.
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
        subprocess.CalledProcessError: If the installation fails.
    """
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Installed elsewhere and moved, so that an existing folder is complete.
    with tempfile.TemporaryDirectory(dir=str(folder.parent)) as temporary:
        target = ["--no-deps", "--target", os.path.join(temporary, "new"), requirement]
        if shutil.which("uv"):  # seconds quicker
            command = ["uv", "pip", "install", "--quiet", "--python", python]
        else:
            command = [python, "-m", "pip", "--disable-pip-version-check", "install"]
        subprocess.run([*command, *target], check=True)
        try:
            os.rename(os.path.join(temporary, "new"), str(folder))
        except OSError:  # another process was quicker
            if not folder.exists():
                raise


def folders(release: Release, row: Row | None, python: str) -> List[Path]:
    """Return what a cell needs on PYTHONPATH; install what is missing.

    Args:
        release (Release): The release under test.
        row (Row, optional): Given where the oldest releases need torchvision. It is
            installed next to the row's site-packages, so that the other releases run
            without it, as in a tox cell.
        python (str): The environment's interpreter.
    """
    found = [RELEASES / release.name]
    install(release.requirement, found[0], python)
    if row is not None and release.needs_torchvision:
        found.append(Path(python).parent.parent / "torchvision")
        install(f"torchvision=={row.torchvision}", found[-1], python)
    return found


def environment(
    base: Mapping[str, str], cell: str, paths: Sequence[Path], slow: Release
) -> Dict[str, str]:
    """Return the environment variables of a cell's pytest.

    Args:
        base (Mapping[str, str]): Those of the row.
        cell (str): Its name.
        paths (Sequence[Path]): What its release needs on PYTHONPATH.
        slow (Release): The one of its row that runs the slow tests for all.
    """
    runs_slow = cell.endswith(f"-{slow.name}")
    search = os.pathsep.join(map(str, paths))
    return {
        **base,
        "VALLOSS_COMPAT_CELL": cell,
        "PYTHONPATH": search,
        "VALLOSS_COMPAT_SLOW_TESTS_ON": "" if runs_slow else slow.name,
    }


def pytest_arguments(report: Path) -> List[str]:
    """Return what pytest gets in every cell."""
    return ["-q", f"--junitxml={report}"]


def command(
    python: str, report: Path, arguments: Sequence[str] = (), coverage: bool = False
) -> List[str]:
    """Return the command that tests a cell; it runs in tests/."""
    # `-m pytest` puts the working directory on sys.path: tests/, not the source tree.
    line = [python, "-m", "pytest", *pytest_arguments(report), *arguments]
    if coverage:
        settings = f"--rcfile={ROOT / 'pyproject.toml'}"
        line[1:1] = ["-m", "coverage", "run", settings]
    return line


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that leads its group, and its children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
