"""Runs the tests on mutants: a process that has torch and mmengine imported, and forks.

server.py TREE SOCKET

Importing torch and mmengine takes longer than killing most mutants. For each request
("near" or "far" and the name of the mutated module) a child imports the mutated package
from TREE and runs tests there until one fails: those near that module, or all others.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
from pathlib import Path

import pytest

#: Tests of a module or a folder that do not lie where its path says.
ELSEWHERE = {
    "_patches": ["integration", "conformance"],
    "_recording": ["conformance", "integration"],
    "hooks/val_loss_hook": ["loss_forward"],
    "options": ["test_api.py"],
}
#: These start interpreters, so they run after all others.
LAST = ["test_import.py", "test_import_order.py", "test_examples.py"]
#: They read the files of the repository, not what the package does.
NEVER = [
    "test_ci.py",
    "test_docs.py",
    "test_layers.py",
    "test_packaging.py",
    "test_reports.py",
]
FAR = 100


def groups(module: str, tests: Path) -> dict[str, list[str]]:
    """Return pytest's arguments for what is near a module, and for all others.

    Tests lie as the modules do, without underscores. So near `_patches/loops` are
    `test_loops*.py`, then `tests/patches`, then what `ELSEWHERE` adds.
    """
    mirror = Path(module[1:] if module.startswith("_") else module)
    places = [mirror, *list(mirror.parents)[:-1]]
    for path in (Path(module), *Path(module).parents):
        places += map(Path, ELSEWHERE.get(str(path), []))

    def rank(path: Path) -> int:
        if path.name in LAST:
            return FAR + 1
        if path.name.startswith(f"test_{mirror.name}"):
            return 0
        above = {path, *path.parents}
        return next((n for n, place in enumerate(places, 1) if place in above), FAR)

    paths = [path.relative_to(tests) for path in sorted(tests.rglob("test_*.py"))]
    paths = sorted((path for path in paths if path.name not in NEVER), key=rank)
    near = [str(path) for path in paths if rank(path) < FAR]
    far = [str(path) for path in paths if rank(path) >= FAR]
    # Slow tests run for near modules only, and where there is no mutant (`-`).
    quick = [] if module == "-" else ["-m", "not slow"]
    return {"near": near, "far": [*quick, *far]}


def live(tree: Path, arguments: list[str]) -> int:
    """Run tests, in the child."""
    os.setsid()
    silence = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(silence, number)
    os.chdir(tree / "tests")
    sys.path[:0] = [str(tree / "tests"), str(tree)]
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
    code = pytest.main([*options, *arguments])
    return 0 if code == pytest.ExitCode.NO_TESTS_COLLECTED else int(code)


def forked(tree: Path, arguments: list[str], caller: list[socket.socket]) -> int:
    """Run tests in a child; kill it if the caller has gone.

    Returns:
        int: pytest's exit code; 71 for a child that was killed.
    """
    child = os.fork()
    if child == 0:
        code = 70
        try:
            code = live(tree, arguments)
        finally:
            os._exit(code)
    while True:
        gone, status = os.waitpid(child, os.WNOHANG)
        if gone:
            return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 71
        if select.select(caller, [], [], 0.05)[0]:  # the connection was closed
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return 71


def answer(connection: socket.socket, tree: Path) -> None:
    """Tell one caller whether a test fails on the current tree."""
    group, _, module = connection.recv(100).decode().partition(" ")
    if not module:
        return  # the client was killed before it sent a request
    arguments = groups(module, tree / "tests")[group]
    code = forked(tree, arguments, [connection]) if arguments else 0
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(bytes([code]))


def main() -> None:
    """Serve until this process is killed."""
    tree, path = Path(sys.argv[1]), sys.argv[2]
    for name in ("mmengine.runner", "mmengine.visualization", "matplotlib.pyplot"):
        importlib.import_module(name)
    assert "valloss_compat" not in sys.modules
    gc.freeze()
    # Compiles the tests and the package: no mutant is as old as this bytecode.
    forked(tree, ["--collect-only"], [])
    # Two mutants of the same second and length would share a bytecode file.
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        while True:
            connection, _ = server.accept()
            with connection:
                answer(connection, tree)


if __name__ == "__main__":
    main()
