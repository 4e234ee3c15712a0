"""Wrong uses of the command line: the whole of stderr, held in commands.txt.

A message says what was got, what is expected, and what to do.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cli.plot.work_dirs import epochs, iterations, write

from valloss_compat._cli import main
from valloss_compat._cli.plot import scalars

PROGRAM = "python -m valloss_compat"

#: What each is about, the command, and what it says.
SNAPSHOTS = re.findall(
    rf"^# (.+)\n\$ {PROGRAM} ?(.*)\n((?:.+\n)+)",
    (Path(__file__).parent / "commands.txt").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def work_dirs(folder):
    """Everything that the commands below are given, made anew."""
    (folder / "nothing").mkdir()
    (folder / "other").mkdir()
    for name in ("README.md", "train.py"):
        (folder / "other" / name).write_text("no JSON\nat all")
    for timestamp in ("20260101_000000", "20260101_000100"):
        write(folder / "empty" / timestamp, [])
    write(folder / "runs" / "a" / "20260101_000000", epochs([2.0, 1.0]))
    (folder / "runs" / "notes").mkdir()
    write(folder / "iter" / "20260101_000000", iterations([2.0, 1.0]))
    plain = [{"lr": 0.1, "loss": 1.0, "epoch": 1, "step": 1}, {"acc": 0.5, "step": 1}]
    write(folder / "plain" / "20260101_000000", plain)
    below = [{"val_loss": value, "step": 1 + value} for value in (-1.0, 0.0)]
    write(folder / "negative" / "20260101_000000", below)
    val = [{"val_loss": 1.0, "step": 1}]
    write(folder / "val" / "20260101_000000", val)
    (folder / "broken.py").write_text("model = dict(type='A')\nraise KeyError('B')\n")


# Where a config fails, old releases of mmengine (0.1.0, for one) leave a temporary file
# whose folder is gone, and Python says so as it is freed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [pytest.param(*said, id=name) for name, *said in SNAPSHOTS],
)
def test_wrong_commands(tmp_path, monkeypatch, capsys, arguments, message):
    """The exit code is 2, and stdout stays empty."""
    work_dirs(tmp_path)
    monkeypatch.chdir(tmp_path)
    try:
        code = main(arguments.split())
    except SystemExit as end:  # argparse
        code = end.code
    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    # Before Python 3.9 the name of a script is shown as it was given.
    text = said.err.replace(os.path.realpath(str(tmp_path)) + os.sep, "")
    text = re.sub(f"Exception ignored in.*?(?={PROGRAM}|$)", "", text, flags=re.S)
    if "invalid choice" in text:  # Python 3.12 and later leave the quotes out
        text = text.replace("'", "")
    assert text == message
    assert not Path("a.png").exists()


def test_plot_without_matplotlib(tmp_path, monkeypatch, capsys):
    """What is missing, and what to do."""
    work_dirs(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "valloss_compat._cli.plot.figure", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["plot", "runs/a", "-o", "a.png"]) == 2
    assert capsys.readouterr().err == (
        f"{PROGRAM} plot: error: plot draws with matplotlib, and importing it failed "
        "with import of matplotlib.figure halted; None in sys.modules: pip install "
        "matplotlib\n"
    )


def test_plot_of_what_must_not_be_read(tmp_path, monkeypatch, capsys):
    """Each file that could not be read, and why."""

    def read(path):
        raise PermissionError(13, "Permission denied", path)

    work_dirs(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scalars, "read", read)
    assert main(["plot", "runs/a", "iter", "-o", "a.png"]) == 2
    assert capsys.readouterr().err == (
        f"{PROGRAM} plot: error: runs/a/20260101_000000/vis_data/scalars.json cannot "
        "be read: Permission denied; iter/20260101_000000/vis_data/scalars.json cannot "
        "be read: Permission denied\n"
    )


def test_run_of_a_module_that_is_not_there():
    """As python says it, with its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "valloss_compat", "run", "-m", "gone"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"{sys.executable}: No module named gone"
