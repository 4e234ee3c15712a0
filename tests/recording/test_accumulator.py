"""Running means of named losses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from packaging.version import Version
from support.tiny import Seen, element, make_runner, sample

from valloss_compat._recording import accumulator as accumulator_module
from valloss_compat._recording.accumulator import (
    EpochAccumulators,
    LossAccumulator,
    LossSum,
    means_with_total,
)


def means_of(*batches):
    accumulators = EpochAccumulators()
    for index, losses in enumerate(batches):
        accumulators.record(losses, 1, index)
    return {name: accumulator.mean() for name, accumulator in accumulators.items()}


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
def test_each_accepted_type_of_value_has_a_mean(value, mean):
    """The mean of a tensor, and the sum of the means of a list."""
    assert means_of({"loss": value}) == {"loss": mean}


def test_list_is_one_update_as_in_training():
    """The mean over batches of the sums over levels."""
    levels = [torch.tensor(1.0), torch.tensor(2.0)]
    assert means_of({"loss": levels}, {"loss": torch.tensor(6.0)}) == {"loss": 4.5}


def test_losses_that_cancel_keep_their_mean():
    """They are added up as by ``math.fsum``, however many there are."""
    values = [1e16, 1.0, -1e16, 2.0]
    batches = [{"loss": torch.tensor(value, dtype=torch.float64)} for value in values]
    assert means_of(*batches) == {"loss": 0.75}
    many = [1e16] + [1.0] * 5000 + [-1e16]
    assert means_of(*({"loss": value} for value in many))["loss"] == 5000 / 5002


def test_loss_counts_in_the_batches_that_have_it():
    """The mean is over those batches."""
    assert means_of({"a": 1.0}, {}, {"a": 3.0, "b": 5.0}) == {"a": 2.0, "b": 5.0}


class Odd:
    """No number."""


@pytest.mark.parametrize(
    ("value", "reason", "fix"),
    [
        ("0.5", "value of type str", "put a tensor into the loss element"),
        (None, "value of type NoneType", "put a tensor into the loss element"),
        (Odd(), f"value of type {__name__}.Odd", "put a tensor into the loss element"),
        ({"nested": 1.0}, "value of type dict", "put a tensor into the loss element"),
        (1j, "value of type complex", "put a tensor into the loss element"),
        (
            np.ones(3),
            "value of type numpy.ndarray",
            "convert it with torch.as_tensor()",
        ),
        (
            torch.ones((), dtype=torch.complex64),
            "value of type Tensor of torch.complex64",
            "take its real part or abs()",
        ),
        (
            torch.ones(2).to_sparse(),
            "value of type Tensor of torch.sparse_coo",
            "convert it with to_dense()",
        ),
        (
            [torch.ones(()), 2.0],
            "value item of type float",
            "convert it with torch.as_tensor()",
        ),
        pytest.param(
            10**400,
            "value of type int beyond the range of float",
            "scale the loss down",
            id="int",
        ),
    ],
)
def test_value_of_another_type_is_rejected(value, reason, fix):
    """The error names the loss, the type and a fix that helps."""
    with pytest.raises(TypeError) as error:
        means_of({"loss_cls": value})
    assert str(error.value) == (
        f"loss 'loss_cls' has a {reason}, but a real tensor, a number, or a list or "
        f"tuple of tensors is expected. Fix: {fix}"
    )


def test_all_rejected_values_are_in_one_error():
    """Not one at each start of a training."""
    with pytest.raises(TypeError) as error:
        means_of({"a": "x", "b": torch.ones(()), 3: 1.0, "c": None})
    assert [text[:10] for text in str(error.value).split("; ")] == [
        "loss 'a' h",
        "a loss is ",
        "loss 'c' h",
    ]


@pytest.mark.filterwarnings("ignore")  # torch 2.15 deprecates quantized tensors
@pytest.mark.parametrize("value", [1.0, [1.0, 2.0]])
def test_quantized_tensor_is_rejected(value):
    """Also one without dimensions, and after a plain one."""
    quantized = torch.quantize_per_tensor(torch.tensor(value), 0.1, 0, torch.qint8)
    for batches in ([quantized], [torch.ones(()), quantized]):
        with pytest.raises(TypeError, match=r"of type Tensor of torch\.qint8"):
            means_of(*({"loss_cls": batch} for batch in batches))


@pytest.mark.parametrize("value", [torch.tensor(1j), "0.5"])
def test_value_of_another_type_is_rejected_at_any_batch(value):
    """Also after a scalar tensor of the same name."""
    with pytest.raises(TypeError, match=r"^loss 'loss_cls' has a value of type"):
        means_of({"loss_cls": torch.ones(())}, {"loss_cls": value})


def test_integers_and_infinities_count_at_any_batch():
    """Scalars of every real dtype are numbers."""
    values = [torch.tensor(2.0), torch.tensor(3), torch.tensor(True)]
    assert means_of(*({"loss": value} for value in values)) == {"loss": 2.0}
    infinite = torch.tensor(float("-inf"))
    assert means_of({"loss": values[0]}, {"loss": infinite}) == {"loss": -math.inf}


def test_total_is_the_sum_of_losses_with_loss_in_their_name():
    """Others are reported, not added."""
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


def test_without_loss_in_a_name_there_is_no_total():
    assert means_with_total({"acc": LossSum(1.0, 1, None)}, "val") == {"acc": 1.0}


def test_nan_and_inf_stay_in_the_mean():
    """The index of the first NaN is kept."""
    accumulators = EpochAccumulators()
    for index, value in enumerate([1.0, math.nan, math.nan]):
        accumulators.record({"loss": torch.tensor(value)}, 1, index)
    assert math.isnan(accumulators["loss"].mean())
    assert accumulators.sums()["loss"].nan_at == 1
    assert means_of({"loss": math.inf}, {"loss": 1.0}) == {"loss": math.inf}


def test_update_counts_once_in_the_first_batch_by_default():
    """Defaults of the weight and of the batch index."""
    accumulators, one = EpochAccumulators(), LossAccumulator("loss")
    accumulators.record({"loss": math.nan})
    one.add(torch.tensor(math.nan))
    for known in (accumulators["loss"], one):
        assert (known.sum().weight, known.sum().nan_at) == (1, 0)


def test_added_sum_counts_by_its_weight():
    """The index of its NaN is kept."""
    one = LossAccumulator("loss")
    one.add(1.0)
    one.add_sum(LossSum(8.0, 3))
    assert one.sum() == LossSum(9.0, 4, None)
    one.add_sum(LossSum(math.nan, 1, 7))
    assert one.sum()[1:] == (5, 7)


def test_empty_tensor_is_nan():
    """As the mean of it in torch; it is no error."""
    assert math.isnan(means_of({"loss": torch.empty(0)})["loss"])


def test_empty_list_is_no_update():
    """Nothing is reported under its name, where native mmengine reports NaN."""
    accumulators = EpochAccumulators()
    accumulators.record({"loss": [], "loss_b": 1.0})
    assert list(accumulators) == list(accumulators.sums()) == ["loss_b"]
    assert math.isnan(LossAccumulator("loss").mean())


def test_rejected_loss_leaves_nothing():
    """As when a user catches the error and continues."""
    accumulators = EpochAccumulators()
    with pytest.raises(TypeError):
        accumulators.record({"loss": ["0.5"]})
    with pytest.raises(ValueError, match="abc"):
        accumulators.record({"loss_b": Unreadable()})
    assert accumulators.sums() == {}


class Unreadable(float):
    """A number that cannot be converted."""

    def __float__(self):
        raise ValueError("abc")


def test_history_buffer_that_a_loop_adds_is_reported():
    """As native mmengine reports any HistoryBuffer in ``loop.val_loss``."""
    accumulators = EpochAccumulators()
    history = HistoryBuffer()
    history.update(2.0)
    history.update(4.0)
    accumulators["aux_loss"] = history
    assert means_with_total(accumulators.sums(), "val") == {
        "aux_loss": 3.0,
        "val_loss": 3.0,
    }


def test_sums_of_ranks_are_merged_in_the_order_of_first_appearance():
    """Ranks may have other names, or none."""
    accumulators = EpochAccumulators()
    accumulators.record({"gone": 1.0})
    merged = accumulators.merge(
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
    assert {name: accumulator.mean() for name, accumulator in accumulators.items()} == {
        "a": 2.0,
        "b": 2.0,
    }


@pytest.fixture
def on_a_device(monkeypatch):
    """Treat tensors on the CPU as tensors on an accelerator."""
    monkeypatch.setattr(accumulator_module, "_HOST", "xla")
    # Tensor.is_cpu is read-only.
    monkeypatch.setattr(accumulator_module, "_HAS_IS_CPU", False)


def test_sum_on_a_device_is_read_at_the_end(on_a_device):
    """The mean is that of the host."""
    accumulator = LossAccumulator("loss")
    values = [torch.rand((), generator=torch.manual_seed(7)) for _ in range(100)]
    with torch.autograd.profiler.profile() as profile:
        for index, value in enumerate(values):
            accumulator.add(value, 1, index)
    names = {event.name for event in profile.function_events}
    assert names
    assert not {name for name in names if "_local_scalar_dense" in name}
    assert accumulator.mean() == pytest.approx(
        math.fsum(map(float, values)) / 100, abs=1e-12
    )


#: Methods of a tensor that wait for its device.
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
    """Names of the calls that wait for a device, in order.

    Neither ``to("cpu")`` nor calls within torch. (torch's profiler records these, but
    it loses events under load, so it cannot compare two counts.)
    """
    seen = []

    def recording(name, original):
        def call(*args, **kwargs):
            seen.append(name)
            return original(*args, **kwargs)

        return call

    for name in WAITS:
        original = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, recording(name, original))
    return seen


def test_number_of_waits_does_not_grow_with_the_epoch(on_a_device, waits, tmp_path):
    """The device is read once for each loss."""

    def respond(index, inputs):
        return [sample(), element(loss=torch.ones(()), loss_b=torch.ones(()))]

    counts = []
    for length in (2, 20):
        runner = make_runner(tmp_path, respond, length=length, metric=Seen())
        runner.val_loop  # noqa: B018  built before calls are recorded
        del waits[:]
        assert runner.val()["val_loss"] == 2.0
        counts.append(len(waits))
    assert counts[0] == counts[1] > 0


def test_first_nan_on_a_device_is_found(on_a_device):
    """Also if the host has a later one."""
    accumulator = LossAccumulator("loss")
    accumulator.add(math.nan, 1, 9)
    for index, value in enumerate([1.0, math.nan, math.nan]):
        accumulator.add(torch.tensor([value, 1.0]), 1, index)
    assert accumulator.sum().nan_at == 1
    assert accumulator.sum().weight == 4


def test_nan_in_the_first_batch_on_a_device_is_found(on_a_device):
    """Its index is 0, which does not mean that there is none."""
    for values, first in (([1.0, 2.0], None), ([math.nan, math.nan], 0)):
        accumulator = LossAccumulator("loss")
        for index, value in enumerate(values):
            accumulator.add(torch.tensor(value), 1, index)
        assert accumulator.sum().nan_at == first


def test_sum_on_a_device_has_double_precision(on_a_device):
    """A float64 loss keeps all digits."""
    accumulator = LossAccumulator("loss")
    accumulator.add(torch.tensor(0.1, dtype=torch.float64))
    assert accumulator.mean() == 0.1


def test_sum_on_a_device_without_float64_is_nearly_as_precise(on_a_device, monkeypatch):
    """Small losses are not lost, neither after a large one nor before it."""
    monkeypatch.setattr(accumulator_module, "_WITHOUT_FLOAT64", ("cpu",))
    small, large = torch.tensor(1e-3), torch.tensor(1e5)
    accumulator, naive = LossAccumulator("loss"), torch.tensor(1e5)
    accumulator.add(large)
    for _ in range(1000):
        accumulator.add(small)
        naive += small
    exact = (1e5 + 1000 * float(small)) / 1001
    assert accumulator.mean() == pytest.approx(exact, rel=1e-9)
    assert float(naive) / 1001 != pytest.approx(exact, rel=1e-6)
    accumulator = LossAccumulator("loss")
    for value in (5.0, 1e8):  # float32 has no 1e8 + 5
        accumulator.add(torch.tensor(value))
    assert accumulator.sum().total == 1e8 + 5


def test_infinite_sum_on_a_device_stays_infinite(on_a_device):
    """The compensation of rounding does not make it NaN."""
    accumulator = LossAccumulator("loss")
    accumulator.add(torch.tensor(math.inf))
    accumulator.add(torch.tensor(1.0))
    assert accumulator.mean() == math.inf


def test_list_on_a_device_is_summed_there(on_a_device, waits):
    """Without a wait, and as one update."""
    accumulator = LossAccumulator("loss")
    for index in range(3):
        accumulator.add([torch.tensor(1.0), torch.tensor([1.0, 3.0])], 1, index)
    assert not waits
    assert accumulator.mean() == 3.0


@pytest.mark.skipif(
    Version(torch.__version__) < Version("1.9"),
    reason="torch 1.9 brought device 'meta'",
)
def test_meta_tensor_is_rejected_at_its_batch():
    """It has no data to be read at the end."""
    with pytest.raises(TypeError, match="'loss_seg' has a value of type Tensor withou"):
        means_of({"loss_seg": torch.empty((), device="meta")})


def test_native_may_update_an_accumulator():
    """It does so while the patches are reverted, as for its HistoryBuffer."""
    meter = LossAccumulator("loss")
    meter.add(torch.tensor(1.0))
    meter.update(5.0)
    assert meter.mean() == 3.0


def test_sums_beyond_the_range_of_float_are_infinite_or_nan():
    """As those of native mmengine."""
    assert means_of({"loss": 1e308}, {"loss": 1e308}) == {"loss": math.inf}
    assert math.isnan(means_of({"loss": math.inf}, {"loss": -math.inf})["loss"])
