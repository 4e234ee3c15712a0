"""Losses on a device: summed there, precisely, and read once an epoch."""

from __future__ import annotations

import math

import pytest
import torch
from support.tiny import Seen, element, make_runner, sample

from valloss_compat._recording import accumulator
from valloss_compat._recording.accumulator import LossAccumulator


@pytest.fixture
def on_a_device(monkeypatch):
    """Make the CPU pass for an accelerator."""
    monkeypatch.setattr(
        "valloss_compat._recording.accumulator._HOST", torch.device("xla")
    )
    # A tensor's own answer is that it is on the CPU.
    monkeypatch.setattr("valloss_compat._recording.accumulator._HAS_IS_CPU", False)


def test_on_a_device_the_sum_waits_for_the_end(on_a_device):
    """The same mean as on the host, with nothing read from the device before."""
    meter = LossAccumulator()
    values = [torch.rand((), generator=torch.manual_seed(7)) for _ in range(100)]
    with torch.autograd.profiler.profile() as profile:
        for index, value in enumerate(values):
            meter.update_tensor(value, 1, index)
    names = {event.name for event in profile.function_events}
    assert names
    assert not {name for name in names if "_local_scalar_dense" in name}
    assert meter.mean() == pytest.approx(math.fsum(map(float, values)) / 100, abs=1e-12)


#: What makes Python wait for a device.
WAITS = (
    "item",
    "tolist",
    "numpy",
    "cpu",
    "__array__",
    "__bool__",
    "__float__",
    "__index__",
    "__int__",
)


@pytest.fixture
def waits(monkeypatch):
    """Names of the calls that wait for a device, as they come.

    Not ``to("cpu")`` and what waits within torch. (Its profiler sees these, but under
    load it has lost an event, so that it cannot compare two counts.)
    """
    seen = []

    def watched(name, original):
        def call(*args, **kwargs):
            seen.append(name)
            return original(*args, **kwargs)

        return call

    for name in WAITS:
        original = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, watched(name, original))
    return seen


def test_an_epoch_reads_the_device_once_a_loss(on_a_device, waits, tmp_path):
    """However many batches it has: the number of waits does not grow with it."""

    def respond(index, inputs):
        return [sample(), element(loss=torch.ones(()), loss_b=torch.ones(()))]

    counts = []
    for length in (2, 20):
        runner = make_runner(tmp_path, respond, length=length, metric=Seen())
        runner.val_loop  # noqa: B018  built before it is watched
        del waits[:]
        assert runner.val()["val_loss"] == 2.0
        counts.append(len(waits))
    assert counts[0] == counts[1] > 0


def test_on_a_device_the_first_nan_is_known(on_a_device):
    """Two devices or one, whatever came first."""
    meter = LossAccumulator()
    meter.update(math.nan, 1, 9)
    for index, value in enumerate([1.0, math.nan, math.nan]):
        meter.update_tensor(torch.tensor([value, 1.0]), 1, index)
    assert meter.sum().nan_at == 1
    assert meter.sum().weight == 4


def test_on_a_device_a_nan_in_the_very_first_batch_is_known(on_a_device):
    """Index 0 is one, and not the sign that there was none."""
    for values, first in (([1.0, 2.0], None), ([math.nan, math.nan], 0)):
        meter = LossAccumulator()
        for index, value in enumerate(values):
            meter.update_tensor(torch.tensor(value), 1, index)
        assert meter.sum().nan_at == first


def test_on_a_device_the_sum_has_double_precision(on_a_device):
    """Of what was given in double precision, no digit is lost."""
    meter = LossAccumulator()
    meter.update_tensor(torch.tensor(0.1, dtype=torch.float64))
    assert meter.mean() == 0.1


def test_a_device_without_float64_keeps_double_precision_nearly(
    on_a_device, monkeypatch
):
    """A thousand small losses after a large one are not lost, nor one before it."""
    monkeypatch.setattr(accumulator, "_WITHOUT_FLOAT64", ("cpu",))
    small, large = torch.tensor(1e-3), torch.tensor(1e5)
    meter, naive = LossAccumulator(), torch.tensor(1e5)
    meter.update_tensor(large)
    for _ in range(1000):
        meter.update_tensor(small)
        naive += small
    exact = (1e5 + 1000 * float(small)) / 1001
    assert meter.mean() == pytest.approx(exact, rel=1e-9)
    assert float(naive) / 1001 != pytest.approx(exact, rel=1e-6)
    meter = LossAccumulator()
    for value in (5.0, 1e8):  # nor is a small one before: float32 has no 1e8 + 5
        meter.update_tensor(torch.tensor(value))
    assert meter.sum().total == 1e8 + 5


def test_an_infinite_sum_on_a_device_stays_infinite(on_a_device):
    """Not NaN, as the bookkeeping of what rounding lost could make it."""
    meter = LossAccumulator()
    meter.update_tensor(torch.tensor(math.inf))
    meter.update_tensor(torch.tensor(1.0))
    assert meter.mean() == math.inf
