"""The recordings themselves, without running mmengine."""

from __future__ import annotations

import pytest

from .cases import all_cases
from .contract import ROWS
from .recordings import NATIVE, UNPATCHED, differences, dumps, load, path_of

# Case -> why the three native releases do not agree on it. None at present.
NATIVE_DISAGREES = {}  # type: dict[str, str]


@pytest.mark.parametrize("name", NATIVE[:-1])
def test_native_releases_agree(name):
    """0.10.5, 0.10.6 and 0.10.7 agree in all cases except those listed."""
    one, last = load(name)["cases"], load(NATIVE[-1])["cases"]
    assert set(one) == set(last)
    disagree = {case for case in one if differences(last[case], one[case])}
    assert disagree == set(NATIVE_DISAGREES)


@pytest.mark.parametrize("name", [*NATIVE, UNPATCHED])
def test_recording_has_all_cases_and_its_versions(name):
    """A new case has to be recorded on every release."""
    recording = load(name)
    assert set(recording["cases"]) == set(all_cases())
    assert recording["meta"]["mmengine"] == name.rsplit("-", 1)[1]
    assert {"python", "torch"} <= set(recording["meta"])


@pytest.mark.parametrize("name", [*NATIVE, UNPATCHED])
def test_recording_is_as_the_script_writes_it(name):
    """It was not edited by hand."""
    with open(path_of(name), encoding="utf-8") as file:
        assert file.read() == dumps(load(name))


def test_unpatched_release_reports_no_losses():
    """The recording of 0.10.4 was made without patches."""
    for name, trace in load(UNPATCHED)["cases"].items():
        assert trace["losses"] == {}, name
        assert trace["warnings"] == [], name
        reported = [key for metrics in trace["returned"] for key, _ in metrics]
        known = [key for _, v in all_cases()[name].metrics for key in v]
        assert {key.rsplit("/")[-1] for key in reported} <= set(known), name


def test_every_row_of_the_contract_has_a_case():
    """Each row has a case, and each case has a row."""
    assert {case.row for case in all_cases().values()} == ROWS
    assert len(all_cases()) >= 25


def test_case_with_a_default_differs_from_native():
    """A case that behaves as native needs no ``Default``."""
    native = load(NATIVE[-1])["cases"]
    for name, case in all_cases().items():
        if case.default is not None and case.default.returned is not None:
            assert differences(native[name]["returned"], case.default.returned), name
        elif case.default is not None and case.default.raises:
            assert native[name]["raised"] != case.default.raises, name
        elif case.default is not None:
            assert native[name]["raised"] is not None, name
