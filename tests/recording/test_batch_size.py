"""weighting='sample': the mean over samples, whatever the batches and ranks."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.runner import ValLoop
from mmengine.structures import BaseDataElement
from support.own_loops import with_loop
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
def test_the_mean_does_not_hang_on_the_batch_size(tmp_path, by_sample, batch_size):
    """Eleven samples: the last batch is never as large as the others."""
    runner = make_runner(tmp_path, respond, length=LENGTH, batch_size=batch_size)
    assert runner.val()["loss"] == pytest.approx(EXPECTED, abs=1e-6)
    assert runner.test()["loss"] == pytest.approx(EXPECTED, abs=1e-6)


def test_by_default_each_batch_counts_the_same(tmp_path):
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
    data, told = Digits(LENGTH), []
    for batch_size in (1, 3, 4, 16):
        sampler = DefaultSampler(data, shuffle=False, round_up=False)
        batches = DataLoader(data, batch_size, sampler=sampler, collate_fn=collate)
        runner = make_runner(FOLDER + '/%d-%d' % (rank, batch_size), respond,
                             val_dataloader=batches)
        told.append(runner.val()['loss'])
    return len(sampler), told
"""


@pytest.mark.slow
@pytest.mark.parametrize("world", [1, 2, 4])
def test_the_mean_does_not_hang_on_the_number_of_ranks(nursery, world):
    """Shards of unequal length, four batch sizes: one number on every rank."""
    told = run_ranks(nursery, world, BODY.format(length=LENGTH))
    assert len({length for length, _ in told}) == (1 if world == 1 else 2)
    for _, losses in told:
        assert losses == pytest.approx([EXPECTED] * 4, abs=1e-6)


def test_a_list_counts_as_one_batch():
    """Its items share the batch's weight: a list of all samples' losses is right."""
    meters = EpochAccumulators()
    meters.record({"loss": [torch.tensor(1.0), torch.tensor(3.0)]}, 0, 5)
    meters.record({"loss": torch.tensor(8.0)}, 1, 2)
    assert meters["loss"].mean() == pytest.approx((5 * 2.0 + 2 * 8.0) / 7)
    assert meters.sums()["loss"].weight == 7


def test_integers_count_by_the_batch_at_any_batch():
    """The first one, and those after it."""
    meters = EpochAccumulators()
    for index, (loss, size) in enumerate([(1, 4), (3, 2), (8, 1)]):
        meters.record({"loss": torch.tensor(loss)}, index, size)
    assert meters["loss"].mean() == pytest.approx((4 * 1 + 2 * 3 + 1 * 8) / 7)
    assert meters.sums()["loss"].weight == 7


def test_vectors_numbers_and_devices_count_by_the_batch_too(monkeypatch):
    """Whatever way a value takes into the mean."""
    monkeypatch.setattr(
        "valloss_compat._recording.accumulator._HOST", torch.device("xla")
    )
    meters = EpochAccumulators()
    meters.record({"loss": torch.tensor([1.0, 3.0])}, 0, 4)
    meters.record({"loss": 8.0}, 1, 2)
    assert meters["loss"].mean() == pytest.approx((4 * 2.0 + 2 * 8.0) / 6)


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
        # What a collate function that only lists gives: samples, or who knows.
        ([{"img": torch.zeros(5, 2), "label": 1}] * 3, []),
        ([torch.zeros(5, 2)] * 2, SAMPLES),
        ([(torch.zeros(5, 2), 1), (torch.zeros(5, 2), 0)], SAMPLES),
        # One field or none that has a size, or two that contradict: the result tells.
        (None, SAMPLES),
        ({"inputs": [[1, 2], [3, 4]], "data_samples": [[1], [2]]}, tuple(SAMPLES)),
        ({"inputs": torch.zeros(6, 2), "ids": [1, 2]}, SAMPLES),
        (torch.tensor(1.0), SAMPLES),
        # The batch comes first.
        ({"inputs": torch.zeros(3, 2)}, [sample()]),
    ],
)
def test_the_size_of_a_batch_is_found(data_batch, clean):
    """In the fields of the batch, where they agree, or in the result."""
    assert batch_size_of(ONE, data_batch, clean) == 3


def test_a_result_of_one_sample_tells_the_size_too():
    """As that of the last batch may be."""
    assert batch_size_of(ONE, None, SAMPLES[:1]) == 1


@pytest.mark.parametrize("size", [1, 3])
def test_the_loss_element_can_tell_the_size_of_its_batch(size):
    """In its metainfo; that comes before all else."""
    told = BaseDataElement(loss={"loss": 1.0}, metainfo={"batch_size": size})
    assert batch_size_of(told, torch.zeros(5), SAMPLES[:2]) == size


@pytest.mark.parametrize("wrong", [0, -1, 2.0, "3"])
def test_a_told_size_must_be_a_positive_int(wrong):
    """The message names it."""
    told = BaseDataElement(loss={"loss": 1.0}, metainfo={"batch_size": wrong})
    with pytest.raises(TypeError, match=f"is {wrong!r}, but a positive int is exp"):
        batch_size_of(told, None, SAMPLES)


@pytest.mark.parametrize(
    ("data_batch", "clean", "said"),
    [
        (
            {"inputs": torch.zeros(6, 2), "ids": [1, 2]},
            (torch.zeros(6), [1]),
            "batch (dict of inputs: Tensor of shape (6, 2), ids: list of 2) or the "
            "result (tuple of Tensor of shape (6,), list of 1)",
        ),
        (None, {"a": 1}, "batch (NoneType) or the result (dict of a: int)"),
        (
            {"inputs": [[1], [2]]},
            [],
            "batch (dict of inputs: list of 2) or the result (l",
        ),
        ([], [1] * 4, "(list of nothing) or the result (list of int, int, int, int):"),
        (
            [],
            [1] * 5,
            "(list of nothing) or the result (list of int, int, int, int, ..",
        ),
    ],
)
def test_a_size_that_cannot_be_told_is_an_error(data_batch, clean, said):
    """The message says what there was, and two ways out."""
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        batch_size_of(ONE, data_batch, clean)
    assert str(error.value).endswith(
        "append BaseDataElement(loss=..., metainfo=dict(batch_size=n)), or go back to "
        "weighting='batch'"
    )


def test_a_validation_whose_batches_have_no_size_says_so(tmp_path, by_sample):
    """And works with the size in the loss element."""

    def untold(index, inputs):
        return [torch.zeros(2), element(loss=1.0)]

    def told(index, inputs):
        losses = BaseDataElement(loss={"loss": 1.0}, metainfo={"batch_size": 2})
        return [torch.zeros(2), losses]

    def none(items):
        return {"inputs": torch.tensor(0.0)}

    runner = make_runner(tmp_path, untold)
    runner.val_dataloader.collate_fn = none
    with pytest.raises(ValueError, match="weighting='sample' needs the number of"):
        runner.val()
    runner.model.respond = told
    assert runner.val()["val_loss"] == 1.0


#: Of the samples 0, 1 and 2, each with its number for a loss.
MEAN_OF_THREE = (0 + 1 + 2) / 3


def respond_once(index, inputs):
    """One result for the whole batch, which does not tell how large that was."""
    return [sample(), element(loss=torch.stack(list(inputs)).mean())]


@pytest.mark.parametrize(
    "call",
    [
        lambda run_iter, index, batch: run_iter(index, batch),
        lambda run_iter, index, batch: run_iter(index, data_batch=batch),
        lambda run_iter, index, batch: run_iter(idx=index, data_batch=batch),
    ],
)
def test_the_batch_of_the_iteration_where_process_has_none(tmp_path, by_sample, call):
    """However the loop calls its run_iter."""

    class Untold(ValLoop):
        def run(self):
            for index, batch in enumerate(self.dataloader):
                call(self.run_iter, index, batch)
            return self.evaluator.evaluate(3)

        def run_iter(self, idx, data_batch):
            self.evaluator.process(self.runner.model.val_step(data_batch))

    runner = make_runner(tmp_path, respond_once, length=3, batch_size=2)
    with_loop(runner, Untold)
    assert runner.val()["loss"] == MEAN_OF_THREE


@pytest.mark.parametrize(
    "give",
    [
        lambda process, result, batch: process(result, batch),
        lambda process, result, batch: process(result, data_batch=batch),
        lambda process, result, batch: process(data_samples=result, data_batch=batch),
    ],
)
def test_the_batch_that_process_is_given(by_sample, give):
    """Without any loop; by position and by name."""
    evaluator = Evaluator([Seen()])
    for numbers in ([0.0, 1.0], [2.0]):
        inputs = [torch.tensor([number]) for number in numbers]
        give(evaluator.process, respond_once(0, inputs), {"inputs": inputs})
    assert evaluator.evaluate(3)["loss"] == MEAN_OF_THREE
