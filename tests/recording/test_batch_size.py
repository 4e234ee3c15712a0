"""weighting='sample': the batch size, and the mean over samples."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement
from support.ranks import run_ranks
from support.tiny import Seen, element, make_runner, sample

from valloss_compat import configure
from valloss_compat._recording.accumulator import EpochAccumulators
from valloss_compat._recording.batch_size import batch_size_of

LENGTH = 11
EXPECTED = sum(k**1.5 for k in range(LENGTH)) / LENGTH


def respond(index, inputs):
    """The mean loss of a batch; the loss of sample k is k to the power of 1.5."""
    values = torch.stack(list(inputs)).double() ** 1.5
    return [sample(), element(loss=values.mean(), loss_parts=[values[0], values[-1]])]


@pytest.fixture
def by_sample():
    configure(weighting="sample")


@pytest.mark.parametrize("batch_size", [1, 3, 4, 16])
def test_mean_over_samples_does_not_depend_on_the_batch_size(
    tmp_path, by_sample, batch_size
):
    """Eleven samples: the last batch is smaller than the others."""
    runner = make_runner(tmp_path, respond, length=LENGTH, batch_size=batch_size)
    assert runner.val()["loss"] == pytest.approx(EXPECTED, abs=1e-6)
    assert runner.test()["loss"] == pytest.approx(EXPECTED, abs=1e-6)


def test_batches_have_equal_weights_by_default(tmp_path):
    """As in native mmengine."""
    runner = make_runner(tmp_path, respond, length=3, batch_size=2)
    assert runner.val()["loss"] == pytest.approx((0.5 + 2**1.5) / 2)


BODY = """
LENGTH = {length}

def rank_main(rank):
    from mmengine.dataset import DefaultSampler
    from torch.utils.data import DataLoader
    from recording.test_batch_size import respond
    from support.tiny import Digits, collate, make_runner
    import valloss_compat
    valloss_compat.configure(weighting='sample')
    data, losses = Digits(LENGTH), []
    for batch_size in (1, 3, 4, 16):
        sampler = DefaultSampler(data, shuffle=False, round_up=False)
        batches = DataLoader(data, batch_size, sampler=sampler, collate_fn=collate)
        runner = make_runner(FOLDER + '/%d-%d' % (rank, batch_size), respond,
                             val_dataloader=batches)
        losses.append(runner.val()['loss'])
    return len(sampler), losses
"""


@pytest.mark.slow
@pytest.mark.parametrize("world", [1, 2, 4])
def test_mean_over_samples_does_not_depend_on_the_number_of_ranks(nursery, world):
    """Shards of unequal length and four batch sizes give one number on every rank."""
    ranks = run_ranks(nursery, world, BODY.format(length=LENGTH))
    assert len({length for length, _ in ranks}) == (1 if world == 1 else 2)
    for _, losses in ranks:
        assert losses == pytest.approx([EXPECTED] * 4, abs=1e-6)


def test_list_of_losses_has_the_weight_of_one_batch():
    """Its items add up, and the batch counts by its samples."""
    accumulators = EpochAccumulators()
    accumulators.record({"loss": [torch.tensor(1.0), torch.tensor(3.0)]}, 5)
    accumulators.record({"loss": torch.tensor(8.0)}, 2)
    assert accumulators["loss"].mean() == pytest.approx((5 * 4.0 + 2 * 8.0) / 7)
    assert accumulators.sums()["loss"].weight == 7


def test_integer_losses_are_weighted():
    """In the first batch and in later ones."""
    accumulators = EpochAccumulators()
    for index, (loss, size) in enumerate([(1, 4), (3, 2), (8, 1)]):
        accumulators.record({"loss": torch.tensor(loss)}, size, index)
    assert accumulators["loss"].mean() == pytest.approx((4 * 1 + 2 * 3 + 1 * 8) / 7)
    assert accumulators.sums()["loss"].weight == 7


def test_vectors_and_numbers_are_weighted_on_any_device(monkeypatch):
    monkeypatch.setattr("valloss_compat._recording.accumulator._HOST", "xla")
    accumulators = EpochAccumulators()
    accumulators.record({"loss": torch.tensor([1.0, 3.0])}, 4)
    accumulators.record({"loss": 8.0}, 2)
    assert accumulators["loss"].mean() == pytest.approx((4 * 2.0 + 2 * 8.0) / 6)


ONE = element(loss=1.0)
SAMPLES = [sample(), sample(), sample()]


@pytest.mark.parametrize(
    ("data_batch", "clean"),
    [
        ({"inputs": torch.zeros(3, 2), "data_samples": SAMPLES}, []),
        ({"inputs": [torch.zeros(5, 2)] * 3, "data_samples": SAMPLES}, []),
        ({"inputs": torch.zeros(3, 2), "scale": 1.0, "name": "batch"}, []),
        ({"inputs": {"img": [0] * 3, "points": torch.zeros(3, 9)}, "ids": ()}, []),
        ([torch.zeros(3, 2), torch.zeros(3)], []),
        ((np.zeros((3, 2)), [1, 2, 3]), []),
        (torch.zeros(3), []),
        # Lists from a collate function: samples, or items that may be either.
        ([{"img": torch.zeros(5, 2), "label": 1}] * 3, []),
        ([torch.zeros(5, 2)] * 2, SAMPLES),
        ([(torch.zeros(5, 2), 1), (torch.zeros(5, 2), 0)], SAMPLES),
        # No field has a size, or two fields contradict: the result decides.
        (None, SAMPLES),
        ({"inputs": [[1, 2], [3, 4]], "data_samples": [[1], [2]]}, tuple(SAMPLES)),
        ({"inputs": torch.zeros(6, 2), "ids": [1, 2]}, SAMPLES),
        (torch.tensor(1.0), SAMPLES),
        # The batch has priority over the result.
        ({"inputs": torch.zeros(3, 2)}, [sample()]),
    ],
)
def test_batch_size_is_found_in_the_fields_or_in_the_result(data_batch, clean):
    assert batch_size_of(ONE, data_batch, clean) == 3


def test_batch_size_of_a_result_with_one_sample_is_one():
    """The last batch may have one sample."""
    assert batch_size_of(ONE, None, SAMPLES[:1]) == 1


@pytest.mark.parametrize("size", [1, 3])
def test_batch_size_in_the_loss_element_has_priority(size):
    losses = BaseDataElement(loss={"loss": 1.0}, metainfo={"batch_size": size})
    assert batch_size_of(losses, torch.zeros(5), SAMPLES[:2]) == size


@pytest.mark.parametrize("wrong", [0, -1, 2.0, "3"])
def test_batch_size_in_the_loss_element_must_be_a_positive_int(wrong):
    losses = BaseDataElement(loss={"loss": 1.0}, metainfo={"batch_size": wrong})
    with pytest.raises(TypeError, match=f"is {wrong!r}, but a positive int is exp"):
        batch_size_of(losses, None, SAMPLES)


@pytest.mark.parametrize(
    ("data_batch", "clean", "error_text"),
    [
        (
            {"inputs": torch.zeros(6, 2), "ids": [1, 2]},
            (torch.zeros(6), [1]),
            "batch (dict of inputs: Tensor of shape (6, 2), ids: list of 2) nor the "
            "result (tuple of Tensor of shape (6,), list of 1)",
        ),
        (None, {"a": 1}, "batch (NoneType) nor the result (dict of a: int)"),
        (
            {"inputs": [[1], [2]]},
            [],
            "batch (dict of inputs: list of 2) nor the result (l",
        ),
        (
            [],
            [1] * 4,
            "nothing) nor the result (list of int, int, int, int) h",
        ),
        (
            [],
            [1] * 5,
            "(list of nothing) nor the result (list of int, int, int, int, ..",
        ),
    ],
)
def test_unknown_batch_size_is_an_error(data_batch, clean, error_text):
    """The message shows the batch and the result, and two fixes."""
    with pytest.raises(ValueError, match=re.escape(error_text)) as error:
        batch_size_of(ONE, data_batch, clean)
    assert str(error.value).endswith(
        "append BaseDataElement(loss=..., metainfo=dict(batch_size=n)), or choose "
        "weighting='batch'"
    )


def test_validation_without_batch_sizes_raises(tmp_path, by_sample):
    """With the batch size in the loss element it works."""

    def without_size(index, inputs):
        return [torch.zeros(2), element(loss=1.0)]

    def with_size(index, inputs):
        losses = BaseDataElement(loss={"loss": 1.0}, metainfo={"batch_size": 2})
        return [torch.zeros(2), losses]

    def collate_without_size(items):
        return {"inputs": torch.tensor(0.0)}

    runner = make_runner(tmp_path, without_size)
    runner.val_dataloader.collate_fn = collate_without_size
    with pytest.raises(ValueError, match="weighting='sample' needs the number of"):
        runner.val()
    runner.model.respond = with_size
    assert runner.val()["val_loss"] == 1.0


#: The loss of each of the samples 0, 1 and 2 is its number.
MEAN_OF_THREE = (0 + 1 + 2) / 3


def respond_once(index, inputs):
    """One result for the whole batch, from which its size is unknown."""
    return [sample(), element(loss=torch.stack(list(inputs)).mean())]


@pytest.mark.parametrize(
    "call",
    [
        lambda process, result, batch: process(result, batch),
        lambda process, result, batch: process(result, data_batch=batch),
        lambda process, result, batch: process(data_samples=result, data_batch=batch),
    ],
)
def test_batch_of_process_is_used(by_sample, call):
    """Without a loop. The batch is a positional or a keyword argument."""
    evaluator = Evaluator([Seen()])
    for numbers in ([0.0, 1.0], [2.0]):
        inputs = [torch.tensor([number]) for number in numbers]
        call(evaluator.process, respond_once(0, inputs), {"inputs": inputs})
    assert evaluator.evaluate(3)["loss"] == MEAN_OF_THREE
