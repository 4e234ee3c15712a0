"""The whole stderr of invalid command lines, compared with commands.txt.

A message names the value, the expected one and the fix.
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

pytestmark = pytest.mark.slow  # asks nothing of mmengine

PROGRAM = "python -m valloss_compat"

#: Title, arguments and stderr of each command.
SNAPSHOTS = re.findall(
    rf"^# (.+)\n\$ {PROGRAM} ?(.*)\n((?:.+\n)+)",
    (Path(__file__).parent / "commands.txt").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def work_dirs(folder):
    """Create the files and folders that the commands name."""
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


# If a config fails, old releases of mmengine (such as 0.1.0) leave a temporary file
# without its folder, and Python reports an error when the object is freed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [pytest.param(*snapshot, id=name) for name, *snapshot in SNAPSHOTS],
)
def test_invalid_command_prints_message(
    tmp_path, monkeypatch, capsys, arguments, message
):
    """With exit code 2 and an empty stdout."""
    work_dirs(tmp_path)
    monkeypatch.chdir(tmp_path)
    try:
        code = main(arguments.split())
    except SystemExit as end:  # argparse
        code = end.code
    output = capsys.readouterr()
    assert (code, output.out) == (2, "")
    # Python 3.9 and later show the absolute path of a script.
    text = output.err.replace(os.path.realpath(str(tmp_path)) + os.sep, "")
    text = re.sub(f"Exception ignored in.*?(?={PROGRAM}|$)", "", text, flags=re.S)
    if "invalid choice" in text:  # Python 3.12 and later leave the quotes out
        text = text.replace("'", "")
    assert text == message
    assert not Path("a.png").exists()


def test_plot_without_matplotlib_prints_message(tmp_path, monkeypatch, capsys):
    """The message names the missing package and the fix."""
    work_dirs(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "valloss_compat._cli.plot.figure", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["plot", "runs/a", "-o", "a.png"]) == 2
    assert capsys.readouterr().err == (
        f"{PROGRAM} plot: error: plot needs matplotlib, but importing it failed "
        "with import of matplotlib.figure halted; None in sys.modules. Fix: pip "
        "install matplotlib\n"
    )


def test_plot_of_unreadable_files_prints_message(tmp_path, monkeypatch, capsys):
    """The message names each file and the error."""

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


def test_run_of_missing_module_fails_like_python():
    """With the same message and exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "valloss_compat", "run", "-m", "gone"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"{sys.executable}: No module named gone"
