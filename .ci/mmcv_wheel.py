"""Install mmcv with its operators, compiled once for the CPU, and its dependents.

``python mmcv_wheel.py MMCV WHEELS PROJECT...``: the release of mmcv, the folder
that keeps its wheel, and the projects to install without their dependencies.
An existing wheel is used; ``VALLOSS_COMPAT_MMCV_WHEEL`` names one outside of the
folder. mmcv publishes none for a plain CPU: compiling its sdist takes
5 to 20 minutes on two cores.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


def wheel_of(release: str, folder: Path) -> Path:
    """Return the wheel of a release for this Python; compile it if there is none."""
    given = os.environ.get("VALLOSS_COMPAT_MMCV_WHEEL")
    if given:
        return Path(given)
    tag = "cp{}{}".format(*sys.version_info)
    pattern = f"mmcv-{release}-{tag}-*.whl"
    if not list(folder.glob(pattern)):
        print(f"compiling mmcv {release}: 5 to 20 minutes on two cores", flush=True)
        flags = {"MMCV_WITH_OPS": "1", "FORCE_CUDA": "0"}
        flags["MAX_JOBS"] = os.environ.get("MAX_JOBS", "2")
        # Not isolated: its setup compiles against the torch that is installed.
        options = ["--no-deps", "--no-build-isolation", "--no-binary", "mmcv"]
        options += ["--no-cache-dir"]  # which may hold one without operators
        subprocess.run(
            [*PIP, "wheel", *options, "-w", str(folder), f"mmcv=={release}"],
            env={**os.environ, **flags},
            check=True,
        )
    return next(folder.glob(pattern))


def main(release: str, folder: str, *projects: str) -> None:
    """Install the wheel and the projects, without their dependencies."""
    wheel = wheel_of(release, Path(folder))
    subprocess.run(
        [*PIP, "install", "--no-deps", str(wheel), *projects],
        check=True,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
