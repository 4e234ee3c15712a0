"""Runs the tests on mutants: a process that has torch and mmengine imported, and forks.

server.py TREE SOCKET

Importing torch and mmengine takes longer than most mutants live. For each request
("near" or "far" and the name of the mutated module) a child imports the mutated package
from TREE and runs tests there, until one fails: those near that module, or all others.
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

#: Which tests to try first, by module or folder, after those with the module's name.
NEAR = {
    "adapters": ["adapters", "val_loss_hook"],
    "batch_size": ["test_weighting.py", "test_weighting_batches.py"],
    "cli": ["cli"],
    "control": ["test_promises.py", "test_options.py"],
    "convention": ["conformance", "test_properties.py"],
    "device_sum": ["test_meter.py"],
    "dispatch": ["test_native.py", "test_future.py"],
    "epoch": ["test_loops.py", "test_own_loops.py", "wild"],
    "family": [
        "test_classes.py",
        "test_gone.py",
        "test_loops.py",
        "test_own_loops.py",
        "test_evaluators.py",
        "wild",
    ],
    "hooks/__init__": ["test_hooks.py"],
    "hooks/early_stopping": ["stopping"],
    "hooks/val_loss": ["val_loss_hook"],
    "identity": ["test_evaluators.py"],
    "importer": ["test_import.py", "test_import_order.py", "cli"],
    "meter": [
        "test_device_sum.py",
        "test_weighting.py",
        "test_properties.py",
        "conformance",
    ],
    "monitors": ["messages", "test_reports.py"],
    "native_recorder": ["test_native.py", "conformance"],
    "parity": ["conformance"],
    "patches": [
        "test_loops.py",
        "test_own_loops.py",
        "test_evaluators.py",
        "test_logs.py",
        "test_weighting_batches.py",
        "wild",
    ],
    "patching": [
        "test_family.py",
        "test_foreign.py",
        "test_control.py",
        "test_evaluators.py",
    ],
    "plans": ["test_promises.py", "test_future.py", "test_control.py"],
    "reach": ["test_patching.py", "test_family.py", "test_foreign.py"],
    "recorder": [
        "test_loops.py",
        "test_own_loops.py",
        "test_evaluators.py",
        "conformance",
        "wild",
    ],
    "shape": ["test_dispatch.py", "test_future.py"],
    "status": ["test_promises.py", "test_classes.py", "test_gone.py"],
    "sums": [
        "test_meter.py",
        "test_device_sum.py",
        "test_ranks.py",
        "test_weighting.py",
        "conformance",
    ],
    "under_way": ["test_runners.py", "wild"],
    "val_loss": ["val_loss_hook"],
    "wrapper": [
        "test_patching.py",
        "test_family.py",
        "test_foreign.py",
        "test_promises.py",
    ],
}
#: These start interpreters: not before all others let a mutant live.
LAST = ["test_import.py", "test_import_order.py", "test_examples.py"]
#: Look at the files of the package, not at what it does.
NEVER = ["test_packaging.py"]


def groups(module: str, tests: Path) -> dict[str, list[str]]:
    """Return pytest's arguments for what is near a module, and for all others."""
    path = Path(module)
    named = [str(found.relative_to(tests)) for found in tests.rglob("test_*.py")]
    near = [name for name in sorted(named) if Path(name).name == f"test_{path.name}.py"]
    for place in (path, *path.parents):
        near += NEAR.get(str(place), [])
    found = sorted(
        path.name
        for path in tests.iterdir()
        if path.name.startswith("test_") or (path / "__init__.py").exists()
    )
    far = [name for name in found if name not in (*near, *LAST, *NEVER)]
    # What takes long is near what it tests; without any mutant, all has to pass.
    quick = [] if module == "-" else ["-m", "not slow"]
    return {"near": near, "far": [*quick, *far, *LAST]}


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
    """Run tests in a child; end it if the caller does not wait for it any more.

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
        if select.select(caller, [], [], 0.05)[0]:  # closed at the other end
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return 71


def answer(connection: socket.socket, tree: Path) -> None:
    """Tell one caller whether a test fails on what is in the tree now."""
    group, _, module = connection.recv(100).decode().partition(" ")
    if not module:
        return  # whoever asks was ended before it could
    arguments = groups(module, tree / "tests")[group]
    code = forked(tree, arguments, [connection]) if arguments else 0
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(bytes([code]))


def main() -> None:
    """Serve until the socket's file is gone or this process is ended."""
    tree, path = Path(sys.argv[1]), sys.argv[2]
    for name in {name for names in NEAR.values() for name in names}:
        if not (tree / "tests" / name).exists():  # would kill every mutant
            raise FileNotFoundError(f"NEAR names {name}, which tests/ does not have")
    for name in ("mmengine.runner", "mmengine.visualization", "matplotlib.pyplot"):
        importlib.import_module(name)
    assert "valloss_compat" not in sys.modules
    gc.freeze()
    # Of the tests and the package as they are: no mutant is as old as these.
    forked(tree, ["--collect-only"], [])
    # Two mutants of one second and one length would share one file of bytecode.
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
