"""Early stopping ends a training as on native mmengine 0.10.7, on all ranks at once."""

from __future__ import annotations

import json

import pytest
from conformance.recordings import differences
from support.native import NATIVE
from support.ranks import run_ranks

import valloss_compat

from .curves import CURVES
from .record import PATH
from .train import train

with open(PATH, encoding="utf-8") as _file:
    RECORDED = json.load(_file)


@pytest.fixture(autouse=True)
def _resumes(monkeypatch):
    """Let mmengine before 0.10.7 resume on torch 2.6.

    By default, torch 2.6 loads weights only, and checkpoints of mmengine have
    other content (https://github.com/pytorch/pytorch/releases/tag/v2.6.0).
    """
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")


def test_each_curve_has_a_recording():
    """Each recording has a curve as well."""
    assert set(RECORDED) == set(CURVES)


@pytest.mark.parametrize("name", sorted(CURVES))
def test_training_ends_as_on_native_mmengine(tmp_path, name):
    """Epoch, iteration, hooks after the stop, best score and files are the same."""
    assert differences(RECORDED[name], train(CURVES[name], str(tmp_path))) == []


@pytest.mark.parametrize("name", ["rising", "by iteration", "resumed"])
def test_training_in_parity_mode_ends_as_on_native_mmengine(tmp_path, name):
    valloss_compat.apply(mode="parity")
    assert differences(RECORDED[name], train(CURVES[name], str(tmp_path))) == []


# With the losses of its own shard alone, each rank would stop at another iteration.
BODY = """
LOSSES = [[0.4, 0.6, 0.7, 0.8, 0.9, 1.0],
          [0.9, 0.7, 0.3, 0.6, 0.5, 0.7],
          [0.6, 0.5, 0.4, 0.3, 0.6, 0.7],
          [0.9, 0.8, 0.6, 0.7, 0.8, 0.1]]

def rank_main(rank):
    import warnings
    import torch
    import valloss_compat
    from mmengine.evaluator import Evaluator
    from support.tiny import element, loader, make_runner, sample
    losses = [torch.tensor(loss) for loss in LOSSES[rank]]
    runner = make_runner(
        FOLDER + '/%d' % rank,
        lambda index, inputs: [sample(), element(loss=losses[index])],
        length=1, train_dataloader=loader(12), val_evaluator=Evaluator([]),
        optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 0.1}},
        train_cfg={'by_epoch': False, 'max_iters': 12, 'val_interval': 2},
        default_hooks={'checkpoint': {'type': 'CheckpointHook', 'by_epoch': False,
                                      'interval': 2, 'save_best': 'val_loss'}},
        custom_hooks=[{'type': 'EarlyStoppingHook', 'monitor': 'val_loss',
                       'patience': 2, 'min_delta': 0.0}])
    runner.train()
    best = runner.message_hub.runtime_info.get('best_score')
    return runner.iter, None if best is None else round(best, 4)
"""


@pytest.mark.parametrize(
    ("world", "end", "best"),
    [(2, 10, 0.5), pytest.param(4, 10, 0.5, marks=pytest.mark.slow)],
)
def test_all_ranks_stop_at_the_same_iteration(nursery, world, end, best):
    """The mean over all shards decides, and the best score is the same."""
    ranks = run_ranks(nursery, world, BODY)
    assert [iteration for iteration, _ in ranks] == [end] * world
    assert ranks[0][1] == best
    # Old releases keep the score only on the first rank, which saves checkpoints.
    assert {score for _, score in ranks} <= {best, None}


@pytest.mark.skipif(
    not NATIVE,
    reason="native losses came with mmengine 0.10.5",
)
def test_native_ranks_stop_at_different_iterations(nursery):
    """The control without the shim: each rank only knows its own shard."""
    ranks = run_ranks(nursery, 2, BODY, env={"VALLOSS_COMPAT": "off"})
    assert ranks == [[6, 0.4], [10, 0.3]]
