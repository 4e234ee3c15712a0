"""A library's model, config and tools/train.py, as small as they can be.

The parameters never change, so that each validation loss is the same: with a small
positive ``min_delta`` and a patience of five, early stopping ends after epoch 6.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from cli.processes import as_command
from support.fresh import Nursery, Result

MODEL = """
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS
from mmengine.structures import BaseDataElement


@MODELS.register_module(force=True)
class Shipped(BaseModel):
    def __init__(self, appends=False, **kwargs):
        super().__init__(**kwargs)
        self.layer, self.appends = torch.nn.Linear(1, 1), appends

    def forward(self, inputs, data_samples=None, mode='tensor'):
        outputs = self.layer(torch.stack(list(inputs)))
        targets = torch.stack([sample.target for sample in data_samples])
        losses = {'loss': (outputs - targets).abs().mean()}
        if mode == 'loss':
            return losses
        found = [BaseDataElement(pred=output) for output in outputs]
        return [*found, BaseDataElement(loss=losses)] if self.appends else found


@DATASETS.register_module(force=True)
class Numbers(torch.utils.data.Dataset):
    metainfo = {}

    def __len__(self):
        return 4

    def __getitem__(self, index):
        number = torch.tensor([float(index)])
        return {'inputs': number, 'data_samples': BaseDataElement(target=number)}


@METRICS.register_module(force=True)
class Count(BaseMetric):
    default_prefix = ''

    def process(self, data_batch, data_samples):
        assert all('pred' in sample for sample in data_samples)
        self.results.append(len(data_samples))

    def compute_metrics(self, results):
        return {'count': float(sum(results))}
"""
CONFIG = """
custom_imports = dict(imports=['shipped_model'], allow_failed_imports=False)
model = dict(type='Shipped', appends={appends})
train_dataloader = val_dataloader = dict(
    dataset=dict(type='Numbers'), batch_size=2, num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False))
val_evaluator = dict(type='Count')
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.0))
train_cfg = dict(by_epoch=True, max_epochs=9)
val_cfg = env_cfg = dict()
default_hooks = dict(timer=dict(type='IterTimerHook'))
custom_hooks = [dict(type='SyncBuffersHook')]
log_level = 'ERROR'
randomness = dict(seed=0)
"""
TRAIN = """
import argparse, os, sys
from mmengine.config import Config, DictAction
from mmengine.runner import Runner

import shipped_model

parser = argparse.ArgumentParser()
parser.add_argument('config')
parser.add_argument('--work-dir', default='work_dirs')
parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
args = parser.parse_args()
cfg = Config.fromfile(args.config)
cfg.merge_from_dict(args.cfg_options)
cfg.work_dir = args.work_dir
runner = Runner.from_cfg(cfg)
runner.train()
names = sorted(type(hook).__name__ for hook in runner.hooks)
print('hooks:', *names)
print(f'stopped after epoch {runner.epoch}')
"""


def write_library(folder: Path, appends: bool = False) -> None:
    """Write the files: those of the library, and two configs in its place."""
    config = CONFIG.format(appends=appends)
    files = {
        "shipped_model.py": MODEL,
        "shipped.py": config,
        "the_config_you_use.py": config,
        "tools/train.py": TRAIN,
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


def shell(nursery: Nursery, text: str, folder: Path) -> Result:
    """Run ``python -m valloss_compat ...`` in a folder, as a shell reads the line."""
    words = shlex.split(text.replace("\\\n", ""))
    assert words[:3] == ["python", "-m", "valloss_compat"]
    before = (
        f"import os, sys; os.chdir({str(folder)!r}); sys.path.append(os.getcwd())\n"
    )
    return as_command(nursery, words[3:], folder, before=before)
