"""Records trainings along the curves on native mmengine 0.10.7.

Run it from the folder tests, without valloss_compat: python -m hooks.record
"""

from __future__ import annotations

import json
import os.path as osp
import sys
import tempfile

import mmengine

from .curves import CURVES
from .train import train

PATH = osp.join(osp.dirname(__file__), "native-0.10.7.json")

if __name__ == "__main__":
    assert mmengine.__version__ == "0.10.7", mmengine.__version__
    assert "valloss_compat" not in sys.modules
    recorded = {}
    for name, curve in CURVES.items():
        with tempfile.TemporaryDirectory() as work_dir:
            recorded[name] = train(curve, work_dir)
    with open(PATH, "w", encoding="utf-8") as file:
        json.dump(recorded, file, indent=1, sort_keys=True)
        file.write("\n")
