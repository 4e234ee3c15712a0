"""``doctor``: its report on this environment, as text and as JSON."""

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
from valloss_compat._cli.doctor.report import Finding, as_text


def test_json_document_of_working_environment(nursery, tmp_path):
    """With exit status 0 and no file left behind."""
    document = examine(nursery, tmp_path, env={"TMPDIR": str(tmp_path)})
    assert texts(document, "problem") == []
    assert list(document) == [
        "schema",
        "environment",
        "status",
        "config",
        "findings",
        "exit_code",
    ]
    environment = document["environment"]
    assert environment["mmengine"]["version"] == mmengine.__version__
    assert environment["torch"]["version"] == torch.__version__
    assert environment["valloss_compat"]["version"] == __version__
    assert environment["python"]["where"] == sys.executable
    version = "{}.{}.{}".format(*sys.version_info)
    assert environment["python"]["version"] == version
    assert environment["mmengine"]["where"] == os.path.dirname(mmengine.__file__)
    assert document["schema"] == 1
    assert any("val_loss = 2.5 and 3.5" in text for text in texts(document, "ok"))
    active = len(document["status"]["patches"])
    assert any(
        text.startswith(f"patches: {active} patches are active: ")
        for text in texts(document, "ok")
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_text_report_of_working_environment(tmp_path):
    """In a cold process: versions, findings and verdict, nothing of git on stderr."""
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


def test_report_does_not_break_words(monkeypatch):
    """So that a name with hyphens can be copied from a narrow terminal."""
    monkeypatch.setenv("COLUMNS", "60")
    words = ["onedl-mmengine"] * 20
    status = {"options": {"mode": "default"}}
    findings = [Finding("patches", "note", " ".join(words))]
    document = {"environment": {}, "status": status, "findings": findings}
    lines = as_text(document).splitlines()
    assert max(map(len, lines)) <= 60
    assert " ".join(lines).split()[4:-3] == words


@pytest.mark.parametrize(
    ("columns", "width"), [("20", 60), ("80", 80), ("200", 100), (None, 100)]
)
def test_report_is_as_wide_as_the_terminal(monkeypatch, columns, width):
    """From 60 to 100 columns. A longer path stays on one line."""
    if columns is None:  # no terminal at all
        monkeypatch.delenv("COLUMNS", raising=False)
        monkeypatch.setattr(sys, "__stdout__", None)
    else:
        monkeypatch.setenv("COLUMNS", columns)
    findings = [Finding("ab", "ok", "x " * 200 + "y" * 120)]
    status = {"options": {"mode": "default"}}
    document = {"environment": {}, "status": status, "findings": findings}
    first, *others, path = as_text(document).splitlines()[2:-2]
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
def test_report_names_distribution_of_fork(distribution, shown):
    package = {"version": "0.10.4", "where": "/here", "distribution": distribution}
    status = {"options": {"mode": "default"}}
    document = {"environment": {"mmengine": package}, "status": status, "findings": []}
    assert as_text(document).splitlines()[0] == shown


def test_mode_off_is_a_problem(nursery, tmp_path):
    """The message names the variable."""
    document = examine(nursery, tmp_path, env={"VALLOSS_COMPAT": "off"})
    first = texts(document, "problem")[0]
    assert first.startswith("patches: nothing is patched: VALLOSS_COMPAT=off")
    assert len(texts(document, "problem")) == 1
    (text,) = texts(document, "not checked")
    assert text == "validation: no tiny training, as nothing is patched"


def test_unknown_mmengine_is_a_problem(nursery, tmp_path):
    """Nothing is patched. With ``strict`` the exit status is 2."""
    mutate = """
from mmengine.runner import LogProcessor
del LogProcessor.get_log_after_epoch
"""
    document = examine(nursery, tmp_path, before=mutate)
    assert document["status"]["plan"] == "unknown"
    problems = texts(document, "problem")
    assert any("has an unknown structure" in text for text in problems)
    # The warning of the import becomes a note.
    warnings = [
        t for t in texts(document, "note") if t.startswith("patches: nothing is pat")
    ]
    assert len(warnings) == 1
    done = as_command(
        nursery, ["doctor"], tmp_path, {"VALLOSS_COMPAT": "strict=true"}, mutate
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("python -m valloss_compat doctor: error: mmengine ")
    assert done.stderr.endswith("or leave strict out to train unpatched\n")


MISSING = """
import runpy, sys
sys.modules['mmengine'] = None
sys.argv[:] = ['-m', 'doctor']
runpy._run_module_as_main('valloss_compat')
"""


@pytest.mark.parametrize("variable", ["default", "off"])
def test_missing_mmengine_exits_with_2(tmp_path, variable):
    """With the remedy and without a traceback."""
    done = python(["-c", MISSING], tmp_path, env={"VALLOSS_COMPAT": variable})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("python -m valloss_compat doctor: error: valloss_com")
    assert "pip install 'mmengine==" in done.stderr
    assert "Traceback" not in done.stderr


def test_unrelated_mmengine_exits_with_2(tmp_path):
    """A package of the same name that is not OpenMMLab's."""
    (tmp_path / "mmengine").mkdir()
    (tmp_path / "mmengine" / "__init__.py").write_text("", encoding="utf-8")
    done = python(["-m", "valloss_compat", "doctor"], tmp_path)
    assert done.returncode == 2
    assert "not OpenMMLab's" in done.stderr


def test_invalid_variable_exits_with_2(nursery, tmp_path):
    """The message names the variable and its value."""
    env = {"VALLOSS_COMPAT": "nonsense"}
    done = as_command(nursery, ["doctor"], tmp_path, env=env)
    assert done.returncode == 2
    assert "VALLOSS_COMPAT is 'nonsense'" in done.stderr


def test_main_module_can_be_imported():
    """As tools that import all modules of a package do."""
    import valloss_compat.__main__ as main

    assert main.__name__ == "valloss_compat.__main__"


def test_help_imports_no_mmengine(tmp_path):
    """Nor torch."""
    shown = "import runpy, sys\nsys.argv[:] = ['-m', '--help']\n"
    shown += "try: runpy._run_module_as_main('valloss_compat')\n"
    shown += "finally: print({'torch', 'mmengine'} & set(sys.modules))"
    done = python(["-c", shown], tmp_path)
    assert done.stdout.splitlines()[-1] == "set()"
    assert "doctor" in done.stdout


def test_import_in_a_script_raises_without_mmengine(tmp_path):
    """Only the package's own commands start without mmengine."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "__init__.py").write_text(
        "import sys\nsys.modules['mmengine'] = None\nimport valloss_compat"
    )
    (tmp_path / "other" / "train.py").write_text("print('ran')")
    done = python(["-m", "other.train"], tmp_path)
    assert "UnusableMMEngineError" in done.stderr
    assert done.stdout == ""
    assert util.find_spec("valloss_compat._version") is not None
