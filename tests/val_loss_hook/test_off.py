"""``VALLOSS_COMPAT=off``: a run whose config has the hook goes on without it."""

from __future__ import annotations

import pytest

import valloss_compat
from val_loss_hook.models import Watch, make_runner
from valloss_compat.hooks import ValLossHook

OFF = {"VALLOSS_COMPAT": "off"}
SAID = "ValLossHook does nothing, because of VALLOSS_COMPAT=off in the environment"

#: The hook by its name, as in a config, before a model that it would refuse.
BY_NAME = """
import json, tempfile
from mmengine.registry import HOOKS, Registry, Registry as registries
from mmengine.evaluator import Evaluator
from mmengine.runner import ValLoop
TARGETS = [ValLoop.run, ValLoop.run_iter, Evaluator.evaluate, registries.get]
import valloss_compat
assert valloss_compat.apply().patches == []
scoped = Registry('hook', parent=HOOKS, scope='mmtheirs')
assert scoped.get('ValLossHook') is HOOKS.get('ValLossHook') is not None

from val_loss_hook.models import Classifier, Watch, make_runner
class Unknown(Classifier):
    def predict(self, scores, data_samples):
        return super().predict(scores, data_samples)

watch = Watch()
entry = dict(type='ValLossHook', on_unsupported='error')
runner = make_runner(
    tempfile.mkdtemp(), watch, entry, model=Unknown(), log_level='WARNING')
runner.train()
now = [ValLoop.run, ValLoop.run_iter, Evaluator.evaluate, registries.get]
assert all(one is other for one, other in zip(TARGETS, now))
(hook,) = [h for h in runner.hooks if type(h).__name__ == 'ValLossHook']
from valloss_compat.hooks import ValLossHook
assert type(hook) is ValLossHook
print(json.dumps([sorted(metrics) for metrics in watch.metrics]))
"""


def test_a_hook_by_its_name_is_found_and_does_nothing(nursery):
    """Nothing is patched, nothing is refused, and the log says why no val_loss."""
    done = nursery.run(BY_NAME, env=OFF)
    assert done.json() == [["mean/score"], ["mean/score"]]
    assert (done.stdout + done.stderr).count(SAID) == 1


def test_a_hook_of_that_name_that_is_registered_wins(nursery):
    """Whoever has it before."""
    script = """
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class ValLossHook(Hook):
    pass

import valloss_compat
assert HOOKS.get('ValLossHook') is ValLossHook
print('{}')
"""
    nursery.run(script, env=OFF).json()


def test_nothing_is_registered_where_the_shim_is_on(nursery):
    """There the seam finds it, so that a later class of that name wins."""
    script = """
import valloss_compat
from mmengine.registry import HOOKS
assert 'ValLossHook' not in HOOKS.module_dict
assert HOOKS.get('ValLossHook').__module__ == 'valloss_compat.hooks.val_loss'
print('{}')
"""
    nursery.run(script).json()


@pytest.mark.parametrize("train", [True, False])
def test_an_object_of_the_hook_does_nothing(tmp_path, monkeypatch, capsys, train):
    """Its loss element, which nobody would take off, does not reach the metrics."""
    monkeypatch.setenv("VALLOSS_COMPAT", "off")
    valloss_compat.configure()
    watch = Watch()
    runner = make_runner(tmp_path, watch, ValLossHook(), log_level="WARNING")
    runner.train() if train else runner.val()
    runner.val_loop.run()
    assert {tuple(metrics) for metrics in watch.metrics} == {("mean/score",)}
    said = capsys.readouterr()
    assert (said.out + said.err).count(SAID) == 1
