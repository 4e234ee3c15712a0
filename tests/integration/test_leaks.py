"""Runners that are dropped can be garbage collected, with all that belongs to them."""

from __future__ import annotations

import pytest

# In a process of its own: fixtures and failures of other tests keep runners alive.
SCRIPT = """
import gc, json, tempfile, weakref
import valloss_compat
from loss_forward.models import Appending, Classifier, Watch, hook, make_runner

def run():
    watch = Watch()
    hooks = [hook()] if {with_hook} else []
    model = Classifier() if {with_hook} else Appending()
    runner = make_runner(tempfile.mkdtemp(), *hooks, watch, model=model)
    runner.train()
    assert len(watch.metrics) == 2 and all('val_loss' in m for m in watch.metrics)
    kept = [runner, model, runner.train_loop, runner.val_loop]
    kept += [runner.val_evaluator, runner.val_dataloader.dataset, *runner.hooks]
    return [weakref.ref(one) for one in kept]

references = [reference for _ in range(5) for reference in run()]
gc.collect()
alive = [type(one()).__name__ for one in references if one() is not None]
alive += [
    type(one).__name__ for one in gc.get_objects()
    if str(type(one).__module__).startswith('valloss_compat._loss_forward')
]
print(json.dumps([len(references), alive]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("with_hook", [False, True])
def test_runners_that_are_dropped_can_be_collected(nursery, with_hook):
    script = SCRIPT.replace("{with_hook}", str(with_hook))
    number, alive = nursery.run(script).json()
    assert number > 50
    assert alive == []
