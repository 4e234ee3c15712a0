"""Replays the recorded cases on the installed mmengine, in both modes."""

from __future__ import annotations

import re

import pytest

from valloss_compat import _api

from .cases import all_cases
from .record import is_native
from .recordings import NATIVE, UNPATCHED, differences, load
from .trace import run_case, unavailable

CASES = all_cases()
NATIVE_CASES = load(NATIVE[-1])["cases"]
UNPATCHED_CASES = load(UNPATCHED)["cases"]

# Warnings of mmengine itself are not tested here.
pytestmark = pytest.mark.filterwarnings(
    "ignore",
    "error:::valloss_compat",
    "error::valloss_compat.VallossCompatWarning",
)


@pytest.fixture
def in_mode(monkeypatch):
    """Switch to a mode for the length of a test."""
    monkeypatch.delenv("VALLOSS_COMPAT", raising=False)
    # Not apply(), which builds a status; each test ends in default mode.
    return _api.start


def replay(name, work_dir):
    reason = unavailable(CASES[name])
    if reason is not None:
        pytest.skip(reason)
    return run_case(CASES[name], str(work_dir))


def without(trace, *keys):
    return {key: value for key, value in trace.items() if key not in keys}


def with_metrics(calls, returned):
    """Return the calls with other metrics in ``after_val_epoch``."""
    metrics = iter(returned)
    epochs = ("after_val_epoch", "after_test_epoch")
    return [[c[0], next(metrics)] if c[0] in epochs else c for c in calls]


@pytest.mark.parametrize("name", sorted(CASES))
def test_parity_mode_is_native_bug_for_bug(name, in_mode, tmp_path):
    """Everything is as recorded from native 0.10.7, including errors."""
    in_mode("parity")
    trace = replay(name, tmp_path)
    expected = without(NATIVE_CASES[name], "message")
    assert_same(expected, without(trace, "message"))


@pytest.mark.parametrize("name", sorted(n for n in CASES if not CASES[n].default))
def test_default_mode_is_as_native(name, in_mode, tmp_path):
    """Everything is as recorded, except for warnings that the contract requires."""
    in_mode("default")
    trace = replay(name, tmp_path)
    expected = without(NATIVE_CASES[name], "message", "warnings")
    assert_same(expected, without(trace, "message", "warnings"))
    assert_warned(trace, name)


@pytest.mark.parametrize("name", sorted(n for n in CASES if CASES[n].default))
def test_default_mode_differs_as_in_the_contract(name, in_mode, tmp_path):
    """The outcome is the one derived by hand from the contract."""
    in_mode("default")
    trace = replay(name, tmp_path)
    default = CASES[name].default
    assert default is not None
    if default.passes_through:
        expected = UNPATCHED_CASES[name]
        for key in ("returned", "raised", "calls"):
            assert_same(expected[key], trace[key], key)
        # Unpatched loops have no such attribute; here it is empty.
        assert not any(trace["losses"].values())
        assert not any(trace["at_start"])
    elif default.raises:
        assert trace["raised"] == default.raises
        assert trace["returned"] == []
        assert re.search(default.matches, trace["message"])
    else:
        assert trace["raised"] is None, trace["message"]
        assert default.returned is not None
        assert_same(default.returned, trace["returned"], "returned")
        like = NATIVE_CASES[default.calls_like or name]
        expected_calls = with_metrics(like["calls"], default.returned)
        assert_same(expected_calls, trace["calls"], "calls")
        assert_same(like["at_start"], trace["at_start"], "at_start")
        assert_same(means(default.returned[-1], name), trace["losses"])
    assert_warned(trace, name)


def means(returned, name):
    """Return the expected mapping of the loop: neither metrics nor the total."""
    stage = CASES[name].runs[-1]
    metrics = [key for _, values in CASES[name].metrics for key in values]
    kept = [p for p in returned if p[0] not in [*metrics, f"{stage}_loss"]]
    return {stage: kept}


def assert_same(expected, actual, path=""):
    """Assert that nothing differs; the failure lists the differences."""
    found = differences(expected, actual, path)
    assert not found, "\n".join(found)


def assert_warned(trace, name):
    """Assert that the package logs the expected warnings, and no others."""
    patterns = CASES[name].warns
    assert len(trace["warnings"]) == len(patterns), trace["warnings"]
    for pattern, message in zip(patterns, trace["warnings"]):
        assert re.search(pattern, message)


@pytest.mark.skipif(not is_native(), reason="this mmengine is not native")
def test_parity_mode_does_not_patch_native(in_mode):
    """Only the registry is patched: the behaviour is that of mmengine."""
    in_mode("parity")
    patches = _api.status().patches
    applied = [patch.target for patch in patches if patch.state == "active"]
    assert applied == ["mmengine.registry.registry.Registry.get"]  # for ValLossHook


def test_unpatched_mmengine_is_as_recorded(nursery):
    """In a process without this package, the recordings hold on this release too."""
    done = nursery.run(
        "import sys\n"
        "sys.argv[1:] = ['--check']\n"
        "from conformance.record import main\n"
        "main()"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cases: as recorded in" in done.stdout
