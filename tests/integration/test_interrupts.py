"""An exception at any line of the package that a validation executes.

Ctrl-C, or an alarm, may come anywhere. Whatever it interrupts, the next validation in
the process reports the right losses, and nothing is left on the runner.
"""

from __future__ import annotations

import pytest
from support.native import NATIVE

# In a process of its own: an exception as a `with lock` ends leaves the lock held.
SCRIPT = """
import contextlib, json, tempfile
import torch
import valloss_compat
from support.interrupts import InterruptAt
from support.tiny import element, make_runner, sample
from valloss_compat._recording.recorder import running_loop

def respond(index, inputs):
    return [sample(), element(loss=torch.tensor(1.0 + 2 * (index % 2)))]

def validate():
    runner.model.calls = 0
    evaluator.metrics[0].results.clear()
    return runner.val()

def evaluate_by_hand():
    evaluator.metrics[0].results.clear()
    for index in range(2):
        evaluator.process(data_samples=respond(index, None), data_batch=None)
    return evaluator.evaluate(2)

valloss_compat.apply(mode={mode!r})
runner = make_runner(tempfile.mkdtemp(), respond)
evaluator = runner.val_loop.evaluator
expected = validate()
assert expected['val_loss'] == 2.0
names = set(vars(runner))
with InterruptAt() as recorded:
    {interrupted}()
for index, line in enumerate(recorded.lines):
    time = recorded.lines[: index + 1].count(line)
    with InterruptAt(line, time) as interrupt, contextlib.suppress(KeyboardInterrupt):
        {interrupted}()
    assert interrupt.raised, line
    assert validate() == expected, line
    assert evaluate_by_hand() == {by_hand}, line
    assert set(vars(runner)) == names, line
    assert running_loop() is None, line
print(json.dumps(len(recorded.lines)))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "interrupted"),
    [
        ("default", "validate"),
        ("default", "evaluate_by_hand"),
        pytest.param(
            "parity",
            "validate",
            marks=pytest.mark.skipif(
                NATIVE, reason="in mode 'parity' nothing is patched there"
            ),
        ),
    ],
)
def test_validation_after_an_interrupt_at_any_line_is_right(nursery, mode, interrupted):
    by_hand = "expected" if mode == "default" else "{'n/seen': 4.0}"
    script = SCRIPT.replace("{mode!r}", repr(mode)).replace("{by_hand}", by_hand)
    lines = nursery.run(script.replace("{interrupted}", interrupted)).json()
    assert lines > 20
