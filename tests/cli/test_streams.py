"""Output streams of the commands, and messages of unexpected errors."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from valloss_compat import _cli
from valloss_compat._cli import doctor, plot, run
from valloss_compat._cli.doctor import report, trial_run

pytestmark = pytest.mark.slow  # asks nothing of mmengine

#: A command line that only prints, without mmengine.
PRINTING = """
import sys
from valloss_compat._cli import main, plot
def long_output(args):
    print("x" * 100000)
    return 1
plot.main = long_output
sys.exit(main(["plot", "a", "-o", "b"]))
"""


def shell(words, code=PRINTING):
    """Run code under shell redirections; returns the exit code and stderr."""
    command = f'"$0" -c "$1" {words}; exit $?'
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command, sys.executable, code],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "VALLOSS_COMPAT": "off",  # mmengine is not imported either
            "PYTHONUNBUFFERED": "",  # buffers are flushed when the process ends
        },
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("count", [10, 100000])
def test_broken_pipe_ends_without_a_message(count):
    """However much the command would have printed."""
    gone = "import os\nreader, writer = os.pipe()\nos.dup2(writer, 1)\nos.close(reader)"
    code = gone + PRINTING.replace("100000", str(count))
    assert shell("> /dev/null", code) == (2, "")


@pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="/dev/full exists on Linux only"
)
def test_full_disk_is_an_error_of_one_line():
    """The exit code is 2."""
    code, stderr = shell("> /dev/full")
    assert code == 2
    assert stderr.count("\n") == 1
    assert stderr.startswith("python -m valloss_compat plot: error: OSError")


def test_closed_stdout_keeps_the_exit_code():
    assert shell(">&-") == (1, "")


def test_output_of_configs_and_trial_runs_does_not_reach_stdout(capfd):
    """The output of child processes does not reach it either."""
    talk = "echo out; echo err >&2"
    with report.silent():
        os.system(talk)
        print("out")
        print("err", file=sys.stderr)
        warnings.warn("of a library", stacklevel=1)
    assert capfd.readouterr() == ("", "")
    with report.stdout_to_stderr():
        os.system(talk)
    assert capfd.readouterr() == ("", "out\nerr\n")
    os.system(talk)
    assert capfd.readouterr() == ("out\n", "err\n")


def test_closed_descriptor_is_closed_again_after_redirection():
    code = """
import os
from valloss_compat._cli.doctor.report import _redirected
for descriptor, to in ((1, 2), (1, 99), (2, 99)):
    with _redirected(descriptor, to):
        os.write(descriptor, b"x") if to == 2 else None
try:
    os.fstat(1)
except OSError:
    os._exit(7)
"""
    assert shell(">&-", code) == (7, "x")


def test_redirection_ends_if_stdin_is_closed():
    """The original of stdout was kept as descriptor 0."""
    code = """
import os
from valloss_compat._cli.doctor.report import _redirected
with _redirected(1, 2):
    os.write(1, b"x")
os._exit(6 + os.write(1, b"y"))
"""
    assert shell("<&- > /dev/null", code) == (7, "x")


def test_unexpected_error_of_a_command_is_one_line(monkeypatch, capsys):
    """The exit code is 2. An error of a script is raised."""

    def fail(args):
        return inner()

    def inner():
        raise KeyError("some\nthing")

    for module, name in ((doctor, "doctor"), (plot, "main"), (run, "run")):
        monkeypatch.setattr(module, name, fail)
    assert _cli.main(["doctor"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "doctor: error: KeyError: " in captured.err
    assert captured.err.count("\n") == 1
    line = inner.__code__.co_firstlineno + 1
    assert captured.err.endswith(f" ({inner.__code__.co_filename}, line {line})\n")
    with pytest.raises(KeyError):
        _cli.main(["run", "train.py"])


def test_trial_run_that_cannot_start_is_a_problem(monkeypatch):
    """Loops of the user cannot cause it, so the environment is to blame."""

    def build(self, loop):
        raise RuntimeError("not today")

    monkeypatch.setattr(trial_run.Runner, "build_val_loop", build)
    (finding,) = trial_run.check_trial()
    assert finding.severity == "problem"
    line = build.__code__.co_firstlineno + 1
    place = f"({build.__code__.co_filename}, line {line})"
    assert f"it ended with RuntimeError: not today {place}" in finding.text
