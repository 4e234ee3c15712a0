"""``doctor CONFIG``: configs without a problem, checked by names alone."""

from __future__ import annotations

import pytest
from mmengine import utils

from cli.doctor.configs import GOOD, PACK, STOPPING, config, findings_of, with_loader


def test_good_config_has_no_problem():
    """The task of the model is a note, as the config does not show its output."""
    assert findings_of(config(), "problem") == []
    notes = findings_of(config(), "note")
    assert any("the model is mine.Net: its forward" in note for note in notes)
    assert not any("config.monitor" in note for note in notes)
    oks = findings_of(config(), "ok")
    assert sum("monitors 'val_loss'" in text for text in oks) == 2
    assert "config.custom_imports: this config imports valloss_compat" in oks


def test_val_loss_hook_replaces_note_on_model():
    """With ValLossHook the model needs no loss element."""
    cfg = config(
        custom_hooks=[STOPPING, {"type": "ValLossHook", "trust": ["mine.Net"]}]
    )
    assert findings_of(cfg, "problem") == []
    assert any("ValLossHook will compute" in text for text in findings_of(cfg, "ok"))
    assert not any("its forward" in text for text in findings_of(cfg, "note"))


def test_val_loss_hook_in_default_hooks_is_checked():
    """Default hooks are checked like custom hooks."""
    loss = {"type": "ValLossHook", "trust": ["mine.Net"]}
    cfg = config(default_hooks={**GOOD["default_hooks"], "loss": loss})
    assert findings_of(cfg, "problem") == []
    assert any("ValLossHook will compute" in text for text in findings_of(cfg, "ok"))


class ValLossHook:
    """A class with the name and the module of the package's hook."""

    __module__ = "valloss_compat.hooks.val_loss_hook"


@pytest.mark.parametrize("hook_type", ["valloss_compat.hooks.ValLossHook", ValLossHook])
def test_hook_type_of_package_counts_as_import(monkeypatch, hook_type):
    """Full names count only in releases with the new config style."""
    entry = {"type": hook_type, "trust": ["mine.Net"]}
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
        with_loader({"type": "Shift"}, PACK, trust=["mine.Shift"]),
    ],
    ids=["plain", "prob=0", "trusted"],
)
def test_valid_loss_dataloader_has_no_problem(cfg):
    """The hook itself accepts it."""
    assert findings_of(cfg, "problem") == []
    assert any("ValLossHook will compute" in text for text in findings_of(cfg, "ok"))


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
