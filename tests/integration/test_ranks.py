"""Several ranks report the same number."""

from __future__ import annotations

import pytest
from support.ranks import run_ranks

# Each rank validates its shard of 16 samples; sample k has the loss k.
BODY = """
CASE = {case!r}

def rank_main(rank):
    from mmengine.dataset import DefaultSampler
    from torch.utils.data import DataLoader
    import valloss_compat
    from valloss_compat._recording import recorder
    from support.tiny import Digits, collate, element, make_runner, sample
    collectives = []
    gather = recorder.all_gather_object
    recorder.all_gather_object = lambda data: collectives.append(1) or gather(data)
    if CASE == 'not in sync':
        valloss_compat.configure(sync_dist=False)

    def respond(index, inputs):
        value = inputs[0].mean()
        if CASE == 'one rank without' and rank == 1:
            return [sample()]
        if CASE == 'no rank with':
            return [sample()]
        name = 'loss_%d' % rank if CASE == 'other names' else 'loss'
        return [sample(), element(**{{name: value}})]

    data = Digits(16)
    runner = make_runner(
        FOLDER + '/rank%d' % rank, respond,
        val_dataloader=DataLoader(data, sampler=DefaultSampler(data, shuffle=False),
                                  collate_fn=collate))
    epochs = [runner.val() for _ in range(2)]
    assert epochs[0] == epochs[1]
    held = {{name: value.mean() for name, value in
             getattr(runner.val_loop, 'val_loss', {{}}).items()}}
    return epochs[0], held, len(collectives)
"""


def ranks(nursery, world: int, case: str, mode: str = "default"):
    """Return what each rank reported and had in loop.val_loss, and its collectives."""
    env = {"VALLOSS_COMPAT": mode}
    return run_ranks(nursery, world, BODY.format(case=case), env)


@pytest.mark.parametrize("world", [2, 4])
def test_all_ranks_report_the_mean_over_all(nursery, world):
    """Losses 0 to 15 in shards are 7.5 everywhere, with one collective an epoch."""
    for metrics, held, collectives in ranks(nursery, world, "plain"):
        assert metrics == {"n/seen": 16.0, "loss": 7.5, "val_loss": 7.5}
        assert held == {"loss": 7.5}
        assert collectives == 2


def test_rank_without_losses_reports_those_of_the_others(nursery):
    """The mean of the even samples, on both ranks."""
    for metrics, _, _ in ranks(nursery, 2, "one rank without"):
        assert metrics == {"n/seen": 16.0, "loss": 7.0, "val_loss": 7.0}


def test_ranks_without_any_losses_add_nothing(nursery):
    """No rank waits forever."""
    for metrics, _, _ in ranks(nursery, 2, "no rank with"):
        assert metrics == {"n/seen": 16.0}


def test_ranks_with_different_names_report_all_of_them(nursery):
    """Each is the mean over the ranks that have it."""
    for metrics, _, _ in ranks(nursery, 2, "other names"):
        means = {"loss_0": 7.0, "loss_1": 8.0}
        assert metrics == {"n/seen": 16.0, **means, "val_loss": 15.0}


def test_parity_mode_is_rank_local(nursery):
    """As in native mmengine: 7 on one rank and 8 on the other."""
    reported = ranks(nursery, 2, "plain", mode="parity")
    assert [metrics["val_loss"] for metrics, _, _ in reported] == [7.0, 8.0]


def test_ranks_without_sync_dist_report_their_own_losses(nursery):
    """No collective is called."""
    reported = ranks(nursery, 2, "not in sync")
    assert [metrics["val_loss"] for metrics, _, _ in reported] == [7.0, 8.0]
    assert [collectives for _, _, collectives in reported] == [0, 0]


WRAPPED = """
def rank_main(rank):
    import torch
    from mmengine.model import MMDistributedDataParallel
    import valloss_compat
    from support.tiny import element, loader, make_runner, sample

    def respond(index, inputs):
        return [sample(), element(loss=torch.tensor(float(rank) + index))]

    runner = make_runner(
        FOLDER + '/rank%d' % rank, respond,
        train_dataloader=loader(2), train_cfg={'by_epoch': True, 'max_epochs': 2},
        optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 0.1}})
    inner = runner.model
    runner.model = MMDistributedDataParallel(inner)
    before = sorted(vars(runner.model)), sorted(vars(inner))
    losses = [runner.val()['val_loss']]
    runner.train()
    losses.append(runner.val()['val_loss'])
    assert (sorted(vars(runner.model)), sorted(vars(inner))) == before
    return losses
"""


def test_distributed_model_reports_the_loss(nursery):
    """MMDistributedDataParallel, in validations and in a training."""
    # Two batches a validation, four validations in all, on the ranks 0 and 1.
    for losses in run_ranks(nursery, 2, WRAPPED):
        assert losses == [1.0, 7.0]
