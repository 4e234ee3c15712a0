"""``doctor CONFIG``: known hooks and user hooks with similar names."""

from __future__ import annotations

import pytest
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from cli.doctor.configs import config, findings_of

OWN_HOOKS = (
    {"type": "MyEarlyStoppingHook", "metric": "val_loss"},
    {"type": "MyEarlyStoppingHook", "monitor": "val/loss", "patience": 0},
    {"type": "MyEarlyStoppingHook", "monitor": "val_loss", "rule": "greater"},
    {"type": "my.hooks.EarlyStoppingHook", "metric": "val_loss"},
    {"type": "MyCheckpointHook", "save_best": {"val_loss": "less"}},
    {"type": "MyCheckpointHook", "save_best": "test_loss", "rule": "any"},
)


@pytest.mark.parametrize("entry", OWN_HOOKS)
def test_hook_with_similar_name_gives_notes_only(entry):
    """Its arguments and their defaults are unknown."""
    assert findings_of(config(custom_hooks=[entry]), "problem") == []
    notes = findings_of(config(custom_hooks=[entry]), "note")
    is_doubted = any("that is" in t or "the worst epoch is" in t for t in notes)
    mistaken_names = {"val/loss", "test_loss"} & {
        entry.get("monitor"),
        str(entry.get("save_best")),
    }
    assert is_doubted == bool(mistaken_names or "greater" in entry.values())
    assert not any("the default" in text for text in notes)


@pytest.mark.parametrize("name", ["EarlyStoppingHook", "mine.EarlyStoppingHook"])
def test_user_hook_of_same_name_has_no_problem(monkeypatch, name):
    """Registered, or named with its module."""
    user_hook = type("EarlyStoppingHook", (Hook,), {"__module__": "mine"})
    monkeypatch.setitem(vars(HOOKS), "get", {name: user_hook}.get)
    entry = {"type": name, "metric": "val_loss"}
    assert findings_of(config(custom_hooks=[entry]), "problem") == []


def test_hook_that_cannot_be_imported_is_known_by_name(monkeypatch):

    def get(name):
        raise ImportError(name)

    monkeypatch.setitem(vars(HOOKS), "get", get)
    entry = {"type": "mine.EarlyStoppingHook"}
    (expected,) = findings_of(config(custom_hooks=[entry]), "problem")
    assert "has no monitor" in expected


@pytest.mark.parametrize(
    "hook_type", ["mmdet.EarlyStoppingHook", "mmengine.hooks.EarlyStoppingHook"]
)
def test_scope_or_module_of_known_hook_is_resolved(hook_type):
    (expected,) = findings_of(config(custom_hooks=[{"type": hook_type}]), "problem")
    assert "has no monitor" in expected
