"""Which class a config entry names: as mmengine would find it, or none."""

from __future__ import annotations

import pytest
from mmengine.registry import LOOPS, Registry
from mmengine.runner import ValLoop

from valloss_compat._cli.doctor.registry import registered


class Theirs(ValLoop):
    """Of a library."""


@pytest.fixture(autouse=True)
def library(monkeypatch):
    """A library whose registry is loaded, with a loop and a function."""
    monkeypatch.setattr(LOOPS, "_children", dict(LOOPS.children))
    registry = Registry("loop", parent=LOOPS, scope="mmtheirs")
    registry.register_module(name="Theirs", module=Theirs)
    registry.register_module(name="make", module=lambda **_: None)


@pytest.mark.parametrize(
    ("entry", "config", "found"),
    [
        ({"type": "Theirs"}, {"default_scope": "mmtheirs"}, Theirs),
        ({"type": "Theirs", "_scope_": "mmtheirs"}, {}, Theirs),
        ({"type": "Theirs", "_scope_": "mmtheirs"}, {"default_scope": "n_o"}, Theirs),
        ({"type": "mmtheirs.Theirs"}, {}, Theirs),
        ({"type": "ValLoop"}, {"default_scope": "mmtheirs"}, ValLoop),
        ({"type": "ValLoop"}, {"default_scope": "n_o"}, ValLoop),
        ({"type": "ValLoop"}, {}, ValLoop),
        ({"type": "Theirs"}, {}, None),
        ({"type": "Theirs", "_scope_": "n_o"}, {"default_scope": "mmtheirs"}, None),
        ({"type": "Nobodys"}, {"default_scope": "mmtheirs"}, None),
        ({"type": "make"}, {"default_scope": "mmtheirs"}, None),
        ({}, {"default_scope": "mmtheirs"}, None),
        (None, {}, None),
    ],
)
def test_the_scope_of_the_entry_then_that_of_the_config(entry, config, found):
    assert registered("LOOPS", entry, config) is found


def test_a_registry_that_raises(monkeypatch):
    """As where the library of a scope does not import: there is no class to see."""

    def get(name):
        raise ImportError(name)

    monkeypatch.setitem(vars(LOOPS), "get", get)  # setattr would leave a method there
    assert registered("LOOPS", {"type": "Theirs"}, {"default_scope": "mmdet"}) is None


def test_a_registry_that_raises_for_a_scope(monkeypatch):
    """The name alone is looked up all the same, as by the registry's parents."""

    def get(name):
        if "." in name:
            raise ImportError(name)
        return ValLoop

    monkeypatch.setitem(vars(LOOPS), "get", get)
    config = {"default_scope": "mmdet"}
    assert registered("LOOPS", {"type": "ValLoop"}, config) is ValLoop
