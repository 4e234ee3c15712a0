"""Loops and evaluators that hand their work on to threads of their own."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from mmengine.evaluator import Evaluator
from mmengine.runner import ValLoop
from support.own_loops import with_loop
from support.tiny import Seen, counting, element, make_runner, sample

from valloss_compat._recording import recorder as recorder_module
from valloss_compat._recording.context import WeakIdentityMap
from valloss_compat._recording.recorder import Recorder


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


class TwoPasses(ValLoop):
    """Each batch and each ``process`` in a thread; two epochs in one run."""

    calls = "run_iter"

    def run(self):
        found = {}
        for name in ("teacher", "student"):
            for index, batch in enumerate(self.dataloader):
                if self.calls == "run_iter":
                    elsewhere(self.run_iter, index, batch)
                    continue
                outputs = self.runner.model.val_step(batch)
                elsewhere(self.evaluator.process, outputs, batch)
            metrics = self.evaluator.evaluate(len(self.dataloader.dataset))
            found.update({f"{name}/{key}": metrics[key] for key in metrics})
        self.runner.call_hook("after_val_epoch", metrics=found)
        return found


@pytest.mark.parametrize("calls", ["run_iter", "process"])
def test_a_second_pass_in_threads_has_its_losses(tmp_path, monkeypatch, calls):
    """Though the thread that begins it has no run of its own."""
    monkeypatch.setattr(TwoPasses, "calls", calls)
    runner = make_runner(tmp_path, counting, length=4)
    runner.call_hook("before_val_epoch")
    loop = with_loop(runner, TwoPasses)
    for first in (2.5, 10.5):
        found = runner.val()
        assert found["teacher/val_loss"] == first
        assert found["student/val_loss"] == first + 4
        assert loop.val_loss["loss"].mean() == first + 4


def test_a_second_pass_in_threads_is_of_the_same_stage(tmp_path):
    """A thread that only processes does not know that it is a test."""
    runner = make_runner(tmp_path, counting, length=4)
    loop = runner.build_test_loop({"type": "TestLoop"})

    class Test(type(loop)):
        calls = "process"

        def run(self):
            return TwoPasses.run(self)

    loop.__class__ = Test
    runner._test_loop = loop
    found = loop.run()
    assert sorted(name for name in found if "_loss" in name) == [
        "student/test_loss",
        "teacher/test_loss",
    ]


def test_threads_that_begin_an_epoch_at_a_time_begin_one(monkeypatch):
    """The second comes while the first is at it, and does not lose its losses."""
    evaluator, others = Evaluator([]), []
    begin = Recorder._open

    def slowly(self, *args):
        if not others:
            give = (evaluator.process, [sample(), element(loss=1.0)])
            others.append(threading.Thread(target=give[0], args=give[1:]))
            others[0].start()
            others[0].join(0.3)  # it ends by then, unless it has to wait
        return begin(self, *args)

    monkeypatch.setattr(Recorder, "_open", slowly)
    evaluator.process([sample(), element(loss=3.0)])
    others[0].join(60)
    assert evaluator.evaluate(2) == {"loss": 2.0, "val_loss": 2.0}


def test_many_threads_lose_nothing():
    """Sums and counts are not overtaken, and no name is begun twice."""
    each, threads = 200, 8
    start = threading.Barrier(threads)
    evaluator = Evaluator([])

    def some(number):
        start.wait(60)
        for _ in range(each):
            evaluator.process([sample(), element(**{f"loss_{number}": 1.0})])
            evaluator.process([sample(), element(loss=float(number))])

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(some, range(threads)))
    finally:
        sys.setswitchinterval(interval)
    metrics = evaluator.evaluate(0)
    assert metrics.pop("val_loss") == 3.5 + threads
    assert metrics.pop("loss") == 3.5
    assert metrics == {f"loss_{number}": 1.0 for number in range(threads)}


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
        calls.append(sorted(mine))
        return [mine, {}]

    monkeypatch.setattr(recorder_module, "get_world_size", lambda: 2)
    monkeypatch.setattr(recorder_module, "all_gather_object", gather)
    runner = make_runner(tmp_path, lambda *_: [sample()])
    runner.call_hook("before_val_epoch")
    with_loop(runner, ThreadedRun)
    assert runner.val() == {"n/seen": 2.0}
    assert calls == [[]]
    with_loop(runner, TwoPasses)
    runner.val()
    assert calls == [[]] * 3


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


def test_an_evaluator_that_is_new_to_two_threads_has_one_epoch():
    """The second asks for it while the first is making it."""
    evaluator, inner = Evaluator([]), []

    def make():
        if not inner:
            inner.append(None)
            inner[0] = elsewhere(values.__getitem__, evaluator)
        return object()

    values = WeakIdentityMap(make)
    assert values[evaluator] is values[evaluator] is inner[0]
