"""Early stopping on several ranks: all stop at once, with one best checkpoint."""

from __future__ import annotations

import pytest
from mmengine.runner import loops
from support.ranks import run_ranks

# By its own shard alone, each rank would stop somewhere else.
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
    """By the mean over all shards, with the same best score."""
    told = run_ranks(nursery, world, BODY)
    assert [iteration for iteration, _ in told] == [end] * world
    assert told[0][1] == best
    # Old releases keep the score where they save, on the first rank.
    assert {score for _, score in told} <= {best, None}


@pytest.mark.skipif(
    not hasattr(loops, "_update_losses"),
    reason="native losses came with mmengine 0.10.5",
)
def test_native_ranks_disagree(nursery):
    """The control: each rank by its own shard, so they stop apart."""
    told = run_ranks(nursery, 2, BODY, env={"VALLOSS_COMPAT": "off"})
    assert told == [[6, 0.4], [10, 0.3]]
