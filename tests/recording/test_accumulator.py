"""Running means of named losses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

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
        meters.record(losses, index)
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
        ([torch.tensor(1.0), torch.tensor(4.0)], 2.5),
        ((torch.tensor(1.0), torch.tensor([4.0, 6.0])), 3.0),
        (2.5, 2.5),
        (3, 3.0),
        (np.float32(2.5), 2.5),
        (np.float64(2.5), 2.5),
        (np.int64(3), 3.0),
    ],
)
def test_every_value_of_the_contract_is_read(value, mean):
    """One update a scalar, the mean of a tensor, one update an item of a list."""
    assert means_of({"loss": value}) == {"loss": mean}


def test_items_of_a_list_are_updates_of_their_own():
    """Three updates in all: the mean over scalars, not over batches."""
    two = [torch.tensor(1.0), torch.tensor(2.0)]
    assert means_of({"loss": two}, {"loss": torch.tensor(6.0)}) == {"loss": 3.0}


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
        meters.record({"loss": torch.tensor(value)}, index)
    assert math.isnan(meters["loss"].mean())
    assert meters.sums()["loss"].nan_at == 1
    assert means_of({"loss": math.inf}, {"loss": 1.0}) == {"loss": math.inf}


def test_what_is_not_told_counts_once_as_of_the_first_batch():
    """The weight and the index of a batch, where somebody fills a meter himself."""
    meters, meter, other = EpochAccumulators(), LossAccumulator(), LossAccumulator()
    meters.record({"loss": math.nan})
    meter.update(math.nan)
    other.update_tensor(torch.tensor(math.nan))
    for known in (meters["loss"], meter, other):
        assert (known.sum().weight, known.sum().nan_at) == (1, 0)


def test_an_empty_tensor_is_nan():
    """As torch has the mean of nothing; it is no error."""
    assert math.isnan(means_of({"loss": torch.empty(0)})["loss"])


def test_a_meter_tells_whether_its_latest_tensor_was_a_scalar():
    """One without dimensions; before any tensor, none was."""
    meter = LossAccumulator()
    assert not meter.is_scalar
    for shape in ((), (1,), (2,), ()):
        meter.update_tensor(torch.zeros(shape))
        assert meter.is_scalar == (shape == ())


def test_an_empty_list_is_no_update():
    """So there is nothing to report under that name; native reports NaN."""
    meters = EpochAccumulators()
    meters.record({"loss": [], "loss_b": 1.0})
    assert list(meters) == list(meters.sums()) == ["loss_b"]
    assert math.isnan(LossAccumulator().mean())


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


def test_what_native_recorded_while_we_were_reverted_counts():
    """Each of its batches, where ours goes on in the same epoch."""
    meters = EpochAccumulators({"loss": HistoryBuffer([1.0, 2.0], [1, 1])})
    meters.record({"loss": torch.tensor(6.0)})
    assert meters["loss"].mean() == 3.0


def test_clear_forgets_the_losses_and_that_they_were_reported():
    """At the start of an epoch."""
    meters = EpochAccumulators()
    meters.record({"loss": 1.0})
    meters.reported = True
    meters.clear()
    assert not meters
    assert not meters.reported


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
