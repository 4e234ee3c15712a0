"""``doctor CONFIG``: known hooks, and hooks of the user with similar names."""

from __future__ import annotations

import pytest
from mmengine import utils
from mmengine.hooks import CheckpointHook, Hook
from mmengine.registry import HOOKS

from cli.doctor.configs import config, findings_of
from valloss_compat.hooks import EarlyStoppingHook


class MyStopping(Hook):
    """Its arguments are its own."""

    def __init__(self, metric="val/loss", monitor="val/loss", patience=0):
        self.monitor = monitor


class MyEarlyStopping(EarlyStoppingHook):
    """One of mmengine's kind, with an argument more."""

    def __init__(self, level=1, **kwargs):
        super().__init__(**kwargs)


class MyCheckpoint(CheckpointHook):
    """The same."""


def names(severity, hook_class, **settings):
    """Return the findings on a registered class of the user."""
    hook_class.__module__ = "mine"
    HOOKS.register_module(module=hook_class, force=True)
    try:
        entry = {"type": hook_class.__name__, **settings}
        return findings_of(config(custom_hooks=[entry]), severity)
    finally:
        del HOOKS._module_dict[hook_class.__name__]


def test_hook_of_the_user_is_not_asked_what_it_monitors():
    """Its arguments may mean anything."""
    for severity in ("problem", "note"):
        assert not any("MyStopping" in text for text in names(severity, MyStopping))


@pytest.mark.parametrize(
    ("hook_class", "settings", "expected"),
    [
        (MyEarlyStopping, {"monitor": "val/loss"}, "mine.MyEarlyStopping monitors 'va"),
        (MyEarlyStopping, {"level": 2}, "(mine.MyEarlyStopping) cannot be built: Type"),
        (MyCheckpoint, {"save_best": "test_loss"}, "mine.MyCheckpoint monitors 'test"),
    ],
)
def test_subclass_of_a_known_hook_is_checked_by_its_full_name(
    hook_class, settings, expected
):
    """It is built with the arguments of the config."""
    assert any(expected in text for text in names("problem", hook_class, **settings))


def test_hook_of_the_user_with_the_name_of_a_known_one_is_built():
    """Its own arguments count."""
    own = type("EarlyStoppingHook", (MyStopping,), {})
    before = HOOKS._module_dict.get("EarlyStoppingHook")
    try:
        (text,) = names("problem", own, metric="val_loss")
    finally:
        if before is not None:
            HOOKS._module_dict["EarlyStoppingHook"] = before
    assert "mine.EarlyStoppingHook monitors 'val/loss': that is the tag of" in text


def test_another_hook_named_val_loss_hook_is_a_problem():
    """With its module, and the name of the hook that was meant."""
    own = type("ValLossHook", (MyStopping,), {})
    (text,) = names("problem", own)
    assert "ValLossHook is mine.ValLossHook here, and not the hook of valloss" in text
    assert "Fix: type='valloss_compat.hooks.ValLossHook'" in text


def test_hook_that_cannot_be_imported_is_not_checked():
    entry = {"type": "mine.EarlyStoppingHook"}
    texts = findings_of(config(custom_hooks=[entry]), "not checked")
    assert any("mine cannot be imported here" in text for text in texts)


@pytest.mark.skipif(
    not hasattr(utils, "get_object_from_string"),
    reason="full class names in configs came with mmengine 0.8.0",
)
def test_module_of_known_hook_is_resolved():
    entry = {"type": "mmengine.hooks.EarlyStoppingHook"}
    (text,) = findings_of(config(custom_hooks=[entry]), "problem")
    assert "missing 1 required positional argument: 'monitor'" in text
