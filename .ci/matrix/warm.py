"""Runs the cells of a row in forks of a process that has imported torch.

Importing torch's modules takes as long as a tenth of the tests. For each line of stdin
(a cell's environment variables, pytest's arguments and a log, as JSON) a child imports
the cell's mmengine and runs its tests; its exit code is written to stdout. Runs on
Python 3.7 too.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import sys

#: What mmengine and the tests import in any case.
MODULES = ["torch.distributed.optim", "torch.utils.data", "matplotlib.pyplot", "pytest"]


def live(request):
    """Run the tests, in the child, as `python -m pytest` does from tests/."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.setpgid(0, 0)
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number, file in enumerate((null, log, log)):
        os.dup2(file, number)
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.path[0:1] = [os.getcwd(), *os.environ["PYTHONPATH"].split(os.pathsep)]
    sys.argv = ["pytest", *request["arguments"]]
    importlib.invalidate_caches()
    runpy.run_module("pytest", run_name="__main__", alter_sys=True)


def main():
    """Serve until stdin is closed; SIGTERM ends the running cell, too."""
    for name in MODULES:
        with contextlib.suppress(ImportError):  # no RPC in this build of torch
            importlib.import_module(name)
    assert "mmengine" not in sys.modules
    gc.freeze()
    child = 0

    def stop(*_):
        if child:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
        os._exit(1)

    signal.signal(signal.SIGTERM, stop)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            return live(json.loads(line))
        status = os.waitpid(child, 0)[1]
        with contextlib.suppress(ProcessLookupError):  # what the cell left behind
            os.killpg(child, signal.SIGKILL)
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
        sys.stdout.write(f"{code}\n")
        sys.stdout.flush()
    return None


if __name__ == "__main__":
    main()
