"""Build wheel and sdist into .tox/package/dist, check them, install them as users do.

On each of three Pythons from the wheel, the sdist and git; then by the README's own
commands; then mypy and pyright read a user's file.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support.blocks import all_blocks  # noqa: E402

PYTHONS = ("3.7", "3.10", "3.13")
DIST = ROOT / ".tox" / "package" / "dist"
#: What builds the wheel; tests and docs need the repository.
SDIST = {
    *(".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md"),
    *("pyproject.toml", "valloss_compat"),
}
#: A user's file. A line that ends in `# error` has one, the others have none.
USER = """\
import valloss_compat
from valloss_compat.hooks import EarlyStoppingHook, ValLossHook, check_config
from valloss_compat.hooks import ValLosHook  # error
from valloss_compat.options import Options

valloss_compat.configure(mode="parity", weighting="batch")
valloss_compat.configure(weighting="samples")  # error
valloss_compat.apply(mode="partiy")  # error
Options(mode="default").weighting.upper()
valloss_compat.status().patches[0].state.upper()
ValLossHook(strategy="auto", limit_batches=3)
ValLossHook(strategie="auto")  # error
check_config({}).verdict.upper()
check_config({}).verdicts  # error
"""


def run(*words: object, fails: bool = False, **options: object) -> str:
    """Run a command, and return what it printed; another exit code ends this script."""
    done = subprocess.run(
        [str(word) for word in words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    if (done.returncode != 0) != fails:
        sys.exit(f"{' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


def check(found: object, expected: object, what: str) -> None:
    """End this script unless both are equal."""
    if found != expected:
        sys.exit(f"{what}: {found!r}, but {expected!r} is expected")
    print(f"ok: {what}", flush=True)


def environment(python: str, folder: Path) -> Path:
    """Make a virtual environment without mmengine, and return its commands' folder."""
    run("uv", "venv", "--quiet", "--clear", "--seed", "--python", python, folder)
    return folder / "bin"


def run_block(name: str, cwd: Path, path: Path) -> None:
    """Run a code block of the README with the commands of an environment."""
    (text,) = (block.text for block in all_blocks() if block.name == name)
    search = os.pathsep.join([str(path), os.environ["PATH"]])
    run("bash", "-e", "-c", text, cwd=cwd, env={**os.environ, "PATH": search})


def check_installed(commands: Path, version: str, what: str) -> None:
    """Check both commands, and the message where mmengine is missing."""
    python = commands / "python"
    expected = f"valloss_compat {version}\n"
    for command in ([commands / "valloss-compat"], [python, "-m", "valloss_compat"]):
        check(run(*command, "--version"), expected, f"{what}: {command[-1]}")
    lines = run(python, "-c", "import valloss_compat", fails=True).splitlines()
    check("UnusableMMEngineError" in lines[-1], True, f"{what}: no mmengine")
    doctor = run(commands / "valloss-compat", "doctor", fails=True).splitlines()
    check(len(doctor), 1, f"{what}: doctor says that in one line")


def check_types(folder: Path, commands: Path) -> None:
    """Check that mypy and pyright find the wrong lines of a user's file, no others."""
    file = folder / "user.py"
    file.write_text(USER, encoding="utf-8")
    lines = USER.splitlines()
    wrong = [n for n, line in enumerate(lines, 1) if line.endswith("# error")]
    python = commands / "python"
    for command, pattern in (
        (("mypy", "--strict", "--python-executable", python), r"user\.py:(\d+): error"),
        (("pyright", "--pythonpath", python), r"user\.py:(\d+):\d+ - error"),
    ):
        output = run(*command, file.name, cwd=folder, fails=True)
        found = sorted({int(number) for number in re.findall(pattern, output)})
        check(found, wrong, f"{command[0]}: lines with an error")


def main() -> None:
    """Run all checks; the first that fails ends this."""
    shutil.rmtree(DIST, ignore_errors=True)
    run("uv", "build", "--quiet", "--out-dir", DIST, ROOT)
    wheel, sdist = (next(DIST.glob(end)) for end in ("*.whl", "*.tar.gz"))
    run("twine", "check", "--strict", wheel, sdist)
    version = wheel.name.split("-")[1]
    with tarfile.open(sdist) as archive:
        names = {name.split("/")[1] for name in archive.getnames()}
    check(names, SDIST, "files of the sdist")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sources = {"wheel": wheel, "sdist": sdist, "git": f"git+file://{ROOT}"}
        for python in PYTHONS:
            for kind, source in sources.items():
                commands = environment(python, folder / "venv")
                where = ["--quiet", "--python", commands / "python"]
                run("uv", "pip", "install", *where, source)
                check_installed(commands, version, f"{kind} on Python {python}")
        commands = environment("3.10", folder / "typed")
        run("uv", "pip", "install", "--quiet", "--python", commands / "python", wheel)
        check_types(folder, commands)
        clone = folder / "clone"
        run("git", "clone", "--quiet", ROOT, clone)
        for name in ("install", "install_offline"):
            commands = environment("3.10", folder / name)
            run_block(name, clone, commands)
            check_installed(commands, version, f"README's {name}")
    print("all checks passed")


if __name__ == "__main__":
    main()
