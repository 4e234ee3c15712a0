"""Two entries of ``default_hooks`` in a child config suffice for a validation loss.

The base has default and custom hooks of its own, as the shipped configs do. All of
them are built as without the child. A list of ``custom_hooks`` would replace them:
``cli/doctor/test_check_bases.py``.
"""

from __future__ import annotations

import re

import pytest
from cli.processes import as_command

pytestmark = pytest.mark.slow

#: A model that appends no loss element. Its loss is the square of its weight.
PARTS = """
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS
from mmengine.structures import BaseDataElement

@MODELS.register_module()
class Square(BaseModel):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        scores = self.weight * torch.stack(list(inputs))
        if mode == 'loss':
            return {'loss_square': scores.square().mean()}
        for sample, score in zip(data_samples, scores):
            sample.pred = score
        return data_samples

@DATASETS.register_module()
class Ones(torch.utils.data.Dataset):
    metainfo = {}

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return {'inputs': torch.ones(1), 'data_samples': BaseDataElement()}

@METRICS.register_module()
class Count(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.extend(sample['pred'] for sample in data_samples)

    def compute_metrics(self, results):
        return {'count': len(results)}

@HOOKS.register_module()
class KeepMetrics(Hook):
    kept = []

    def after_val_epoch(self, runner, metrics=None):
        self.kept.append(metrics)
"""
BASE = """
default_scope = 'mmengine'
custom_imports = dict(imports=['parts'], allow_failed_imports=False)
model = dict(type='Square')
train_dataloader = dict(
    batch_size=2, dataset=dict(type='Ones'),
    sampler=dict(type='DefaultSampler', shuffle=False))
val_dataloader = train_dataloader
val_evaluator = dict(type='Count')
train_cfg = dict(by_epoch=True, max_epochs=30)
val_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.25))
default_hooks = dict(
    sampler_seed=None,
    logger=dict(type='LoggerHook', interval=7, priority='LOW'),
    checkpoint=dict(type='CheckpointHook', interval=100, priority='LOWEST'),
    sync=dict(type='SyncBuffersHook', priority='VERY_HIGH'))
custom_hooks = [
    dict(type='KeepMetrics', priority='LOWEST'),
    dict(type='EMAHook', momentum=0.5, priority=49)]
work_dir = 'work'
log_level = 'ERROR'
env_cfg = dict()
"""
CHILD = """
_base_ = 'base.py'
default_hooks = dict(
    val_loss=dict(type='ValLossHook'),
    early_stopping=dict(type='EarlyStoppingHook', monitor='val_loss', min_delta=1e-4))
"""
SCRIPT = """
import json, sys
from mmengine.config import Config
from mmengine.runner import Runner

runner = Runner.from_cfg(Config.fromfile(sys.argv[1]))
hooks = [[type(hook).__name__, hook.priority, getattr(hook, 'interval', None)]
         for hook in runner.hooks]
runner.train()
metrics = sys.modules['parts'].KeepMetrics.kept
print(json.dumps({'hooks': hooks, 'metrics': metrics, 'epoch': runner.epoch}))
"""
IMPORT = "import valloss_compat\n"
CONFIG_IMPORT = "custom_imports = dict(imports=['parts', 'valloss_compat'])\n"
#: ``python train.py CONFIG`` where mmengine is imported already, and its preparation.
PREPARE = "import os; os.chdir({folder!r})\n"
PLAIN = """
import runpy, sys
sys.argv[:] = ['train.py', {config!r}]
sys.path.insert(0, {folder!r})
runpy.run_path('train.py', run_name='__main__')
"""


def train(nursery, folder, config, script=SCRIPT, with_run=False):
    """Train by a config, and return the result of the train script."""
    (folder / "train.py").write_text(script, encoding="utf-8")
    prepare = PREPARE.format(folder=str(folder))
    if with_run:
        argv = ["run", "train.py", config]
        return as_command(nursery, argv, folder, before=prepare)
    return nursery.run(prepare + PLAIN.format(folder=str(folder), config=config))


@pytest.fixture
def project(tmp_path):
    """A folder with a base, which uses no part of this package, and its child."""
    files = {"parts.py": PARTS, "base.py": BASE, "child.py": CHILD}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("start", ["run", "import in script", "import in config"])
def test_hooks_are_those_of_the_base_and_two(nursery, project, start):
    """In the order of the base. A training with them reports val_loss and stops."""
    base = train(nursery, project, "base.py").json()
    assert base["epoch"] == len(base["metrics"]) == 30
    assert base["metrics"][0] == {"count": 2}
    if start == "import in config":
        (project / "child.py").write_text(CHILD + CONFIG_IMPORT, encoding="utf-8")
    script = IMPORT + SCRIPT if start == "import in script" else SCRIPT
    done = train(nursery, project, "child.py", script, with_run=start == "run")
    child = done.json()
    added = [["ValLossHook", "LOWEST", None], ["EarlyStoppingHook", "LOWEST", None]]
    assert [hook for hook in child["hooks"] if hook in added] == added
    assert [hook for hook in child["hooks"] if hook not in added] == base["hooks"]
    # The weight is halved in each epoch; EMAHook of the base averages it. The ninth
    # loss is the last one that is better by 1e-4, and the patience is 5.
    averages = [(epoch + 1) / 2 ** (epoch + 1) for epoch in range(1, 15)]
    losses = [metrics["val_loss"] for metrics in child["metrics"]]
    assert losses == pytest.approx([average**2 for average in averages])
    assert child["metrics"][0] == {
        "count": 2,
        "val_loss": losses[0],
        "loss_square": losses[0],
    }
    assert child["epoch"] == 14


def test_training_without_the_package_ends_at_its_start(nursery, project):
    """The hooks of the child are not registered, so that it cannot be forgotten."""
    done = train(nursery, project, "child.py")
    assert done.returncode == 1
    (error,) = done.stderr.splitlines()[-1:]
    assert re.match("KeyError: .ValLossHook is not in the .*hook registry", error)
