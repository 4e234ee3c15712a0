"""``doctor CONFIG``: configs without a problem, checked by names alone."""

from __future__ import annotations

import pytest
from mmengine import utils
from mmengine.registry import DATASETS

from cli.doctor.configs import GOOD, PACK, STOPPING, config, findings_of, with_loader

#: The beginning of the finding where there is such a hook, and no model or data here.
HOOK = "ValLossHook computes"


def test_good_config_has_no_problem():
    """The model cannot be built here, so that it is not checked."""
    assert findings_of(config(), "problem") == []
    (text,) = findings_of(config(), "not checked")
    assert "the model is Net: whether it returns a loss element is not checked" in text
    oks = findings_of(config(), "ok")
    assert sum("monitors 'val_loss'" in text for text in oks) == 2
    assert "config.custom_imports: this config imports valloss_compat" in oks


def test_val_loss_hook_replaces_note_on_model():
    """With ValLossHook the model needs no loss element."""
    cfg = config(custom_hooks=[STOPPING, {"type": "ValLossHook"}])
    assert findings_of(cfg, "problem") == []
    assert any(HOOK in text for text in findings_of(cfg, "not checked"))
    assert not any("its forward" in text for text in findings_of(cfg, "note"))


def test_val_loss_hook_in_default_hooks_is_checked():
    """Default hooks are checked like custom hooks."""
    loss = {"type": "ValLossHook"}
    cfg = config(default_hooks={**GOOD["default_hooks"], "loss": loss})
    assert findings_of(cfg, "problem") == []
    assert any(HOOK in text for text in findings_of(cfg, "not checked"))
    loss["strategy"] = "nope"
    assert any("strategy is 'nope'" in text for text in findings_of(cfg, "problem"))


@pytest.mark.parametrize(
    "model",
    [
        {"type": "MyNet"},
        {"type": "RetinaNet", "bbox_head": {"type": "MyHead"}},
        {"type": "Wrap", "detector": {"type": "mmdet.RetinaNet"}},
        {"type": "NotInstalled"},
    ],
)
def test_val_loss_hook_computes_the_losses_of_any_model(model):
    """In each scope. A model that cannot be imported is known by its name."""
    for scope in ("mine", "mmdet", "mmaction"):
        cfg = config(default_scope=scope, model=model)
        cfg["custom_hooks"] = [STOPPING, {"type": "ValLossHook"}]
        assert findings_of(cfg, "problem") == []
        (text,) = findings_of(cfg, "not checked")
        assert text.startswith(f"config.val_loss_hook: {HOOK} the losses of ")
        assert model["type"] in text


class ValLossHook:
    """A class with the name and the module of the package's hook."""

    __module__ = "valloss_compat.hooks.val_loss_hook"


@pytest.mark.parametrize("hook_type", ["valloss_compat.hooks.ValLossHook", ValLossHook])
def test_hook_type_of_package_counts_as_import(monkeypatch, hook_type):
    """Full names count only in releases with the new config style."""
    entry = {"type": hook_type}
    cfg = config(custom_imports=None, custom_hooks=[STOPPING, entry])
    expected = "does not import valloss_compat"
    monkeypatch.setattr(utils, "get_object_from_string", str, raising=False)
    assert findings_of(cfg, "problem") == []
    assert any(
        "this config imports valloss_" in text for text in findings_of(cfg, "ok")
    )
    assert not any(expected in text for text in findings_of(cfg, "note"))
    monkeypatch.delattr(utils, "get_object_from_string")
    needed = isinstance(hook_type, str)
    assert any(expected in text for text in findings_of(cfg, "note")) == needed


NO_FLIP = {"type": "RandomFlip", "prob": 0.0}


@pytest.mark.parametrize(
    "cfg",
    [
        with_loader(PACK),
        with_loader(NO_FLIP, PACK),
        with_loader({"type": "Shift"}, PACK),
    ],
    ids=["plain", "prob=0", "user transform"],
)
def test_valid_loss_dataloader_has_no_problem(cfg):
    """The hook itself accepts it."""
    assert findings_of(cfg, "problem") == []
    assert any(HOOK in text for text in findings_of(cfg, "not checked"))


def test_entry_with_metrics_is_an_evaluator():
    """Whatever the name of its class is."""
    with_metrics = config(
        val_evaluator={"type": "Judge", "metrics": [{"type": "Accuracy"}]}
    )
    expected = "val_evaluator uses mmengine's Evaluator"
    assert not any(expected in text for text in findings_of(with_metrics, "ok"))
    assert any(expected in text for text in findings_of(config(), "ok"))


def test_failed_import_severity_depends_on_allow_failed_imports():
    failed = [("projects.mine", "ModuleNotFoundError: no")]
    assert any("would end" in text for text in findings_of(config(), "problem", failed))
    lenient = {"imports": ["projects.mine"], "allow_failed_imports": True}
    notes = findings_of(config(custom_imports=lenient), "note", failed)
    assert any("would go on without it" in text for text in notes)


@pytest.mark.parametrize(
    ("dataset", "severity"),
    [
        ({"type": "Own"}, "note"),
        ({"type": "Lib"}, "problem"),
        ({"type": "Own", "pipeline": [{"type": "Lib"}]}, "problem"),
        ({"type": "Own", "dataset": {"pipeline": [{"type": "Lib"}]}}, "problem"),
    ],
)
@pytest.mark.parametrize(
    ("missing", "fix"),
    [
        ("not_here", "install what it needs"),
        ("torchvision", "install the torchvision that matches your torch"),
    ],
)
def test_library_that_cannot_be_imported_is_named(
    monkeypatch, tmp_path, dataset, severity, missing, fix
):
    """A registry itself only says that a class is not registered."""
    library = f"half_a_library_{tmp_path.name}"
    failure = f"raise ModuleNotFoundError('No module there', name={missing!r})"
    for part, text in {"": "", "models": "", "datasets": failure}.items():
        (tmp_path / library / part).mkdir(exist_ok=True)
        (tmp_path / library / part / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(DATASETS.module_dict, "Own", type("Own", (), {}))
    cfg = config(val_dataloader={"dataset": dataset})
    for name in ("not_installed", library):
        cfg["default_scope"] = name
        found = [text for text in findings_of(cfg, severity) if library in text]
        assert len(found) == (name == library)
    assert "datasets cannot be imported: ModuleNotFoundError: No module" in found[0]
    assert found[0].endswith(f"Fix: {fix}")


def test_library_that_fails_as_a_whole_is_named_once(monkeypatch, tmp_path):
    """As one that asserts another range of mmengine."""
    library = f"whole_library_{tmp_path.name}"
    for part in ("", "models", "datasets"):
        (tmp_path / library / part).mkdir(exist_ok=True)
        (tmp_path / library / part / "__init__.py").touch()
    (tmp_path / library / "__init__.py").write_text("assert False, 'wrong mmengine.'")
    monkeypatch.syspath_prepend(str(tmp_path))
    cfg = config(val_dataloader={"dataset": {"type": "Lib"}}, default_scope=library)
    (text,) = (text for text in findings_of(cfg, "problem") if library in text)
    assert f"{library} cannot be imported: AssertionError: wrong mmengine. Fix" in text
