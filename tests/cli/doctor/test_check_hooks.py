"""``doctor CONFIG``: hooks by names that nobody has registered."""

from __future__ import annotations

import pytest
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, Registry

from valloss_compat._cli.doctor import check_hooks


def look(kind, scope="mmengine", failed=(), **entry):
    """Severity and text of what is said of one hook, which is the second."""
    entries = [{"type": "EMAHook"}, {"type": kind, **entry}]
    config = {"default_scope": scope, "custom_hooks": entries}
    return [(f.severity, f.text) for f in check_hooks.check_hooks(config, failed)]


@pytest.fixture
def theirs(monkeypatch):
    """A library that is installed, and registers a hook once its engine is imported."""
    monkeypatch.setattr(HOOKS, "_children", dict(HOOKS.children))
    registry = Registry("hook", parent=HOOKS, scope="mmtheirs")

    def load(name, *args):
        if name != "mmtheirs.engine":
            raise ImportError(name)
        if "MeanTeacherHook" not in registry.module_dict:
            registry.register_module(name="MeanTeacherHook", module=Hook)

    monkeypatch.setattr(check_hooks.importlib, "import_module", load)


@pytest.mark.parametrize(
    ("kind", "meant"),
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
def test_a_slip_is_a_problem(kind, meant):
    """With its place, and the name that was meant."""
    ((severity, text),) = look(kind)
    assert severity == "problem"
    assert text.startswith(f"custom_hooks[1] has the type {kind!r}, and no hook ")
    assert text.endswith(f"Say {meant!r}")


def test_a_default_hook():
    """Is looked at as well; what is no hook's config is left to other checks."""
    hooks = {"a": None, "logger": {"interval": 1}, "stop": {"type": "CheckpoitHook"}}
    (found,) = check_hooks.check_hooks({"default_hooks": hooks}, ())
    assert found.severity == "problem"
    assert found.text.startswith("default_hooks.stop has the type 'CheckpoitHook'")


@pytest.mark.parametrize(
    "kind",
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
def test_what_is_known_is_not_told_of(kind):
    """Nor is a class, or its full name, which no registry has to know."""
    assert look(kind) == []


@pytest.mark.parametrize(
    "kind",
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
def test_a_name_of_somebodys_own(kind):
    """The train script may register it: a note, and no guess at what was meant."""
    ((severity, text),) = look(kind)
    assert severity == "note"
    assert "Say" not in text
    assert "custom_imports can name that module" in text


@pytest.mark.parametrize(
    ("kind", "scope", "failed"),
    [
        ("CheckpoitHook", "mmnowhere", ()),
        ("mmnowhere.CheckpoitHook", "mmengine", ()),
        ("CheckpoitHook", "mmengine", [("mmnowhere", "ModuleNotFoundError")]),
    ],
    ids=["default_scope", "scope", "custom_imports"],
)
def test_what_cannot_be_imported_may_register_it(kind, scope, failed):
    """No alarm: a note where the name looks like a slip, else nothing."""
    ((severity, text),) = look(kind, scope, failed)
    assert severity == "note"
    assert "if mmnowhere, which cannot be imported here, has none either" in text
    assert text.endswith("say 'CheckpointHook'")
    assert look(kind.replace("Checkpoit", "Teacher"), scope, failed) == []


def test_a_library_that_comes_before_mmengine_by_name():
    ((_, text),) = look("aaa.CheckpoitHook")
    assert "if aaa, which cannot be imported here, has none either" in text


def test_a_library_that_exits_as_it_is_imported(monkeypatch):
    """Does not end the look at the config: it cannot be imported here."""

    def leave(name):
        raise SystemExit(3)

    monkeypatch.setattr(check_hooks.importlib, "import_module", leave)
    ((severity, text),) = look("mmtheirs.CheckpoitHook")
    assert severity == "note"
    assert "if mmtheirs, which cannot be imported here, has none either" in text


def test_hooks_of_a_library_that_is_here(theirs):
    """Found in its scope, however that is named; a slip of one is a problem."""
    assert look("MeanTeacherHook", "mmtheirs") == []
    assert look("mmtheirs.MeanTeacherHook") == []
    assert look("MeanTeacherHook", _scope_="mmtheirs") == []
    for kind, scope, meant in (
        ("MeanTeecherHook", "mmtheirs", "MeanTeacherHook"),
        ("mmtheirs.MeanTeecherHook", "mmengine", "mmtheirs.MeanTeacherHook"),
        ("MeanTeacherHook", "mmengine", "mmtheirs.MeanTeacherHook"),
    ):
        ((severity, text),) = look(kind, scope)
        assert severity == "problem"
        assert text.endswith(f"Say {meant!r}")


def test_a_library_with_a_hook_of_a_name_of_ours(theirs):
    """Does not bring its scope into what is said: the plain name is found."""
    for name in ("ValLossHook", "CheckpointHook"):
        HOOKS.children["mmtheirs"].register_module(name=name, module=Hook)
        ((_, text),) = look(name.replace("Hook", "Hok"))
        assert text.endswith(f"Say {name!r}")


def test_a_registry_that_raises(monkeypatch):
    """As where a library's registry names a module that is not there."""

    def get(key):
        raise RuntimeError(key)

    monkeypatch.setitem(vars(HOOKS), "get", get)  # setattr would leave a method there
    assert {severity for severity, _ in look("MyHook")} == {"note"}
