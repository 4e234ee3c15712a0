"""The scripts of .ci: the table, tests of mmengine, order of tests, list of words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / ".ci"))

import cell
import outside
import words
from mutation import server
from table import Table

pytestmark = pytest.mark.slow  # asks nothing of mmengine

TESTS = Path(__file__).resolve().parent


@pytest.mark.parametrize(
    ("module", "first", "last"),
    [
        ("_recording/accumulator", "recording/test_accumulator.py", "integration"),
        ("_cli/doctor/check_model", "cli/doctor", "cli"),
        ("_libraries/__init__", "libraries", "libraries"),
        ("_api", "test_api.py", "test_api.py"),
    ],
)
def test_tests_of_a_mutated_module_run_first(module, first, last):
    near = server.groups(module, TESTS)["near"]
    assert near[0].startswith(first)
    assert near[-1].startswith(last)


@pytest.mark.parametrize("module", ["_patches/loops", "hooks/val_loss_hook", "-"])
def test_every_test_is_in_one_group(module):
    """Without a mutant (`-`), slow tests run too."""
    found = server.groups(module, TESTS)
    options = [] if module == "-" else ["-m", "not slow"]
    far = found["far"][len(options) :]
    assert found["far"][: len(options)] == options
    every = [str(path.relative_to(TESTS)) for path in TESTS.rglob("test_*.py")]
    run = [name for name in every if Path(name).name not in server.NEVER]
    assert sorted([*found["near"], *far]) == sorted(run)
    assert Path(far[-1]).name in server.LAST


def test_places_of_tests_that_do_not_mirror_a_module_exist():
    for place in (place for places in server.ELSEWHERE.values() for place in places):
        assert (TESTS / place).exists()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("told_by = 1", [(1, "told")]),
        ("class HouseSeam: pass", [(1, "house"), (1, "seam")]),
        ("def f(ROOM): pass", [(1, "room")]),
        ("x.way_out()", [(1, "way out")]),
        ("def look(): pass", [(1, "def look")]),
        ("x = 1  # made anew", [(1, "anew")]),
        ('"""One.\n\nThe way\nout."""', [(3, "way out")]),
        ('class A:\n    """Theirs."""', [(2, "theirs")]),
        ('def f():\n    # a\n    """It hangs\n    on b."""', [(3, "hangs on")]),
        ('A = 1\n"""Somebody."""', [(2, "somebody")]),
        ("# it hangs\n# on this", [(1, "hangs on")]),
    ],
)
def test_private_word_in_name_comment_or_docstring_is_found(source, expected):
    found = [(line, word) for line, word, _ in words.in_source(source)]
    assert found == expected


@pytest.mark.parametrize(
    "source",
    [
        "raise ValueError('nobody told us')",
        "f(\n    'whose is it',\n    a='seam')",
        "f(f'{ours} {ours:{theirs}} a')",
        "interface = surface = housekeeping = 1  # bathroom, unquiet",
        "outlook = lookup = x.look()",
        "away_outside = see_token = 1",
        "# it hangs\n\n# on its own",
        "# see the\n# town",
    ],
)
def test_message_or_longer_word_is_not_found(source):
    assert words.in_source(source) == []


def test_each_finding_is_reported_with_its_place(tmp_path):
    for name in ("valloss_compat/_cli/a.py", "valloss_compat/_libraries/b.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("a = 1\nseam = 2\n", encoding="utf-8")
    found = words.in_files(["valloss_compat"], tmp_path)
    assert found == [
        "valloss_compat/_cli/a.py:2: seam -> wrapper, patch point",
        "valloss_compat/_libraries/b.py:2: seam -> wrapper, patch point",
    ]


def test_exit_code_tells_whether_a_word_was_found(tmp_path):
    script = Path(words.__file__)
    path = tmp_path / "a.py"
    for source, code in (("a = 1", 0), ("ours = 1", 1)):
        path.write_text(source, encoding="utf-8")
        done = subprocess.run([sys.executable, str(script), str(path)], cwd=str(TESTS))
        assert done.returncode == code


def test_core_runs_releases_of_its_rows():
    """A row that lacks a release has not what it needs."""
    table = Table()
    for row in table.rows:
        assert set(row.core) <= {release.name for release in table.releases_on(row)}
    assert sum(len(row.core) for row in table.rows) > 9


def test_one_release_runs_the_slow_tests_of_a_row():
    """One of those that run, also where these are a part of the row."""
    table = Table()
    for row in table.rows:
        core = list(map(table.release, row.core))
        for releases in filter(None, (table.releases_on(row), core)):
            slow = table.slow_of(row, releases)
            assert slow in releases
            for release in releases:
                name = f"{row.name}-{release.name}"
                variables = cell.environment({}, name, [], slow)
                stand_in = "" if release == slow else slow.name
                assert variables["VALLOSS_COMPAT_SLOW_TESTS_ON"] == stand_in


REPORT = """<testsuites><testsuite>
<testcase classname="tests.test_a.TestA" name="test_one" file="tests/test_a.py"/>
<testcase classname="tests.test_a" name="test_two" file="tests/test_a.py"><failure/>
</testcase><testcase classname="tests.test_a" name="test_two" file="tests/test_a.py">
<error/></testcase>
<testcase classname="" name="tests.test_b"><error message="collection"/></testcase>
</testsuite></testsuites>"""


def test_outcomes_of_a_report_have_the_file_of_each_test(tmp_path):
    path = tmp_path / "report.xml"
    crashed = outside.outcomes_in(path, ["tests"], -11)
    assert crashed == {("tests", "process"): ["exit status -11"]}
    path.write_text(REPORT, encoding="utf-8")
    assert outside.outcomes_in(path, ["tests"], 1) == {
        ("tests/test_a.py", "TestA::test_one"): ["passed"],
        ("tests/test_a.py", "test_a::test_two"): ["failure+error"],
        ("tests", "::tests.test_b"): ["error"],
    }


@pytest.mark.parametrize(
    ("later", "number", "verdict"),
    [
        (["passed", "failure"], 0, "flips by itself"),
        (["passed", "passed"], 1, "CHANGED BY THE PACKAGE"),
    ],
)
def test_only_a_test_that_flips_without_the_package_may_differ(
    monkeypatch, capsys, later, number, verdict
):
    """Its file runs again until that is known, and no other file does."""
    key, other = ("tests/test_a.py", "test"), ("tests/test_b.py", "test")
    outcomes = {"control": ["passed", *later], "patched": ["failure"] * 3}
    ran = []

    def run(source, tests, state, timeout):
        ran.append(tests)
        return {key: [outcomes[state].pop(0)], other: ["passed"]}

    monkeypatch.setattr(outside, "run", run)
    assert outside.compare(Path(), "tests", 1, repeat=2) == number
    assert ran == [["tests"]] * 2 + [[key[0]]] * 4
    assert f"tests/test_a.py test: {verdict}" in capsys.readouterr().out
