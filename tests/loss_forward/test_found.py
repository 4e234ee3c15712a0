"""Where a config finds the hook, and that nobody else imports it."""

from __future__ import annotations

import sys

import pytest
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, Registry
from support.fresh import Nursery

import valloss_compat
from valloss_compat.hooks import EarlyStoppingHook, ValLossHook


@pytest.mark.parametrize("mode", ["default", "parity"])
def test_a_config_finds_it_in_every_scope(mode):
    """Also where mmengine is native and nothing else is patched."""
    valloss_compat.apply(mode=mode)
    child = Registry("hook", parent=HOOKS, scope=f"mm{mode}")
    for registry in (HOOKS, child):
        for name in (
            "ValLossHook",
            "mmengine.ValLossHook",
            f"{child.scope}.ValLossHook",
        ):
            assert registry.get(name) is ValLossHook
        # mmengine has one of its own from 0.7.0 on.
        known = HOOKS.get("EarlyStoppingHook")
        assert registry.get(f"{child.scope}.EarlyStoppingHook") is known
    assert Registry("models", scope="mmother").get("ValLossHook") is None


def test_a_hook_of_that_name_that_is_registered_wins():
    """Nothing of ours is registered."""
    child = Registry("hook", parent=HOOKS, scope="mmthing")
    mine = child.register_module(name="ValLossHook", module=type("Mine", (Hook,), {}))
    assert child.get("ValLossHook") is mine
    assert HOOKS.get("ValLossHook") is ValLossHook


def test_the_package_hands_it_out_late():
    """Who has no such hook in the config does not import it."""
    assert "EarlyStoppingHook" in dir(sys.modules["valloss_compat.hooks"])
    assert EarlyStoppingHook.__name__ == "EarlyStoppingHook"
    with pytest.raises(AttributeError, match="no attribute 'NoSuchHook'"):
        sys.modules["valloss_compat.hooks"].NoSuchHook  # noqa: B018


def test_the_import_leaves_it_alone(nursery: Nursery):
    """Importing the package imports nothing of the hook."""
    told = nursery.run(
        "import json, sys, valloss_compat\n"
        "print(json.dumps([m for m in sys.modules if 'val_loss' in m or "
        "m.startswith('valloss_compat._libraries')]))"
    )
    assert told.json() == []
