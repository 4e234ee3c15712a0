"""The class that a config gets for the name EarlyStoppingHook."""

from __future__ import annotations

import inspect

import mmengine.hooks
import pytest
from mmengine.registry import HOOKS

import valloss_compat
from hooks.hook_class import BackportedHook, has_native_hook, lacks_native_hook
from valloss_compat.hooks import EarlyStoppingHook


@has_native_hook
def test_native_early_stopping_hook_is_used():
    """It is the class of mmengine, patched or not."""
    assert EarlyStoppingHook is mmengine.hooks.EarlyStoppingHook
    assert HOOKS.get("EarlyStoppingHook") is EarlyStoppingHook
    assert HOOKS.get("mmengine.EarlyStoppingHook") is EarlyStoppingHook
    valloss_compat.revert()
    assert HOOKS.get("EarlyStoppingHook") is EarlyStoppingHook


@has_native_hook
def test_backported_hook_has_the_native_arguments():
    """Names, order and defaults of the constructor."""

    def arguments(function):
        parameters = inspect.signature(function).parameters.values()
        return [(p.name, p.default, p.kind) for p in parameters]

    assert arguments(BackportedHook.__init__) == arguments(EarlyStoppingHook.__init__)
    assert BackportedHook.priority == EarlyStoppingHook.priority


@has_native_hook
@pytest.mark.parametrize(
    "monitor", ["val_loss", "loss", "coco/bbox_mAP", "acc", "top1"]
)
def test_backported_hook_infers_the_native_rules(monitor):
    """The attributes that depend on the rule are the same, too."""
    backported, native = BackportedHook(monitor), EarlyStoppingHook(monitor)
    for name in ("rule", "min_delta", "best_score", "wait_count", "patience"):
        assert getattr(backported, name) == getattr(native, name)


@lacks_native_hook
def test_registry_finds_the_hook_while_patches_are_active():
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
def test_registered_hook_of_the_same_name_has_priority(nursery, before, after):
    """In each scope, whether registered before the import or after it."""
    done = nursery.run(SCOPES.format(before=before, after=after))
    assert done.returncode == 0, done.stderr


@lacks_native_hook
def test_mmengine_without_the_shim_has_no_such_hook(nursery):
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
def test_config_of_another_scope_finds_the_hook(nursery, scope):
    """The Runner of a downstream library has its own default scope."""
    assert nursery.run(DOWNSTREAM.format(scope=scope)).json() == 2
