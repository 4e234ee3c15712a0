"""Train the demo on the oldest and the newest cell of the matrix; compare the curves.

    .venv/bin/python .ci/ends.py

Both use the same seed, on mmengine 0.1.0 with torch 1.8 and on mmengine 0.10.7 with
torch 2.15. They must stop after the same epoch, with the same best epoch, and the
curves must be equal to float tolerance. The order of batches comes from Python's
random: the sampler of a newer torch draws one more permutation an epoch, so from the
second epoch on a seed gives another order on any mmengine. (The first epoch is equal
with torch's sampler too.)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import cell
from table import ROOT

CURVES = ROOT / ".tox" / "curves"
OLD, NEW = "py37-torch1.8-mmengine0.1.0-curve", "py313-torch2.15-mmengine0.10.7-curve"
#: Relative. Sums in another order differ by 1e-7 in float32, and training amplifies
#: that: measured 7e-7 at most.
TOLERANCE = 1e-5


def main() -> int:
    """Train both and compare."""
    os.environ["PATH"] = cell.search_path()
    if subprocess.call(["tox", "run", "-e", f"{OLD},{NEW}"], cwd=ROOT):
        return 1
    old, new = (json.loads((CURVES / f"{n}.json").read_text()) for n in (OLD, NEW))
    print(f"epoch   {old['versions']:>24}   {new['versions']:>24}   difference")
    differences = []
    for epoch, (one, other) in enumerate(zip(old["val_loss"], new["val_loss"]), 1):
        differences.append(abs(one - other) / other)
        print(f"{epoch:5}   {one:24.9f}   {other:24.9f}   {differences[-1]:.1e}")
    same = len(old["val_loss"]) == len(new["val_loss"]) and old["best"] == new["best"]
    print(
        f"stopped after epoch {len(old['val_loss'])} and {len(new['val_loss'])}, best "
        f"epoch {old['best']} and {new['best']}; they differ by {max(differences):.1e} "
        f"at most (allowed: {TOLERANCE:.0e})"
    )
    return int(not same or max(differences) > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
