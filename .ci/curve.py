"""Train the demo with a fixed order of batches; keep its curve for ends.py.

curve.py NAME
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples"))

import digits  # noqa: E402  (it imports valloss_compat first)
import mmengine  # noqa: E402
import torch  # noqa: E402
from torch.utils.data import DataLoader, Sampler  # noqa: E402


class PythonsOrder(Sampler):
    """All indices, in an order that does not depend on torch."""

    def __init__(self, length):
        self.length = length
        self.random = random.Random(digits.SEED)

    def __len__(self):
        return self.length

    def __iter__(self):
        return iter(self.random.sample(range(self.length), self.length))


def main():
    """Train, and write the curve."""
    (name,) = sys.argv[1:]
    folder = ROOT / ".tox" / "curves"
    folder.mkdir(parents=True, exist_ok=True)
    recorders = []

    class Recorder(digits.CurveRecorder):
        def __init__(self):
            super().__init__()
            recorders.append(self)

    load_data = digits.load_data

    def load_in_order():
        train, val = load_data()
        order = PythonsOrder(len(train.dataset))
        return DataLoader(train.dataset, batch_size=10, sampler=order), val

    digits.CurveRecorder, digits.load_data = Recorder, load_in_order
    digits.main(["--work-dir", str(folder / name)])
    (recorder,) = recorders
    torch_release = torch.__version__.split("+")[0]
    found = {
        "versions": f"{mmengine.__version__} on torch {torch_release}",
        "best": recorder.best.number,
        "val_loss": [epoch.val_loss for epoch in recorder.epochs],
    }
    (folder / f"{name}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
