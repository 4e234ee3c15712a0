"""Running means of named losses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from support.tiny import Seen, element, make_runner, sample

from valloss_compat._recording import accumulator
from valloss_compat._recording.accumulator import (
    EpochAccumulators,
    LossAccumulator,
    LossSum,
    means_with_total,
    merge_ranks,
)


def means_of(*batches):
    meters = EpochAccumulators()
    for index, losses in enumerate(batches):
        meters.record(losses, 1, index)
    return {name: meter.mean() for name, meter in meters.items()}


@pytest.mark.parametrize(
    ("value", "mean"),
    [
        (torch.tensor(2.5), 2.5),
        (torch.tensor([2.5]), 2.5),
        (torch.tensor([[2.5]], requires_grad=True), 2.5),
        (torch.tensor(2.5, dtype=torch.float64), 2.5),
        (torch.tensor(2.5, dtype=torch.float16), 2.5),
        (torch.tensor(2.5, dtype=torch.bfloat16), 2.5),
        (torch.tensor(3), 3.0),
        (torch.tensor(True), 1.0),
        (torch.tensor([1.0, 2.0, 6.0]), 3.0),
        (torch.tensor([[1, 2], [3, 4]]), 2.5),
        (torch.tensor([1.0, 2.0], requires_grad=True), 1.5),
        ([torch.tensor(1.0), torch.tensor(4.0)], 5.0),
        ((torch.tensor(1.0), torch.tensor([4.0, 6.0])), 6.0),
        ([torch.tensor([1, 2]), torch.tensor(4.0, dtype=torch.float64)], 5.5),
        (2.5, 2.5),
        (3, 3.0),
        (np.float32(2.5), 2.5),
        (np.float64(2.5), 2.5),
        (np.int64(3), 3.0),
    ],
)
def test_every_value_of_the_contract_is_read(value, mean):
    """The mean of a tensor, and the sum of the means of a list."""
    assert means_of({"loss": value}) == {"loss": mean}


def test_list_is_one_update_as_in_training():
    """Two updates in all: the mean over batches of the sums over levels."""
    levels = [torch.tensor(1.0), torch.tensor(2.0)]
    assert means_of({"loss": levels}, {"loss": torch.tensor(6.0)}) == {"loss": 4.5}


def test_losses_that_cancel_keep_their_mean():
    """As math.fsum adds them up, however many there are."""
    values = [1e16, 1.0, -1e16, 2.0]
    batches = [{"loss": torch.tensor(value, dtype=torch.float64)} for value in values]
    assert means_of(*batches) == {"loss": 0.75}
    many = [1e16] + [1.0] * 5000 + [-1e16]
    assert means_of(*({"loss": value} for value in many))["loss"] == 5000 / 5002


def test_a_loss_counts_on_the_iterations_that_have_it():
    """The mean is over those seen."""
    assert means_of({"a": 1.0}, {}, {"a": 3.0, "b": 5.0}) == {"a": 2.0, "b": 5.0}


class Odd:
    """No loss."""


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("0.5", "value of type str"),
        (None, "value of type NoneType"),
        (Odd(), "value of type Odd"),
        ({"nested": 1.0}, "value of type dict"),
        (np.ones(3), "value of type ndarray"),
        (1j, "value of type complex"),
        (torch.ones((), dtype=torch.complex64), "value of type Tensor of torch.comp"),
        (torch.ones(2).to_sparse(), "value of type Tensor of torch.sparse_coo"),
        (
            torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
            "value of type Tensor of torch.qint8",
        ),
        (
            torch.quantize_per_tensor(torch.ones(()), 0.1, 0, torch.qint8),
            "value of typ",
        ),
        (10**400, "value of type an int beyond the range of float"),
        ([torch.ones(()), 2.0], "value item of type float"),
    ],
)
def test_a_value_of_another_type_is_refused(value, said):
    """The error names the loss, the type and the way out."""
    with pytest.raises(TypeError) as error:
        means_of({"loss_cls": value})
    assert str(error.value).startswith(f"loss 'loss_cls' has a {said}")
    assert str(error.value).endswith(
        "but a real tensor, a number, or a list or tuple of tensors is expected: "
        "convert it with torch.as_tensor() before it goes into the loss element"
    )


@pytest.mark.parametrize("value", [torch.tensor(1j), "0.5"])
def test_a_value_of_another_type_is_refused_at_any_batch(value):
    """Also where the same loss was a real scalar before."""
    with pytest.raises(TypeError, match=r"^loss 'loss_cls' has a value of type"):
        means_of({"loss_cls": torch.ones(())}, {"loss_cls": value})


def test_integers_and_infinities_count_at_any_batch():
    """Scalars of every real dtype are numbers."""
    values = [torch.tensor(2.0), torch.tensor(3), torch.tensor(True)]
    assert means_of(*({"loss": value} for value in values)) == {"loss": 2.0}
    infinite = torch.tensor(float("-inf"))
    assert means_of({"loss": values[0]}, {"loss": infinite}) == {"loss": -math.inf}


def test_the_total_is_the_sum_of_what_is_named_loss():
    """Names without 'loss' are reported, not summed."""
    sums = {
        "loss_cls": LossSum(6.0, 3, None),
        "acc": LossSum(9.0, 1, None),
        "aux.loss": LossSum(1.0, 2, None),
    }
    assert list(means_with_total(sums, "test").items()) == [
        ("loss_cls", 2.0),
        ("acc", 9.0),
        ("aux.loss", 0.5),
        ("test_loss", 2.5),
    ]


def test_there_is_no_total_of_nothing():
    """Where no name contains 'loss'."""
    assert means_with_total({"acc": LossSum(1.0, 1, None)}, "val") == {"acc": 1.0}


def test_nan_and_inf_stay_in_the_mean():
    """And the index of the first NaN is known."""
    meters = EpochAccumulators()
    for index, value in enumerate([1.0, math.nan, math.nan]):
        meters.record({"loss": torch.tensor(value)}, 1, index)
    assert math.isnan(meters["loss"].mean())
    assert meters.sums()["loss"].nan_at == 1
    assert means_of({"loss": math.inf}, {"loss": 1.0}) == {"loss": math.inf}


def test_update_counts_once_in_the_first_batch_by_default():
    """The weight and the index of a batch."""
    accumulators, one = EpochAccumulators(), LossAccumulator("loss")
    accumulators.record({"loss": math.nan})
    one.add(torch.tensor(math.nan))
    for known in (accumulators["loss"], one):
        assert (known.sum().weight, known.sum().nan_at) == (1, 0)


def test_sum_from_elsewhere_counts_by_its_weight():
    """With its NaN, if it has one."""
    one = LossAccumulator("loss")
    one.add(1.0)
    one.add_sum(LossSum(8.0, 3))
    assert one.sum() == LossSum(9.0, 4, None)
    one.add_sum(LossSum(math.nan, 1, 7))
    assert one.sum()[1:] == (5, 7)


def test_an_empty_tensor_is_nan():
    """As torch has the mean of nothing; it is no error."""
    assert math.isnan(means_of({"loss": torch.empty(0)})["loss"])


def test_an_empty_list_is_no_update():
    """So there is nothing to report under that name; native reports NaN."""
    meters = EpochAccumulators()
    meters.record({"loss": [], "loss_b": 1.0})
    assert list(meters) == list(meters.sums()) == ["loss_b"]
    assert math.isnan(LossAccumulator("loss").mean())


def test_a_loss_that_was_refused_leaves_nothing():
    """Where somebody catches the error and goes on."""
    meters = EpochAccumulators()
    with pytest.raises(TypeError):
        meters.record({"loss": ["0.5"]})
    with pytest.raises(ValueError, match="abc"):
        meters.record({"loss_b": Unreadable()})
    assert meters.sums() == {}


class Unreadable(float):
    """A number that is none."""

    def __float__(self):
        raise ValueError("abc")


def test_what_a_loop_adds_itself_is_reported():
    """As native mmengine reports any HistoryBuffer in loop.val_loss."""
    meters = EpochAccumulators()
    history = HistoryBuffer()
    history.update(2.0)
    history.update(4.0)
    meters["aux_loss"] = history
    assert means_with_total(meters.sums(), "val") == {"aux_loss": 3.0, "val_loss": 3.0}


def test_ranks_add_up_in_the_order_of_names_first_seen():
    """Also where ranks know other names, or none."""
    merged = merge_ranks(
        [
            {"a": LossSum(1.0, 1, None)},
            {},
            {"b": LossSum(2.0, 1, 7), "a": LossSum(5.0, 2, None)},
            {"b": LossSum(2.0, 1, 3)},
        ]
    )
    assert list(merged.items()) == [
        ("a", LossSum(6.0, 3, None)),
        ("b", LossSum(4.0, 2, 3)),
    ]
    meters = EpochAccumulators()
    meters.record({"gone": 1.0})
    meters.load(merged)
    assert {name: meter.mean() for name, meter in meters.items()} == {
        "a": 2.0,
        "b": 2.0,
    }


@pytest.fixture
def on_a_device(monkeypatch):
    """Make the CPU pass for an accelerator."""
    monkeypatch.setattr(accumulator, "_HOST", "xla")
    # A tensor's own answer is that it is on the CPU.
    monkeypatch.setattr(accumulator, "_HAS_IS_CPU", False)


def test_on_a_device_the_sum_waits_for_the_end(on_a_device):
    """The same mean as on the host, with nothing read from the device before."""
    meter = LossAccumulator("loss")
    values = [torch.rand((), generator=torch.manual_seed(7)) for _ in range(100)]
    with torch.autograd.profiler.profile() as profile:
        for index, value in enumerate(values):
            meter.add(value, 1, index)
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
    meter = LossAccumulator("loss")
    meter.add(math.nan, 1, 9)
    for index, value in enumerate([1.0, math.nan, math.nan]):
        meter.add(torch.tensor([value, 1.0]), 1, index)
    assert meter.sum().nan_at == 1
    assert meter.sum().weight == 4


def test_on_a_device_a_nan_in_the_very_first_batch_is_known(on_a_device):
    """Index 0 is one, and not the sign that there was none."""
    for values, first in (([1.0, 2.0], None), ([math.nan, math.nan], 0)):
        meter = LossAccumulator("loss")
        for index, value in enumerate(values):
            meter.add(torch.tensor(value), 1, index)
        assert meter.sum().nan_at == first


def test_on_a_device_the_sum_has_double_precision(on_a_device):
    """Of what was given in double precision, no digit is lost."""
    meter = LossAccumulator("loss")
    meter.add(torch.tensor(0.1, dtype=torch.float64))
    assert meter.mean() == 0.1


def test_a_device_without_float64_keeps_double_precision_nearly(
    on_a_device, monkeypatch
):
    """A thousand small losses after a large one are not lost, nor one before it."""
    monkeypatch.setattr(accumulator, "_WITHOUT_FLOAT64", ("cpu",))
    small, large = torch.tensor(1e-3), torch.tensor(1e5)
    meter, naive = LossAccumulator("loss"), torch.tensor(1e5)
    meter.add(large)
    for _ in range(1000):
        meter.add(small)
        naive += small
    exact = (1e5 + 1000 * float(small)) / 1001
    assert meter.mean() == pytest.approx(exact, rel=1e-9)
    assert float(naive) / 1001 != pytest.approx(exact, rel=1e-6)
    meter = LossAccumulator("loss")
    for value in (5.0, 1e8):  # nor is a small one before: float32 has no 1e8 + 5
        meter.add(torch.tensor(value))
    assert meter.sum().total == 1e8 + 5


def test_an_infinite_sum_on_a_device_stays_infinite(on_a_device):
    """Not NaN, as the bookkeeping of what rounding lost could make it."""
    meter = LossAccumulator("loss")
    meter.add(torch.tensor(math.inf))
    meter.add(torch.tensor(1.0))
    assert meter.mean() == math.inf


def test_list_on_a_device_is_summed_there(on_a_device, waits):
    """Without a wait, as one update."""
    meter = LossAccumulator("loss")
    for index in range(3):
        meter.add([torch.tensor(1.0), torch.tensor([1.0, 3.0])], 1, index)
    assert not waits
    assert meter.mean() == 3.0


def test_meta_tensor_is_rejected_at_its_batch():
    """It has no data that could be read at the end."""
    with pytest.raises(TypeError, match="'loss_seg' has a value of type Tensor withou"):
        means_of({"loss_seg": torch.empty((), device="meta")})
