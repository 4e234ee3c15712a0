"""weighting='sample': the batch counts, however loops and evaluators hand it on."""

from __future__ import annotations

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.runner import ValLoop
from support.own_loops import with_loop
from support.tiny import Seen, element, make_runner, sample

from valloss_compat import configure

#: Of the samples 0, 1 and 2, each with its number for a loss.
EXPECTED = (0 + 1 + 2) / 3


@pytest.fixture(autouse=True)
def _by_sample():
    configure(weighting="sample")


def respond(index, inputs):
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
def test_the_batch_of_the_iteration_where_process_has_none(tmp_path, call):
    """However the loop calls its run_iter."""

    class Untold(ValLoop):
        def run(self):
            for index, batch in enumerate(self.dataloader):
                call(self.run_iter, index, batch)
            return self.evaluator.evaluate(3)

        def run_iter(self, idx, data_batch):
            self.evaluator.process(self.runner.model.val_step(data_batch))

    runner = make_runner(tmp_path, respond, length=3, batch_size=2)
    with_loop(runner, Untold)
    assert runner.val()["loss"] == EXPECTED


@pytest.mark.parametrize(
    "give",
    [
        lambda process, result, batch: process(result, batch),
        lambda process, result, batch: process(result, data_batch=batch),
        lambda process, result, batch: process(data_samples=result, data_batch=batch),
    ],
)
def test_the_batch_that_process_is_given(give):
    """Without any loop; by position and by name."""
    evaluator = Evaluator([Seen()])
    for numbers in ([0.0, 1.0], [2.0]):
        inputs = [torch.tensor([number]) for number in numbers]
        give(evaluator.process, respond(0, inputs), {"inputs": inputs})
    assert evaluator.evaluate(3)["loss"] == EXPECTED
