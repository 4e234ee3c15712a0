"""Scripts that import the package and report the state of mmengine."""

from __future__ import annotations

import textwrap

# With REPORT at its end, a script prints whether val_loss is reported, and its value.
PRELUDE = """
import json, sys, tempfile
import torch
from mmengine.runner import loops
from mmengine.evaluator import Evaluator
NATIVE = hasattr(loops, '_update_losses')
MARK = '__valloss_compat__'
TARGETS = [(owner, name) for owner, names in (
    (loops.ValLoop, ('run', 'run_iter', '__init_subclass__')),
    (loops.TestLoop, ('run', 'run_iter', '__init_subclass__')),
    (Evaluator, ('process', 'evaluate', '__init_subclass__')),
    (loops, ('_update_losses', '_parse_losses')),
) for name in names]
BEFORE = [vars(owner).get(name) for owner, name in TARGETS]

def untouched():
    now = [vars(owner).get(name) for owner, name in TARGETS]
    return all(one is other for one, other in zip(BEFORE, now))

def runner():
    from support.tiny import element, make_runner, sample
    def respond(index, inputs):
        return [sample(), element(loss=torch.tensor(index + 1.0))]
    return make_runner(tempfile.mkdtemp(), respond)
"""
REPORT = """
print(json.dumps({'native': NATIVE, 'val_loss': runner().val().get('val_loss')}))
"""


def script(body: str) -> str:
    return PRELUDE + textwrap.dedent(body)
