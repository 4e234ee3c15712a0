"""The class that a config entry names is looked up as mmengine does."""

from __future__ import annotations

import pytest
from mmengine.registry import LOOPS, Registry
from mmengine.runner import ValLoop

from valloss_compat._cli.doctor.class_lookup import registered


class LibraryLoop(ValLoop):
    """A loop of a library."""


@pytest.fixture(autouse=True)
def library(monkeypatch):
    """A library with a loaded registry, a loop and a function."""
    monkeypatch.setattr(LOOPS, "_children", dict(LOOPS.children))
    registry = Registry("loop", parent=LOOPS, scope="mmlibrary")
    registry.register_module(name="LibraryLoop", module=LibraryLoop)
    registry.register_module(name="make", module=lambda **_: None)


@pytest.mark.parametrize(
    ("entry", "config", "expected"),
    [
        ({"type": "LibraryLoop"}, {"default_scope": "mmlibrary"}, LibraryLoop),
        ({"type": "LibraryLoop", "_scope_": "mmlibrary"}, {}, LibraryLoop),
        (
            {"type": "LibraryLoop", "_scope_": "mmlibrary"},
            {"default_scope": "n_o"},
            LibraryLoop,
        ),
        ({"type": "mmlibrary.LibraryLoop"}, {}, LibraryLoop),
        ({"type": "ValLoop"}, {"default_scope": "mmlibrary"}, ValLoop),
        ({"type": "ValLoop"}, {"default_scope": "n_o"}, ValLoop),
        ({"type": "ValLoop"}, {}, ValLoop),
        ({"type": "LibraryLoop"}, {}, None),
        (
            {"type": "LibraryLoop", "_scope_": "n_o"},
            {"default_scope": "mmlibrary"},
            None,
        ),
        ({"type": "Unregistered"}, {"default_scope": "mmlibrary"}, None),
        ({"type": "make"}, {"default_scope": "mmlibrary"}, None),
        ({}, {"default_scope": "mmlibrary"}, None),
        (None, {}, None),
    ],
)
def test_scope_of_entry_precedes_default_scope(entry, config, expected):
    assert registered("LOOPS", entry, config) is expected


def test_registry_that_raises_finds_nothing(monkeypatch):
    """As with a library that cannot be imported."""

    def get(name):
        raise ImportError(name)

    monkeypatch.setitem(vars(LOOPS), "get", get)  # setattr would leave a method there
    assert (
        registered("LOOPS", {"type": "LibraryLoop"}, {"default_scope": "mmdet"}) is None
    )


def test_name_without_scope_is_looked_up_after_an_error(monkeypatch):
    """As mmengine does in the registry's parents."""

    def get(name):
        if "." in name:
            raise ImportError(name)
        return ValLoop

    monkeypatch.setitem(vars(LOOPS), "get", get)
    config = {"default_scope": "mmdet"}
    assert registered("LOOPS", {"type": "ValLoop"}, config) is ValLoop
