"""``doctor CONFIG``: hooks with names that are not registered."""

from __future__ import annotations

import pytest
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, Registry

from valloss_compat._cli.doctor import check_hooks


def findings_of_hook(hook_type, scope="mmengine", failed=(), **entry):
    """Return severity and text of the findings on a hook, the second of a config."""
    entries = [{"type": "EMAHook"}, {"type": hook_type, **entry}]
    config = {"default_scope": scope, "custom_hooks": entries}
    return [(f.severity, f.text) for f in check_hooks.build(config, failed).findings]


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
        ("EarlyStopHook", "EarlyStoppingHook"),
        ("CheckpointHok", "CheckpointHook"),
    ],
)
def test_misspelled_hook_name_is_reported(hook_type, suggestion):
    """With its path in the config and a suggestion."""
    ((severity, text),) = findings_of_hook(hook_type)
    assert severity == "problem"
    assert text.startswith(f"custom_hooks[1] has the type {hook_type!r}, which is not")
    assert text.endswith(f"Did you mean {suggestion!r}?")


def test_default_hooks_are_checked():
    """None removes a hook. An entry without a type ends the training."""
    hooks = {"a": None, "logger": {"interval": 1}, "stop": {"type": "CheckpoitHook"}}
    findings = check_hooks.build({"default_hooks": hooks}, ()).findings
    assert {finding.severity for finding in findings} == {"problem"}
    no_type, misspelled = (finding.text for finding in findings)
    assert no_type.startswith("default_hooks.logger has no type")
    assert misspelled.startswith("default_hooks.stop has the type 'CheckpoitHook'")


@pytest.mark.parametrize(
    "hook_type",
    [
        "CheckpointHook",
        "mmengine.CheckpointHook",
        "ValLossHook",
        "EarlyStoppingHook",
        Hook,
    ],
)
def test_known_hook_is_not_reported(hook_type):
    """Nor is a class, which needs no registry."""
    arguments = {"monitor": "val_loss"} if hook_type == "EarlyStoppingHook" else {}
    assert findings_of_hook(hook_type, **arguments) == []


@pytest.mark.parametrize(
    "hook_type",
    ["mmdet.ValLossHook", "a.full.name.of.ChekpointHook", "mine.hooks.ChekpointHook"],
)
def test_hook_of_a_package_that_is_not_here_is_not_checked(hook_type):
    """By its scope or by its full class name."""
    ((severity, text),) = findings_of_hook(hook_type)
    assert severity == "not checked"
    assert f"{hook_type.partition('.')[0]} cannot be imported here" in text


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
    ],
)
def test_unknown_hook_of_user_is_not_checked(hook_type):
    """The train script may register it, so there is no suggestion."""
    ((severity, text),) = findings_of_hook(hook_type)
    assert severity == "not checked"
    assert "Did you mean" not in text
    assert "name that module in custom_imports" in text


@pytest.mark.parametrize(
    ("hook_type", "scope", "failed"),
    [
        ("CheckpoitHook", "mmnowhere", ()),
        ("mmnowhere.CheckpoitHook", "mmengine", ()),
        ("CheckpoitHook", "mmengine", [("mmnowhere", "ModuleNotFoundError")]),
    ],
    ids=["default_scope", "scope", "custom_imports"],
)
def test_unknown_hook_with_failed_import_is_not_checked(hook_type, scope, failed):
    """A name that looks like a typo gets a suggestion."""
    ((severity, text),) = findings_of_hook(hook_type, scope, failed)
    assert severity == "not checked"
    assert "not registered: mmnowhere cannot be imported here" in text
    assert text.endswith("Did you mean 'CheckpointHook'?")
    other = hook_type.replace("Checkpoit", "Teacher")
    ((severity, text),) = findings_of_hook(other, scope, failed)
    assert severity == "not checked"
    assert text.endswith("mmnowhere cannot be imported here")


def test_library_sorted_before_mmengine_gets_plain_suggestion():
    ((_, text),) = findings_of_hook("aaa.CheckpoitHook")
    assert "aaa cannot be imported here. Did you mean 'CheckpointHook'?" in text


def test_library_that_exits_on_import_cannot_be_imported(monkeypatch):
    """The check goes on after a SystemExit."""

    def exit_on_import(name):
        raise SystemExit(3)

    monkeypatch.setattr(check_hooks.importlib, "import_module", exit_on_import)
    ((severity, text),) = findings_of_hook("mmlibrary.CheckpoitHook")
    assert severity == "not checked"
    assert "mmlibrary cannot be imported here" in text


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
        assert text.endswith(f"Did you mean {suggestion!r}?")


def test_library_hook_of_same_name_does_not_change_suggestion(library):
    """The suggestion has no scope, as the plain name is registered."""
    for name in ("ValLossHook", "CheckpointHook"):
        HOOKS.children["mmlibrary"].register_module(name=name, module=Hook)
        ((_, text),) = findings_of_hook(name.replace("Hook", "Hok"))
        assert text.endswith(f"Did you mean {name!r}?")


def test_registry_that_raises_is_not_checked(monkeypatch):
    """As with a registry that names a missing module."""

    def get(key):
        raise RuntimeError(key)

    monkeypatch.setitem(vars(HOOKS), "get", get)  # setattr would leave a method there
    assert {level for level, _ in findings_of_hook("MyHook")} == {"not checked"}
