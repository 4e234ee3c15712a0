"""``doctor CONFIG``: hooks whose names are not registered."""

from __future__ import annotations

import pytest
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, Registry

from valloss_compat._cli.doctor import check_hooks


def findings_of_hook(hook_type, scope="mmengine", failed=(), **entry):
    """Return severity and text of the findings on a hook, the second of a config."""
    entries = [{"type": "EMAHook"}, {"type": hook_type, **entry}]
    config = {"default_scope": scope, "custom_hooks": entries}
    return [(f.severity, f.text) for f in check_hooks.check_hooks(config, failed)]


@pytest.fixture
def library(monkeypatch):
    """An installed library that registers a hook when its engine is imported."""
    monkeypatch.setattr(HOOKS, "_children", dict(HOOKS.children))
    registry = Registry("hook", parent=HOOKS, scope="mmlibrary")

    def load(name, *args):
        if name != "mmlibrary.engine":
            raise ImportError(name)
        if "MeanTeacherHook" not in registry.module_dict:
            registry.register_module(name="MeanTeacherHook", module=Hook)

    monkeypatch.setattr(check_hooks.importlib, "import_module", load)


@pytest.mark.parametrize(
    ("hook_type", "suggestion"),
    [
        ("ValLosHook", "ValLossHook"),
        ("valLossHook", "ValLossHook"),
        ("ValLoss", "ValLossHook"),
        ("EarlyStopingHook", "EarlyStoppingHook"),
        ("mmengine.EarlyStopingHook", "EarlyStoppingHook"),
        ("EarlyStopping", "EarlyStoppingHook"),
        ("EarlyStoppingHooks", "EarlyStoppingHook"),
        ("CheckpointHok", "CheckpointHook"),
    ],
)
def test_misspelled_hook_name_is_reported(hook_type, suggestion):
    """With its path in the config and a suggestion."""
    ((severity, text),) = findings_of_hook(hook_type)
    assert severity == "problem"
    assert text.startswith(f"custom_hooks[1] has the type {hook_type!r}, and no hook ")
    assert text.endswith(f"Say {suggestion!r}")


def test_misspelled_default_hook_is_reported():
    """Entries that are no hook config are left to other checks."""
    hooks = {"a": None, "logger": {"interval": 1}, "stop": {"type": "CheckpoitHook"}}
    (finding,) = check_hooks.check_hooks({"default_hooks": hooks}, ())
    assert finding.severity == "problem"
    assert finding.text.startswith("default_hooks.stop has the type 'CheckpoitHook'")


@pytest.mark.parametrize(
    "hook_type",
    [
        "CheckpointHook",
        "mmengine.CheckpointHook",
        "ValLossHook",
        "EarlyStoppingHook",
        "mmdet.ValLossHook",
        "a.full.name.of.ChekpointHook",
        "mine.hooks.ChekpointHook",
        Hook,
    ],
)
def test_known_hook_is_not_reported(hook_type):
    """Nor is a class or a full class name, which need no registry."""
    assert findings_of_hook(hook_type) == []


@pytest.mark.parametrize(
    "hook_type",
    [
        "TeacherHook",
        "MyEarlyStoppingHook",
        "AllCheckpointHook",
        "MyHook",
        "EvalLossHook",
        "EMAHook2",
        "XEMAHook",
        "CheckpointHook2",
        "EmptyCudaCacheHook",
        "SamplerSeedHook",
        "EarlyStopHook",
    ],
)
def test_unknown_hook_of_user_is_a_note(hook_type):
    """The train script may register it, so there is no suggestion."""
    ((severity, text),) = findings_of_hook(hook_type)
    assert severity == "note"
    assert "Say" not in text
    assert "custom_imports can name that module" in text


@pytest.mark.parametrize(
    ("hook_type", "scope", "failed"),
    [
        ("CheckpoitHook", "mmnowhere", ()),
        ("mmnowhere.CheckpoitHook", "mmengine", ()),
        ("CheckpoitHook", "mmengine", [("mmnowhere", "ModuleNotFoundError")]),
    ],
    ids=["default_scope", "scope", "custom_imports"],
)
def test_unknown_hook_with_failed_import_is_a_note(hook_type, scope, failed):
    """If the name looks like a typo. Other names are not reported."""
    ((severity, text),) = findings_of_hook(hook_type, scope, failed)
    assert severity == "note"
    assert "if mmnowhere, which cannot be imported here, has none either" in text
    assert text.endswith("say 'CheckpointHook'")
    assert (
        findings_of_hook(hook_type.replace("Checkpoit", "Teacher"), scope, failed) == []
    )


def test_library_sorted_before_mmengine_gets_plain_suggestion():
    ((_, text),) = findings_of_hook("aaa.CheckpoitHook")
    assert "if aaa, which cannot be imported here, has none either" in text


def test_library_that_exits_on_import_cannot_be_imported(monkeypatch):
    """The check goes on after a SystemExit."""

    def exit_on_import(name):
        raise SystemExit(3)

    monkeypatch.setattr(check_hooks.importlib, "import_module", exit_on_import)
    ((severity, text),) = findings_of_hook("mmlibrary.CheckpoitHook")
    assert severity == "note"
    assert "if mmlibrary, which cannot be imported here, has none either" in text


def test_hooks_of_installed_library_are_found(library):
    """In every spelling of the scope. A typo in their names is a problem."""
    assert findings_of_hook("MeanTeacherHook", "mmlibrary") == []
    assert findings_of_hook("mmlibrary.MeanTeacherHook") == []
    assert findings_of_hook("MeanTeacherHook", _scope_="mmlibrary") == []
    for hook_type, scope, suggestion in (
        ("MeanTeecherHook", "mmlibrary", "MeanTeacherHook"),
        ("mmlibrary.MeanTeecherHook", "mmengine", "mmlibrary.MeanTeacherHook"),
        ("MeanTeacherHook", "mmengine", "mmlibrary.MeanTeacherHook"),
    ):
        ((severity, text),) = findings_of_hook(hook_type, scope)
        assert severity == "problem"
        assert text.endswith(f"Say {suggestion!r}")


def test_library_hook_of_same_name_does_not_change_suggestion(library):
    """The suggestion has no scope, as the plain name is registered."""
    for name in ("ValLossHook", "CheckpointHook"):
        HOOKS.children["mmlibrary"].register_module(name=name, module=Hook)
        ((_, text),) = findings_of_hook(name.replace("Hook", "Hok"))
        assert text.endswith(f"Say {name!r}")


def test_registry_that_raises_gives_a_note(monkeypatch):
    """As with a registry that names a missing module."""

    def get(key):
        raise RuntimeError(key)

    monkeypatch.setitem(vars(HOOKS), "get", get)  # setattr would leave a method there
    assert {severity for severity, _ in findings_of_hook("MyHook")} == {"note"}
