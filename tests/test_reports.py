"""CI reads JUnit reports: a cell is green if tests ran and none failed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / ".ci"))

from matrix import rows as matrix_rows
from matrix import run as matrix_run
from matrix.results import Results
from summary import Cell, first_error, write_death
from table import Table

pytestmark = pytest.mark.slow  # asks nothing of mmengine

REPORT = """<?xml version="1.0"?>
<testsuites><testsuite time="1.5" timestamp="2026-11-25T01">
<properties><property name="commit" value="{commit}"/></properties>{cases}
</testsuite></testsuites>"""
PASSED = '<testcase classname="a" name="b"/>'
SKIPPED = '<testcase classname="a" name="c"><skipped message="why"/></testcase>'
FAILED = (
    '<testcase classname="a" name="d"><failure message="assert 1 == 2&#10; more"/>'
    "</testcase>"
)


COMMIT = "0123456789" * 4


def cell(folder, cases, name="cell", commit=COMMIT):
    """Write a report, and read it."""
    text = REPORT.format(cases=cases, commit=commit)
    (folder / f"{name}.xml").write_text(text, encoding="utf-8")
    return Cell(name, folder)


def test_failure_has_its_first_line(tmp_path):
    found = cell(tmp_path, PASSED + SKIPPED + FAILED)
    assert (found.passed, found.failed, found.skipped) == (1, 1, 1)
    assert found.failures == [("a::d", "assert 1 == 2")]
    assert not found.green
    assert cell(tmp_path, PASSED + SKIPPED).green


@pytest.mark.parametrize("cases", ["", SKIPPED, None])
def test_cell_without_a_test_has_failed(tmp_path, cases):
    """With or without a report."""
    found = Cell("none", tmp_path) if cases is None else cell(tmp_path, cases)
    assert found.died
    assert (found.failed, found.green, found.found) == (1, False, cases is not None)


def test_written_death_is_read_as_failure_of_its_commit(tmp_path):
    write_death(tmp_path / "x.xml", "no <disk>", "2026-11-25", {"commit": "abc"})
    found = Cell("x", tmp_path)
    assert found.failures == [("cell::died", "no <disk>")]
    assert found.properties == {"commit": "abc"}


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("ImportError while loading\nE   KeyError: 1\nE   more", "KeyError: 1"),
        ("fine\nuv: error: no torch\nend", "uv: error: no torch"),
        ("one\ntwo\n\n", "two"),
        ("", "its log is empty"),
    ],
)
def test_first_error_of_a_log_is_found(tmp_path, log, expected):
    (tmp_path / "log").write_text(log, encoding="utf-8")
    assert first_error(tmp_path / "log") == expected


def test_matrix_is_whole_with_all_cells_of_one_clean_commit(tmp_path):
    """A missing cell, another commit or a changed tree makes it not whole."""
    table = Table()
    names = table.cells()
    for name in names[1:]:
        cell(tmp_path, PASSED, name)
    part = Results(table, tmp_path)
    assert part.title().startswith(f"NOT WHOLE: {len(names) - 1} of {len(names)} run")
    cell(tmp_path, FAILED + PASSED, names[0])
    whole = Results(table, tmp_path)
    assert whole.title() == f"{len(names) - 1} of {len(names)} cells passed"
    others = {"f" * 40: "f" * 10, f"{COMMIT} with changes": "0123456789 with changes"}
    for commit, shown in others.items():
        cell(tmp_path, PASSED, names[0], commit)
        assert not Results(table, tmp_path).whole
        assert shown in Results(table, tmp_path).details()


def test_picture_of_a_run_does_not_count_as_change(monkeypatch, tmp_path):
    """A second run with --again continues from the reports."""
    monkeypatch.setattr(matrix_run, "ROOT", tmp_path)
    name = ["-c", "user.name=a", "-c", "user.email=a"]
    empty = ["commit", "-q", "--allow-empty", "-m", "first"]
    for words in (["init", "-q"], [*name, *empty]):
        subprocess.run(["git", *words], cwd=str(tmp_path), check=True)
    (tmp_path / "docs").mkdir()
    for name in ("matrix.csv", "matrix.png", "matrix-dark.png"):
        (tmp_path / "docs" / name).touch()
    head, changed = matrix_run.commit()
    assert (len(head), changed) == (40, False)
    (tmp_path / "docs" / "other.md").touch()
    assert matrix_run.commit() == (head, True)


def test_environments_of_an_interrupted_run_are_counted_or_deleted(
    monkeypatch, tmp_path
):
    """Those that are still wanted stay, and count towards the limit of the disk."""
    monkeypatch.setattr(matrix_rows, "ROOT", tmp_path)
    table = Table()
    wanted, done, missing = table.rows[:3]
    for row in (wanted, done):
        (tmp_path / ".tox" / row.environment).mkdir(parents=True)
        (tmp_path / ".tox" / row.environment / "torch").write_bytes(bytes(10**6))
    rows = matrix_rows.Rows(table, tmp_path / "logs", limit=10**9)
    assert rows.adopt([wanted, missing]) == [wanted]
    assert [path.name for path in (tmp_path / ".tox").iterdir()] == [wanted.environment]
    assert rows.peak >= 10**6
