"""An exception at any line of the package that a validation executes.

Ctrl-C, or an alarm, may come anywhere. Whatever it interrupts, the next validation in
the process reports the right losses and nothing is left on the loop or the runner.
"""

from __future__ import annotations

import contextlib
import os
import sys

import pytest
import torch
from support.native import NATIVE
from support.tiny import make_runner, sample

import valloss_compat

from support.tiny import element  # isort: skip

PACKAGE = os.path.dirname(valloss_compat.__file__)


class Interrupted(BaseException):
    """As KeyboardInterrupt, and none that a test runner raises."""


class InterruptAt:
    """Raises at the n-th line of the package that runs; counts the lines."""

    def __init__(self, line):
        self.line = line
        self.count = 0

    def __enter__(self):
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_):
        sys.settrace(self._before)

    def _trace(self, frame, event, arg):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            self.count += 1
            if self.count == self.line:
                raise Interrupted
        return self._trace


def respond(index, inputs):
    """The losses 1, 3, 1, 3 ... one a batch."""
    return [sample(), element(loss=torch.tensor(1.0 + 2 * (index % 2)))]


def validate(runner, line):
    """Validate, interrupted at a line; return how many lines ran."""
    runner.model.calls = 0
    with InterruptAt(line) as interrupt:
        try:
            runner.val()
        except Interrupted:
            assert interrupt.count >= line
    return interrupt.count


@pytest.mark.slow
@pytest.mark.skipif(
    sys.gettrace() is not None and not hasattr(sys, "monitoring"),
    reason="coverage traces the lines before Python 3.12, as this test does",
)
@pytest.mark.parametrize("mode", ["default", "parity"])
def test_validation_after_an_interrupt_is_right(tmp_path, mode):
    if mode == "parity" and NATIVE:
        pytest.skip("in mode 'parity' nothing runs there")
    valloss_compat.apply(mode=mode)
    runner = make_runner(tmp_path, respond)
    expected = runner.val()
    assert expected["val_loss"] == 2.0
    names = set(vars(runner))
    lines = validate(runner, 0)
    assert lines > 20
    for line in range(1, lines + 1):
        validate(runner, line)
        runner.val_loop.evaluator.metrics[0].results.clear()
        runner.model.calls = 0
        assert runner.val() == expected, line
        assert set(vars(runner)) == names, line


def evaluate_by_hand(runner):
    """Drive an evaluator outside of any run."""
    evaluator = runner.val_loop.evaluator
    evaluator.metrics[0].results.clear()
    for index in range(2):
        evaluator.process(data_samples=respond(index, None), data_batch=None)
    return evaluator.evaluate(2)


@pytest.mark.slow
@pytest.mark.skipif(
    sys.gettrace() is not None and not hasattr(sys, "monitoring"),
    reason="coverage traces the lines before Python 3.12, as this test does",
)
def test_validation_after_an_interrupt_by_hand_is_right(tmp_path):
    runner = make_runner(tmp_path, respond)
    assert runner.val()["val_loss"] == 2.0
    assert evaluate_by_hand(runner)["val_loss"] == 2.0
    with InterruptAt(0) as interrupt:
        evaluate_by_hand(runner)
    for line in range(1, interrupt.count + 1):
        with InterruptAt(line), contextlib.suppress(Interrupted):
            evaluate_by_hand(runner)
        runner.model.calls = 0
        runner.val_loop.evaluator.metrics[0].results.clear()
        assert runner.val()["val_loss"] == 2.0, line
        assert evaluate_by_hand(runner)["val_loss"] == 2.0, line
