"""Where the commands write, and what they say of errors that nobody expected."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from valloss_compat import _cli
from valloss_compat._cli import doctor, plot, run
from valloss_compat._cli.doctor import check_validation, output, trial_run

#: A command line of ours without mmengine: what is printed, and where, is all.
PRINTING = """
import sys
from valloss_compat._cli import main, plot
def told(args):
    print("x" * 100000)
    return 1
plot.main = told
sys.exit(main(["plot", "a", "-o", "b"]))
"""


def shell(words, code=PRINTING):
    """Run code with its stdout as a shell has it; exit status and stderr."""
    command = f'"$0" -c "$1" {words}; exit $?'
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command, sys.executable, code],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "VALLOSS_COMPAT": "off",  # nor is mmengine imported
            "PYTHONUNBUFFERED": "",  # what is buffered is written as a process ends
        },
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("count", [10, 100000])
def test_a_broken_pipe(count):
    """Who reads no further is told nothing, however much it would have been."""
    gone = "import os\nreader, writer = os.pipe()\nos.dup2(writer, 1)\nos.close(reader)"
    code = gone + PRINTING.replace("100000", str(count))
    assert shell("> /dev/null", code) == (2, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="of Linux")
def test_a_full_disk():
    """What could not be written is no result: one line, exit status 2."""
    code, said = shell("> /dev/full")
    assert code == 2
    assert said.count("\n") == 1
    assert said.startswith("python -m valloss_compat plot: error: OSError")


def test_a_closed_stdout():
    """The exit status is the answer."""
    assert shell(">&-") == (1, "")


def test_what_a_config_or_a_tiny_training_prints(capfd):
    """On stderr, and nowhere; by child processes as well."""
    talk = "echo out; echo err >&2"
    with output.silent():
        os.system(talk)
        print("out")
        print("err", file=sys.stderr)
        warnings.warn("of a library", stacklevel=1)
    assert capfd.readouterr() == ("", "")
    with output.stdout_to_stderr():
        os.system(talk)
    assert capfd.readouterr() == ("", "out\nerr\n")
    os.system(talk)
    assert capfd.readouterr() == ("out\n", "err\n")


def test_redirecting_what_is_closed():
    """A descriptor that was closed is so again afterwards."""
    code = """
import os
from valloss_compat._cli.doctor.output import _redirected
for descriptor, to in ((1, 2), (1, 99), (2, 99)):
    with _redirected(descriptor, to):
        os.write(descriptor, b"x") if to == 2 else None
try:
    os.fstat(1)
except OSError:
    os._exit(7)
"""
    assert shell(">&-", code) == (7, "x")


def test_redirecting_where_stdin_is_closed():
    """What was redirected is back afterwards: it was kept as descriptor 0."""
    code = """
import os
from valloss_compat._cli.doctor.output import _redirected
with _redirected(1, 2):
    os.write(1, b"x")
os._exit(6 + os.write(1, b"y"))
"""
    assert shell("<&- > /dev/null", code) == (7, "x")


def test_an_error_of_ours(monkeypatch, capsys):
    """One line, and an exit status that no finding has; of a script, its own."""

    def fail(args):
        return inner()

    def inner():
        raise KeyError("some\nthing")

    for module, name in ((doctor, "doctor"), (plot, "main"), (run, "run")):
        monkeypatch.setattr(module, name, fail)
    assert _cli.main(["doctor"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "doctor: error: KeyError: " in said.err
    assert said.err.count("\n") == 1
    line = inner.__code__.co_firstlineno + 1
    assert said.err.endswith(f" ({inner.__code__.co_filename}, line {line})\n")
    with pytest.raises(KeyError):
        _cli.main(["run", "train.py"])


def test_a_tiny_training_that_does_not_begin(monkeypatch):
    """What no loop of the user's can have done is a problem of this environment."""

    def build(self, loop):
        raise RuntimeError("not today")

    monkeypatch.setattr(trial_run.Runner, "build_val_loop", build)
    (finding,) = check_validation.check_trial()
    assert finding.severity == "problem"
    line = build.__code__.co_firstlineno + 1
    place = f"({build.__code__.co_filename}, line {line})"
    assert f"it ended with RuntimeError: not today {place}" in finding.text
