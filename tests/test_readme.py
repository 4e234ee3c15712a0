"""The README's examples run as documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from support.tiny import Seen, make_runner
from torch.utils.data import DataLoader, Dataset

README = Path(__file__).resolve().parent.parent / "README.md"


def blocks():
    """Return the README's Python blocks, in order."""
    return re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)


class Pairs(Dataset):
    """Four inputs of shape (3,) with a class each."""

    metainfo: dict = {}  # noqa: RUF012

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return {"inputs": torch.eye(4)[index, :3], "data_samples": torch.tensor(1)}


def test_first_example_reports_its_criterion(tmp_path):
    """The first Python block, run as it stands; val_loss is the mean over batches."""
    block = blocks()[0]
    assert block.startswith("import valloss_compat")
    names = {}
    exec(compile(block, str(README), "exec"), names)
    net, criterion = torch.nn.Linear(3, 2), torch.nn.CrossEntropyLoss()
    batches = list(DataLoader(Pairs(), batch_size=2))
    with torch.no_grad():
        losses = [criterion(net(b["inputs"]), b["data_samples"]) for b in batches]
    runner = make_runner(
        tmp_path,
        None,
        model=names["Classifier"](net, criterion),
        val_dataloader=DataLoader(Pairs(), batch_size=2),
        val_evaluator=[Seen()],
    )
    metrics = runner.val()
    assert metrics["n/seen"] == 4.0
    assert metrics["val_loss"] == pytest.approx(float(sum(losses) / 2), abs=1e-6)


TRAIN = """
import os, sys, tempfile
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, METRICS, MODELS
from mmengine.runner import Runner
from support.tiny import Digits, Model, Seen, element, sample, silent_visualizer

LOSSES = [0.9, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
CALLS = []

class Falling(Model):
    def __init__(self, **kwargs):
        super().__init__(lambda index, _: [sample(), element(loss=LOSSES[index])])

MODELS.register_module(module=Falling)
DATASETS.register_module(module=Digits)
METRICS.register_module(module=Seen)
loader = dict(dataset=dict(type='Digits', length=1), batch_size=1, num_workers=0,
              sampler=dict(type='DefaultSampler', shuffle=False))
arguments = dict(
    model=dict(type='Falling'), work_dir=tempfile.mkdtemp(), log_level='ERROR',
    train_dataloader=loader, val_dataloader=loader, val_evaluator=dict(type='Seen'),
    train_cfg=dict(by_epoch=True, max_epochs=7), val_cfg=dict(), env_cfg=dict(),
    randomness=dict(seed=0),
    optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)))
BLOCK = {block!r}
if '_base_' in BLOCK:
    folder = tempfile.mkdtemp()
    with open(os.path.join(folder, 'the_config_you_use.py'), 'w') as file:
        file.writelines('%s = %r\\n' % pair for pair in arguments.items())
    with open(os.path.join(folder, 'my_config.py'), 'w') as file:
        file.write(BLOCK)
    assert 'valloss_compat' not in sys.modules
    config = Config.fromfile(os.path.join(folder, 'my_config.py'))
    runner = Runner.from_cfg(config)
else:
    exec(BLOCK)
runner.train()
print(runner.epoch)
assert any('best_val_loss' in name for name in os.listdir(runner.work_dir))
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [3, 4])
def test_recipe_stops_early(nursery, number):
    """In a script and in a config: after three epochs without a better val_loss."""
    block = blocks()[number]
    assert "EarlyStoppingHook" in block
    assert ("Runner(" in block) == (number == 3)
    done = nursery.run(TRAIN.format(block=block))
    assert done.stdout.splitlines()[-1:] == ["5"], done.stderr
