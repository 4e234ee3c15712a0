"""Fresh processes for import effects, without paying for torch each time.

Importing mmengine costs seconds. :class:`Nursery` forks a process that has imported
mmengine but not valloss_compat. This process forks a child for each script, so every
script runs in an unpatched process. Scripts that test the import of mmengine itself
run in a new interpreter (:func:`run_cold`).
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
import warnings
from typing import Any, Dict, NamedTuple, Optional, TextIO, Tuple

#: Scripts import ``support.tiny`` from here, and the package as this process does.
TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Result(NamedTuple):
    """Exit code and output of a script."""

    returncode: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        """Parse the last line of the output as JSON; fail if the script failed."""
        assert self.returncode == 0, self.stderr
        return json.loads(self.stdout.splitlines()[-1])


def _environment(env: Optional[Dict[str, str]]) -> Dict[str, str]:
    merged = {k: v for k, v in os.environ.items() if k != "VALLOSS_COMPAT"}
    merged.update(env or {})
    merged["PYTHONPATH"] = os.pathsep.join([TESTS, *sys.path])
    return merged


def run_cold(
    code: str, env: Optional[Dict[str, str]] = None, cwd: str = TESTS
) -> Result:
    """Run a script in a new interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=_environment(env),
        cwd=cwd,
        capture_output=True,
        text=True,
    )
    return Result(done.returncode, done.stdout, done.stderr)


class Nursery:
    """A process with mmengine imported and unpatched, which forks a child a script."""

    def __init__(self) -> None:
        # Building a Runner imports these: once here, not in each child.
        for name in ("mmengine.runner", "mmengine.visualization", "matplotlib.pyplot"):
            importlib.import_module(name)
        assert "valloss_compat" not in sys.modules
        # A garbage collection in a child would copy all pages of these modules.
        gc.freeze()
        requests, self._requests = _pipe()
        self._answers, answers = _pipe()
        self._server = os.fork()
        if self._server == 0:
            self._requests.close()
            self._answers.close()
            os._exit(_serve(requests, answers))
        requests.close()
        answers.close()

    def run(self, code: str, env: Optional[Dict[str, str]] = None) -> Result:
        """Run a script in a child in which mmengine is imported and unpatched."""
        self._requests.write(json.dumps({"code": code, "env": env or {}}) + "\n")
        self._requests.flush()
        answer = self._answers.readline()
        assert answer, "the nursery died"
        return Result(*json.loads(answer))

    def close(self) -> None:
        """End the server."""
        # Closing the pipe is not enough: workers that torch 2.3 forks hold it open.
        self._requests.write("\n")
        self._requests.close()
        self._answers.close()
        os.waitpid(self._server, 0)


def _pipe() -> Tuple[TextIO, TextIO]:
    reading, writing = os.pipe()
    return os.fdopen(reading), os.fdopen(writing, "w")


def _serve(requests: TextIO, answers: TextIO) -> int:
    os.environ.pop("VALLOSS_COMPAT", None)
    for line in iter(requests.readline, "\n"):
        if not line:  # the test process died
            break
        request = json.loads(line)
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in ("out", "err")]
            child = os.fork()
            if child == 0:
                os._exit(_run_child(request, *paths))
            status = os.waitpid(child, 0)[1]
            texts = []
            for path in paths:
                with open(path, encoding="utf-8") as file:
                    texts.append(file.read())
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
        answers.write(json.dumps([code, *texts]) + "\n")
        answers.flush()
    return 0


def _run_child(request: Dict[str, Any], out: str, err: str) -> int:
    for number, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    # pytest replaced these before the fork.
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    warnings.resetwarnings()
    os.environ.update(request["env"])
    try:
        exec(compile(request["code"], "<script>", "exec"), {"__name__": "__main__"})
        return 0
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
