"""``doctor``: what it says of this environment, to people and to programs."""

from __future__ import annotations

import os
import sys
from importlib import util

import mmengine
import pytest
import torch

from cli.doctor.runs import examine, texts
from cli.processes import as_command, python
from valloss_compat import __version__
from valloss_compat._cli import doctor
from valloss_compat._cli.doctor.findings import Finding


def test_doctor_has_json_and_an_exit_code_where_all_is_well(nursery, tmp_path):
    """Exit status 0, one document on stdout, and no file is left behind."""
    told = examine(nursery, tmp_path, env={"TMPDIR": str(tmp_path)})
    assert texts(told, "problem") == []
    assert list(told) == [
        "schema",
        "environment",
        "status",
        "config",
        "findings",
        "exit_code",
    ]
    environment = told["environment"]
    assert environment["mmengine"]["version"] == mmengine.__version__
    assert environment["torch"]["version"] == torch.__version__
    assert environment["valloss_compat"]["version"] == __version__
    assert environment["python"]["where"] == sys.executable
    version = "{}.{}.{}".format(*sys.version_info)
    assert environment["python"]["version"] == version
    assert environment["mmengine"]["where"] == os.path.dirname(mmengine.__file__)
    assert told["schema"] == 1
    assert any("val_loss = 2.5 and 3.5" in text for text in texts(told, "ok"))
    applied = len(told["status"]["patches"])
    assert any(
        text.startswith(f"patches: {applied} patches are applied: ")
        for text in texts(told, "ok")
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_in_a_cold_process_for_people(tmp_path):
    """As a user runs it: versions, findings, a verdict; stderr is quiet."""
    done = python(
        ["-W", "ignore", "-m", "valloss_compat", "doctor"],
        tmp_path,
        env={"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[2].startswith(f"mmengine {mmengine.__version__}")
    assert any(line.startswith("[ok] validation: ") for line in lines)
    assert lines[-1] == "no problems found"
    assert "git" not in done.stderr


def test_the_lines_for_people_keep_each_word_whole(monkeypatch):
    """A name with hyphens can be copied from a narrow terminal."""
    monkeypatch.setenv("COLUMNS", "60")
    words = ["onedl-mmengine"] * 20
    status = {"options": {"mode": "default"}}
    found = [Finding("patches", "note", " ".join(words))]
    told = {"environment": {}, "status": status, "findings": found}
    lines = doctor._report(told).splitlines()
    assert max(map(len, lines)) <= 60
    assert " ".join(lines).split()[4:-3] == words


@pytest.mark.parametrize(
    ("columns", "width"), [("20", 60), ("80", 80), ("200", 100), (None, 100)]
)
def test_the_lines_for_people_are_as_wide_as_the_terminal(monkeypatch, columns, width):
    """From 60 to 100 columns; a long path is in one line all the same."""
    if columns is None:  # no terminal at all
        monkeypatch.delenv("COLUMNS", raising=False)
        monkeypatch.setattr(sys, "__stdout__", None)
    else:
        monkeypatch.setenv("COLUMNS", columns)
    found = [Finding("ab", "ok", "x " * 200 + "y" * 120)]
    status = {"options": {"mode": "default"}}
    told = {"environment": {}, "status": status, "findings": found}
    first, *others, path = doctor._report(told).splitlines()[2:-2]
    # Every other column is a space.
    assert (len(first), max(map(len, others))) == (width, width - 1)
    assert path == "    " + "y" * 120


@pytest.mark.parametrize(
    ("distribution", "shown"),
    [
        ("mmengine", "mmengine 0.10.4, /here"),
        ("onedl-mmengine", "mmengine 0.10.4 (onedl-mmengine), /here"),
        (None, "mmengine 0.10.4, /here"),
    ],
)
def test_whose_mmengine_it_is(distribution, shown):
    """Named where it is another one's."""
    known = {"version": "0.10.4", "where": "/here", "distribution": distribution}
    status = {"options": {"mode": "default"}}
    told = {"environment": {"mmengine": known}, "status": status, "findings": []}
    assert doctor._report(told).splitlines()[0] == shown


def test_off_is_a_problem(nursery, tmp_path):
    """Our patch switched off: named, with the variable that does it."""
    told = examine(nursery, tmp_path, env={"VALLOSS_COMPAT": "off"})
    first = texts(told, "problem")[0]
    assert first.startswith("patches: nothing is patched: VALLOSS_COMPAT=off")
    assert len(texts(told, "problem")) == 1
    assert "validation: not tried, as nothing is patched" in texts(told, "note")


def test_an_mmengine_of_unknown_shape(nursery, tmp_path):
    """Nothing is patched, and it says so."""
    mutate = """
from mmengine.runner import loops
if hasattr(loops, '_parse_losses'):
    del loops._parse_losses
else:
    loops._update_losses = lambda outputs, losses: (outputs, losses)
"""
    told = examine(nursery, tmp_path, before=mutate)
    assert told["status"]["plan"] == "unknown"
    problems = texts(told, "problem")
    assert any("not as valloss_compat knows" in text for text in problems)
    # The warning of whoever imports the package is not lost.
    warned = [t for t in texts(told, "note") if t.startswith("patches: nothing is pat")]
    assert len(warned) == 1
    done = as_command(
        nursery, ["doctor"], tmp_path, {"VALLOSS_COMPAT": "strict=true"}, mutate
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("python -m valloss_compat doctor: error: mmengine ")
    assert done.stderr.endswith("or leave strict out to go on unpatched.\n")


MISSING = """
import runpy, sys
sys.modules['mmengine'] = None
sys.argv[:] = ['-m', 'doctor']
runpy._run_module_as_main('valloss_compat')
"""


@pytest.mark.parametrize("variable", ["default", "off"])
def test_without_mmengine(tmp_path, variable):
    """In words, with the remedy, and exit status 2."""
    done = python(["-c", MISSING], tmp_path, env={"VALLOSS_COMPAT": variable})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("python -m valloss_compat doctor: error: valloss_com")
    assert "pip install 'mmengine==" in done.stderr
    assert "Traceback" not in done.stderr


def test_with_another_mmengine(tmp_path):
    """A package of that name that is not OpenMMLab's."""
    (tmp_path / "mmengine").mkdir()
    (tmp_path / "mmengine" / "__init__.py").write_text("", encoding="utf-8")
    done = python(["-m", "valloss_compat", "doctor"], tmp_path)
    assert done.returncode == 2
    assert "not OpenMMLab's" in done.stderr


def test_with_nonsense_in_the_environment(nursery, tmp_path):
    """The variable, its value and what is expected; exit status 2."""
    env = {"VALLOSS_COMPAT": "nonsense"}
    done = as_command(nursery, ["doctor"], tmp_path, env=env)
    assert done.returncode == 2
    assert "VALLOSS_COMPAT is 'nonsense'" in done.stderr


def test_main_is_safe_to_import():
    """As tools that walk a package do."""
    import valloss_compat.__main__ as main

    assert main.__name__ == "valloss_compat.__main__"


def test_help_needs_no_mmengine(tmp_path):
    """Nor does it import torch."""
    shown = "import runpy, sys\nsys.argv[:] = ['-m', '--help']\n"
    shown += "try: runpy._run_module_as_main('valloss_compat')\n"
    shown += "finally: print({'torch', 'mmengine'} & set(sys.modules))"
    done = python(["-c", shown], tmp_path)
    assert done.stdout.splitlines()[-1] == "set()"
    assert "doctor" in done.stdout


def test_an_import_in_a_script_still_raises(tmp_path):
    """Only the command line is forgiving: not even python -m of another package."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "__init__.py").write_text(
        "import sys\nsys.modules['mmengine'] = None\nimport valloss_compat"
    )
    (tmp_path / "theirs" / "train.py").write_text("print('ran')")
    done = python(["-m", "theirs.train"], tmp_path)
    assert "UnusableMMEngineError" in done.stderr
    assert done.stdout == ""
    assert util.find_spec("valloss_compat._version") is not None
