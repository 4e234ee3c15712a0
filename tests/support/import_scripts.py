"""Scripts that import the package and report the state of mmengine."""

from __future__ import annotations

import textwrap

# With REPORT at its end, a script prints whether val_loss is reported, and its value.
PRELUDE = """
import importlib.util, json, os, sys, tempfile
import torch
from mmengine.runner import loops
from mmengine.evaluator import Evaluator
NATIVE = hasattr(loops, '_update_losses')
MARK = '__valloss_compat__'

def targets():
    # The table is read by its path: the package must not be imported yet.
    package = os.path.dirname(importlib.util.find_spec('valloss_compat').origin)
    path = os.path.join(package, '_patches', 'plan.py')
    spec = importlib.util.spec_from_file_location('table_of_patches', path)
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    for point in table.PATCH_POINTS:
        module, _, name = point.target.partition(':')
        owner = importlib.import_module(module)
        owner = getattr(owner, name, None) if name else owner
        if owner is not None:
            yield owner, point.attribute
            if point.subclasses:
                yield owner, '__init_subclass__'

TARGETS = list(targets())
assert len(TARGETS) > 15
BEFORE = [vars(owner).get(name) for owner, name in TARGETS]

def untouched(*exempt):
    now = [vars(owner).get(name) for owner, name in TARGETS]
    changed = [(owner.__name__, name)
               for (owner, name), one, other in zip(TARGETS, BEFORE, now)
               if one is not other]
    return set(changed) <= set(exempt)

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
