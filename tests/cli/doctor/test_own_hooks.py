"""``doctor CONFIG``: which hooks are the known ones, and which somebody's own."""

from __future__ import annotations

import pytest
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from cli.doctor.configs import config, found

OWN_HOOKS = (
    {"type": "MyEarlyStoppingHook", "metric": "val_loss"},
    {"type": "MyEarlyStoppingHook", "monitor": "val/loss", "patience": 0},
    {"type": "MyEarlyStoppingHook", "monitor": "val_loss", "rule": "greater"},
    {"type": "my.hooks.EarlyStoppingHook", "metric": "val_loss"},
    {"type": "MyCheckpointHook", "save_best": {"val_loss": "less"}},
    {"type": "MyCheckpointHook", "save_best": "test_loss", "rule": "any"},
)


@pytest.mark.parametrize("entry", OWN_HOOKS)
def test_a_hook_whose_name_only_ends_as_a_known_one(entry):
    """Nobody knows its arguments: what looks wrong is a note, and no default is."""
    assert found(config(custom_hooks=[entry]), "problem") == []
    notes = found(config(custom_hooks=[entry]), "note")
    doubted = any("that is" in t or "the worst epoch is" in t for t in notes)
    mistaken = {"val/loss", "test_loss"} & {
        entry.get("monitor"),
        str(entry.get("save_best")),
    }
    assert doubted == bool(mistaken or "greater" in entry.values())
    assert not any("the default" in text for text in notes)


@pytest.mark.parametrize("name", ["EarlyStoppingHook", "mine.EarlyStoppingHook"])
def test_a_hook_of_the_very_name_that_is_somebodys_own(monkeypatch, name):
    """One that mmengine finds, registered or by its module."""
    own = type("EarlyStoppingHook", (Hook,), {"__module__": "mine"})
    monkeypatch.setitem(vars(HOOKS), "get", {name: own}.get)
    entry = {"type": name, "metric": "val_loss"}
    assert found(config(custom_hooks=[entry]), "problem") == []


def test_a_hook_whose_module_does_not_import(monkeypatch):
    """It is taken for the one that its name says."""

    def get(name):
        raise ImportError(name)

    monkeypatch.setitem(vars(HOOKS), "get", get)
    entry = {"type": "mine.EarlyStoppingHook"}
    (said,) = found(config(custom_hooks=[entry]), "problem")
    assert "has no monitor" in said


@pytest.mark.parametrize(
    "kind", ["mmdet.EarlyStoppingHook", "mmengine.hooks.EarlyStoppingHook"]
)
def test_a_known_hook_by_its_scope_or_module(kind):
    """Is the known one."""
    (said,) = found(config(custom_hooks=[{"type": kind}]), "problem")
    assert "has no monitor" in said
