"""EarlyStoppingHook: where a config finds it, and that ours stands for theirs."""

from __future__ import annotations

import inspect

import mmengine.hooks
import pytest
from mmengine.registry import HOOKS

import valloss_compat
from hooks.hook_class import Ours, has_the_hook, lacks_the_hook
from valloss_compat.hooks import EarlyStoppingHook


@has_the_hook
def test_theirs_is_theirs():
    """Where mmengine has the hook, it is that very class, patched or not."""
    assert EarlyStoppingHook is mmengine.hooks.EarlyStoppingHook
    assert HOOKS.get("EarlyStoppingHook") is EarlyStoppingHook
    assert HOOKS.get("mmengine.EarlyStoppingHook") is EarlyStoppingHook
    valloss_compat.revert()
    assert HOOKS.get("EarlyStoppingHook") is EarlyStoppingHook


@has_the_hook
def test_ours_takes_the_same_arguments():
    """Names, order and defaults of the constructor."""

    def told(function):
        parameters = inspect.signature(function).parameters.values()
        return [(p.name, p.default, p.kind) for p in parameters]

    assert told(Ours.__init__) == told(EarlyStoppingHook.__init__)
    assert Ours.priority == EarlyStoppingHook.priority


@has_the_hook
@pytest.mark.parametrize(
    "monitor", ["val_loss", "loss", "coco/bbox_mAP", "acc", "top1"]
)
def test_ours_infers_the_same_rules(monitor):
    """And the attributes that follow from them."""
    ours, theirs = Ours(monitor), EarlyStoppingHook(monitor)
    for name in ("rule", "min_delta", "best_score", "wait_count", "patience"):
        assert getattr(ours, name) == getattr(theirs, name)


@lacks_the_hook
def test_a_registry_finds_it_while_the_patches_are_on():
    """By both its names, in the registry of hooks alone; nothing is registered."""
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

theirs = register(HOOKS) if BEFORE else None
import valloss_compat
if AFTER:
    theirs = register(HOOKS)
from valloss_compat.hooks import EarlyStoppingHook as ours
in_mmdet = register(mmdet)
expected = theirs or ours
assert HOOKS.get('EarlyStoppingHook') is expected
assert mmpretrain.get('EarlyStoppingHook') is expected
assert mmdet.get('EarlyStoppingHook') is in_mmdet
assert HOOKS.get('mmdet.EarlyStoppingHook') is in_mmdet
built = mmpretrain.build(dict(type='EarlyStoppingHook', **(
    {{}} if theirs else dict(monitor='val_loss'))))
assert type(built) is expected
"""


@lacks_the_hook
@pytest.mark.parametrize(
    ("before", "after"), [(False, False), (True, False), (False, True)]
)
def test_a_hook_of_that_name_that_is_registered_wins(nursery, before, after):
    """In any scope, before the import or after it; other scopes find ours."""
    done = nursery.run(SCOPES.format(before=before, after=after))
    assert done.returncode == 0, done.stderr


@lacks_the_hook
def test_without_the_shim_there_is_no_such_hook(nursery):
    """The control: mmengine itself does not know the name."""
    script = "import valloss_compat; from mmengine.registry import HOOKS\n"
    script += "print('true' if HOOKS.get('EarlyStoppingHook') is None else 'false')"
    assert nursery.run(script, env={"VALLOSS_COMPAT": "off"}).json() is True


DOWNSTREAM = """
import os, sys, tempfile
# The shape of a downstream library: mmengine imports registry and utils of a scope.
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
def test_a_config_of_another_scope_finds_it(nursery, scope):
    """The Runner of a downstream library names its own default scope."""
    assert nursery.run(DOWNSTREAM.format(scope=scope)).json() == 2
