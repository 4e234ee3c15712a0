"""Fresh processes for import effects, without paying for torch each time.

Importing mmengine costs seconds. :class:`Nursery` is a fork of a process that
has imported it, and never valloss_compat, and forks a child for each script:
every script runs in a process of its own in which nothing was patched. Scripts
that must see the import of mmengine itself run in a cold interpreter
(:func:`run_cold`).
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

#: The scripts find ``tiny`` here; the package they find where this process did.
TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Result(NamedTuple):
    """How a script ended."""

    returncode: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        """What the last line of the output says; fails if the script failed."""
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
    """A process that has mmengine imported, unpatched, and forks a child a script."""

    def __init__(self) -> None:
        # What building a Runner imports in any case; so the children need not.
        for name in ("mmengine.runner", "mmengine.visualization", "matplotlib.pyplot"):
            importlib.import_module(name)
        assert "valloss_compat" not in sys.modules
        # A collection in a child would touch, and so copy, all that was imported here.
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
        # Its input does not end with ours: torch 2.3 forks workers, which hold it open.
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
        if not line:  # the tests died
            break
        request = json.loads(line)
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in ("out", "err")]
            child = os.fork()
            if child == 0:
                os._exit(_live(request, *paths))
            status = os.waitpid(child, 0)[1]
            texts = []
            for path in paths:
                with open(path, encoding="utf-8") as file:
                    texts.append(file.read())
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
        answers.write(json.dumps([code, *texts]) + "\n")
        answers.flush()
    return 0


def _live(request: Dict[str, Any], out: str, err: str) -> int:
    for number, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    # pytest has its own in their place, here as in the process that was forked.
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
