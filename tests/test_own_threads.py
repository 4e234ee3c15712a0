"""Loops and evaluators that hand their work on to threads of their own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from mmengine.evaluator import Evaluator
from mmengine.runner import ValLoop
from own_loops import with_loop
from tiny import Seen, counting, element, make_runner, sample

from valloss_compat import recorder as recorder_module


def elsewhere(function, *args):
    """Call it in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args).result(60)


class ThreadedSuper(ValLoop):
    """Each iteration in a thread."""

    def run_iter(self, idx, data_batch):
        elsewhere(super().run_iter, idx, data_batch)


class ThreadedRun(ValLoop):
    """The same from a run of its own, and evaluates in a thread as well."""

    def run(self):
        for index, batch in enumerate(self.dataloader):
            elsewhere(self.run_iter, index, batch)
        return elsewhere(self.evaluator.evaluate, len(self.dataloader.dataset))


@pytest.mark.parametrize("loop_class", [ThreadedSuper, ThreadedRun])
def test_a_loop_that_iterates_in_threads_has_its_losses(tmp_path, loop_class):
    """A thread without a run of its own works for the epoch that is open."""
    runner = make_runner(tmp_path, counting, length=4)
    runner.call_hook("before_val_epoch")
    loop = with_loop(runner, loop_class)
    for mean in (2.5, 6.5):
        assert runner.val() == {"n/seen": 4.0, "loss": mean, "val_loss": mean}
        assert loop.val_loss["loss"].mean() == mean
        assert loop.val_loss.sums()["loss"].weight == 4


class ThreadedEvaluator(Evaluator):
    """Processes and evaluates in a thread."""

    def process(self, data_samples, data_batch=None):
        elsewhere(super().process, data_samples, data_batch)

    def evaluate(self, size):
        return elsewhere(super().evaluate, size)


def test_an_evaluator_that_works_in_threads_has_the_losses(tmp_path):
    """Each once, whichever thread is asked last."""
    evaluator = ThreadedEvaluator([Seen()])
    runner = make_runner(tmp_path, counting, length=4, val_evaluator=evaluator)
    for mean in (2.5, 6.5):
        assert runner.val() == {"n/seen": 4.0, "loss": mean, "val_loss": mean}


def test_a_thread_that_evaluates_for_a_run_takes_part_in_the_collective(
    tmp_path, monkeypatch
):
    """Also where this rank had no losses: the others wait for it."""
    calls = []

    def gather(mine):
        calls.append(mine)
        return [mine, {}]

    monkeypatch.setattr(recorder_module, "get_world_size", lambda: 2)
    monkeypatch.setattr(recorder_module, "all_gather_object", gather)
    runner = make_runner(tmp_path, lambda *_: [sample()])
    runner.call_hook("before_val_epoch")
    with_loop(runner, ThreadedRun)
    assert runner.val() == {"n/seen": 2.0}
    assert calls == [{}]


def test_an_epoch_ends_with_its_run(tmp_path):
    """Of an evaluator that is not the loop's, too, which nobody evaluated."""
    other = Evaluator([])

    class Lends(ValLoop):
        def run_iter(self, idx, data_batch):
            super().run_iter(idx, data_batch)
            other.process([sample(), element(loss=50.0)])

    runner = make_runner(tmp_path, counting)
    with_loop(runner, Lends)
    assert runner.val()["val_loss"] == 1.5
    assert other.evaluate(0) == {}
    runner.val()
    other.process([sample(), element(loss=4.0)])
    assert other.evaluate(0) == {"loss": 4.0, "val_loss": 4.0}
