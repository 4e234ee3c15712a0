"""The scripts of .ci: which tests the mutation run tries first."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / ".ci"))

from mutation import server

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
