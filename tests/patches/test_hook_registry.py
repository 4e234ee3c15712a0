"""The classes that a config gets for the names of hooks of this package."""

from __future__ import annotations

import mmengine.hooks
import pytest
from hooks.hook_class import has_native_hook, lacks_native_hook
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, Registry

import valloss_compat
from valloss_compat.hooks import EarlyStoppingHook, ValLossHook


@pytest.mark.parametrize("mode", ["default", "parity"])
def test_val_loss_hook_is_found_in_every_scope(mode):
    """Also in parity mode on native releases, where nothing else is patched."""
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


def test_registered_val_loss_hook_has_priority():
    """The hook of this package is not registered."""
    child = Registry("hook", parent=HOOKS, scope="mmthing")
    registered = child.register_module(
        name="ValLossHook", module=type("Mine", (Hook,), {})
    )
    assert child.get("ValLossHook") is registered
    assert HOOKS.get("ValLossHook") is ValLossHook


@has_native_hook
def test_native_early_stopping_hook_is_used():
    """It is the class of mmengine, patched or not."""
    assert EarlyStoppingHook is mmengine.hooks.EarlyStoppingHook
    assert HOOKS.get("EarlyStoppingHook") is EarlyStoppingHook
    assert HOOKS.get("mmengine.EarlyStoppingHook") is EarlyStoppingHook
    valloss_compat.revert()
    assert HOOKS.get("EarlyStoppingHook") is EarlyStoppingHook


@lacks_native_hook
def test_early_stopping_hook_is_found_while_patches_are_active():
    """By both names, in the registry of hooks only. Nothing is registered."""
    for name in ("EarlyStoppingHook", "mmengine.EarlyStoppingHook"):
        assert HOOKS.get(name) is EarlyStoppingHook
    assert mmengine.registry.MODELS.get("EarlyStoppingHook") is None
    assert "EarlyStoppingHook" not in HOOKS.module_dict
    valloss_compat.revert()
    assert HOOKS.get("EarlyStoppingHook") is None


SCOPES = """
import json, tempfile
from mmengine.registry import HOOKS, Registry
mmdet, mmpretrain = (Registry('hook', parent=HOOKS, scope=scope)
                     for scope in ('mmdet', 'mmpretrain'))
BEFORE, AFTER = {before}, {after}

def register(registry):
    @registry.register_module()
    class EarlyStoppingHook:
        pass
    return EarlyStoppingHook

registered = register(HOOKS) if BEFORE else None
import valloss_compat
if AFTER:
    registered = register(HOOKS)
from valloss_compat.hooks import EarlyStoppingHook as backported
in_mmdet = register(mmdet)
expected = registered or backported
assert HOOKS.get('EarlyStoppingHook') is expected
assert mmpretrain.get('EarlyStoppingHook') is expected
assert mmdet.get('EarlyStoppingHook') is in_mmdet
assert HOOKS.get('mmdet.EarlyStoppingHook') is in_mmdet
built = mmpretrain.build(dict(type='EarlyStoppingHook', **(
    {{}} if registered else dict(monitor='val_loss'))))
assert type(built) is expected
"""


@lacks_native_hook
@pytest.mark.parametrize(
    ("before", "after"), [(False, False), (True, False), (False, True)]
)
def test_registered_early_stopping_hook_has_priority(nursery, before, after):
    """In each scope, whether registered before the import or after it."""
    done = nursery.run(SCOPES.format(before=before, after=after))
    assert done.returncode == 0, done.stderr


@lacks_native_hook
def test_unpatched_mmengine_has_no_early_stopping_hook(nursery):
    """The control."""
    script = "import valloss_compat; from mmengine.registry import HOOKS\n"
    script += "print('true' if HOOKS.get('EarlyStoppingHook') is None else 'false')"
    assert nursery.run(script, env={"VALLOSS_COMPAT": "off"}).json() is True


DOWNSTREAM = """
import os, sys, tempfile
# mmengine imports the modules registry and utils of a downstream library.
folder = tempfile.mkdtemp()
os.makedirs(os.path.join(folder, {scope!r}))
for name, text in (
    ('__init__', ''),
    ('utils', 'def register_all_modules(*args, **kwargs): pass'),
    ('registry', 'from mmengine.registry import HOOKS as PARENT, Registry; '
                 'HOOKS = Registry("hook", parent=PARENT, scope="{scope}")'),
):
    with open(os.path.join(folder, {scope!r}, name + '.py'), 'w') as file:
        file.write(text)
sys.path.insert(0, folder)
import valloss_compat
from support.tiny import element, loader, make_runner, sample
losses = [0.5, 0.9, 0.1]
runner = make_runner(
    folder, lambda index, inputs: [sample(), element(loss=losses[index])], length=1,
    train_dataloader=loader(1), train_cfg=dict(by_epoch=True, max_epochs=3),
    optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)), default_scope={scope!r},
    custom_hooks=[dict(type='EarlyStoppingHook', monitor='val_loss', patience=1)])
runner.train()
print(runner.epoch)
"""


@pytest.mark.parametrize("scope", ["mmdet", "mmpretrain"])
def test_config_of_another_scope_finds_the_early_stopping_hook(nursery, scope):
    """The Runner of a downstream library has its own default scope."""
    assert nursery.run(DOWNSTREAM.format(scope=scope)).json() == 2
