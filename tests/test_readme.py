"""The README's examples do what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from tiny import Seen, make_runner
from torch.utils.data import DataLoader, Dataset

README = Path(__file__).resolve().parent.parent / "README.md"


class Pairs(Dataset):
    """Four inputs of shape (3,) with a class each."""

    metainfo: dict = {}  # noqa: RUF012

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return {"inputs": torch.eye(4)[index, :3], "data_samples": torch.tensor(1)}


def test_the_definitive_example_reports_its_criterion(tmp_path):
    """The first Python block, run as it stands; val_loss is the mean over batches."""
    block = re.findall(
        r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S
    )[0]
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
