"""``doctor CONFIG``: what makes a config good, by names alone."""

from __future__ import annotations

import pytest
from mmengine import utils

from cli.doctor.configs import GOOD, PACK, STOPPING, config, found, with_loader


def test_a_good_config():
    """No problem; what the model has to do is a note, as no config shows it."""
    assert found(config(), "problem") == []
    notes = found(config(), "note")
    assert any("the model is mine.Net: its forward" in note for note in notes)
    assert not any("config.monitor" in note for note in notes)
    fine = found(config(), "ok")
    assert sum("monitors 'val_loss'" in text for text in fine) == 2
    assert "config.custom_imports: this config imports valloss_compat" in fine


def test_the_hook_takes_the_place_of_the_model():
    """With ValLossHook nothing is asked of the model; what it refuses is a problem."""
    known = config(
        custom_hooks=[STOPPING, {"type": "ValLossHook", "trust": ["mine.Net"]}]
    )
    assert found(known, "problem") == []
    assert any("ValLossHook will compute" in text for text in found(known, "ok"))
    assert not any("its forward" in text for text in found(known, "note"))


def test_the_hook_among_the_default_hooks():
    """Its arguments count there too."""
    loss = {"type": "ValLossHook", "trust": ["mine.Net"]}
    known = config(default_hooks={**GOOD["default_hooks"], "loss": loss})
    assert found(known, "problem") == []
    assert any("ValLossHook will compute" in text for text in found(known, "ok"))


class ValLossHook:
    """Named as ours, and of our package."""

    __module__ = "valloss_compat.hooks.val_loss_hook"


@pytest.mark.parametrize("kind", ["valloss_compat.hooks.ValLossHook", ValLossHook])
def test_a_hook_by_its_class_imports_the_package(monkeypatch, kind):
    """As in a config of the new style; a release of before knows no full name."""
    entry = {"type": kind, "trust": ["mine.Net"]}
    known = config(custom_imports=None, custom_hooks=[STOPPING, entry])
    said = "does not import valloss_compat"
    monkeypatch.setattr(utils, "get_object_from_string", str, raising=False)
    assert found(known, "problem") == []
    assert any("this config imports valloss_" in text for text in found(known, "ok"))
    assert not any(said in text for text in found(known, "note"))
    monkeypatch.delattr(utils, "get_object_from_string")
    needed = isinstance(kind, str)
    assert any(said in text for text in found(known, "note")) == needed


PLAIN_FLIP = {"type": "RandomFlip", "prob": 0.0}


@pytest.mark.parametrize(
    "known",
    [
        with_loader(PACK),
        with_loader(PLAIN_FLIP, PACK),
        with_loader({"type": "Shift"}, PACK, trust=["mine.Shift"]),
    ],
    ids=["plain", "prob=0", "trusted"],
)
def test_a_loss_dataloader_that_is_right(known):
    """By what the hook itself judges it by."""
    assert found(known, "problem") == []
    assert any("ValLossHook will compute" in text for text in found(known, "ok"))


def test_whose_evaluator():
    """Metrics make an entry one of an evaluator, whatever its class is called."""
    own = config(val_evaluator={"type": "Judge", "metrics": [{"type": "Accuracy"}]})
    said = "val_evaluator uses mmengine's Evaluator"
    assert not any(said in text for text in found(own, "ok"))
    assert any(said in text for text in found(config(), "ok"))


def test_imports_that_failed():
    """What happens in a training hangs on allow_failed_imports."""
    failed = [("projects.mine", "ModuleNotFoundError: no")]
    assert any("would end" in text for text in found(config(), "problem", failed))
    lenient = {"imports": ["projects.mine"], "allow_failed_imports": True}
    notes = found(config(custom_imports=lenient), "note", failed)
    assert any("would go on without it" in text for text in notes)
