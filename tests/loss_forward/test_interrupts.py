"""An exception at any line of ValLossHook that a validation executes.

Whatever Ctrl-C interrupts, nothing is left on the model, the runner, mmengine or torch,
and the next validation in the process reports the right losses.
"""

from __future__ import annotations

import pytest

# In a process of its own: other tests would find what an interrupt left.
SCRIPT = """
import collections, gc, json, random, tempfile, threading
import numpy as np
import torch
from mmengine.hooks import runtime_info_hook
from mmengine.logging import MessageHub
from mmengine.registry import HOOKS
from torch.nn.modules import module as torch_module
from loss_forward.models import hook
from loss_forward.views import TRAINING, VALIDATION, Detector, dataset_of
from loss_forward.views import detector_runner, loader_of
from support.interrupts import InterruptAt
from valloss_compat._loss_forward import frozen_training
from valloss_compat.errors import UnsupportedError

class Error(Exception):
    pass

class Changing(Detector):
    # Changes in mode 'loss' all that the hook restores.
    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'loss':
            MessageHub.get_current_instance().update_info('of_loss', 1)
            random.random(), np.random.rand(), torch.rand(1)
            self.seen = self.head.requires_grad_(False)
        return super().forward(inputs, data_samples, mode)

class Case:
    # Validations of a number of batches, by a hook that is new or has validated before.
    def __init__(self, batches, new):
        self.new = new
        self.model = Changing()
        self.model.head.register_forward_hook(lambda *_: None)
        # The iterators of this loader draw no seed from torch's own generator.
        loader = loader_of(
            dataset=dataset_of(*VALIDATION, indices=2 * batches),
            generator=torch.Generator()
        )
        self.runner = detector_runner(
            tempfile.mkdtemp(), hook(), model=self.model, val_dataloader=loader
        )
        self.dataset = loader.dataset
        self.expected = self.validate()
        self.clean = self.state()
        with InterruptAt() as interrupt:
            self.validate(new)
        self.times = collections.Counter(
            line for line in interrupt.lines
            if '_loss_forward' in line[0] or 'hooks' in line[0]
        )

    def validate(self, new=False):
        if new:
            self.runner._hooks[-1] = hook()
        metric, = self.runner.val_evaluator.metrics
        metric.results.clear()  # mmengine leaves those of an interrupted epoch
        metric.samples.clear()
        return self.runner.val()

    def state(self):
        free = []
        def other_thread():
            free.append(frozen_training._lock.acquire(blocking=False))
            if free[0]:
                frozen_training._lock.release()
        thread = threading.Thread(target=other_thread)
        thread.start()
        thread.join()
        return {
            'modules': [
                (module.training, sorted(vars(module)), dict(module._forward_hooks))
                for module in self.model.modules()
            ],
            'parameters': [
                (p.tolist(), p.requires_grad, p.grad) for p in self.model.parameters()
            ],
            'runner': sorted(vars(self.runner)),
            'registry': dict(HOOKS.module_dict),
            'functions': [
                getattr(owner, name, None)
                for owner, name, *_ in frozen_training._FUNCTIONS
            ],
            'setattr': torch.nn.Module.__setattr__,
            'global hooks': [
                dict(torch_module._global_forward_hooks),
                dict(torch_module._global_forward_pre_hooks),
            ],
            'gradients': torch.is_grad_enabled(),
            'random states': [
                random.getstate(), str(np.random.get_state()),
                torch.get_rng_state().numpy().tobytes()
            ],
            'hub': 'of_loss' in MessageHub.get_current_instance().runtime_info,
            'free': free,
        }

    def interrupt(self, line, time, kind):
        metrics = None
        with InterruptAt(line, time, kind) as interrupt:
            try:
                metrics = self.validate(self.new)
            except (kind, UnsupportedError):
                pass
        assert interrupt.raised, line
        assert metrics in (None, self.expected), line  # a check may take an error
        left = self.state()
        assert left == self.clean, (line, [n for n in left if left[n] != self.clean[n]])
        assert self.validate() == self.expected, line
        # Where no run had begun, the end of this one gives it back.
        assert self.runner.val_dataloader.dataset is self.dataset, line

gc.disable()  # a fifth of the time
runtime_info_hook.get_git_hash = str  # that starts git
seen = set()
for batches, new in ((1, False), (2, False), (1, True)):
    case = Case(batches, new)
    more = {line: time for line, time in case.times.items() if line not in seen}
    seen.update(more)
    for line, time in more.items():
        case.interrupt(line, 1, KeyboardInterrupt)
        if line[0].endswith('isolation.py') and time > 1:
            case.interrupt(line, time, KeyboardInterrupt)
    for line in list(more)[::20]:
        case.interrupt(line, 1, Error)
print(json.dumps(len(seen)))
"""


@pytest.mark.slow
def test_validation_after_an_interrupt_at_any_line_is_right(nursery):
    assert nursery.run(SCRIPT).json() > 700
