"""Several ranks: real processes that talk over gloo."""

from __future__ import annotations

import pytest
from fresh import Nursery

# Each rank validates its shard of 16 samples; sample k has the loss k.
SCRIPT = """
import json, os, sys, tempfile
WORLD, CASE = {world}, {case!r}
FOLDER = tempfile.mkdtemp()

def rank_main(rank):
    import torch
    import torch.distributed as dist
    dist.init_process_group('gloo', init_method='file://' + FOLDER + '/store',
                            rank=rank, world_size=WORLD)
    from mmengine.dataset import DefaultSampler
    from torch.utils.data import DataLoader
    import valloss_compat
    from valloss_compat import recorder
    from tiny import Digits, element, make_runner, sample
    collectives = []
    gather = recorder.all_gather_object
    recorder.all_gather_object = lambda data: collectives.append(1) or gather(data)

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
                                  collate_fn=lambda items: {{
                                      key: [item[key] for item in items]
                                      for key in items[0]}}))
    epochs = [runner.val() for _ in range(2)]
    assert epochs[0] == epochs[1]
    held = {{name: meter.mean() for name, meter in
             getattr(runner.val_loop, 'val_loss', {{}}).items()}}
    with open(FOLDER + '/%d.json' % rank, 'w') as file:
        json.dump([epochs[0], held, len(collectives)], file)
    dist.barrier()

children = []
for rank in range(WORLD):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            rank_main(rank)
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    children.append(child)
assert not [1 for child in children if os.waitpid(child, 0)[1]]
print(json.dumps([json.load(open(FOLDER + '/%d.json' % r)) for r in range(WORLD)]))
"""


def ranks(nursery: Nursery, world: int, case: str, mode: str = "default"):
    """What each rank reported, held in loop.val_loss, and its collectives."""
    script = SCRIPT.format(world=world, case=case)
    return nursery.run(script, env={"VALLOSS_COMPAT": mode}).json()


@pytest.mark.parametrize("world", [2, 4])
def test_all_ranks_report_the_mean_over_all(nursery, world):
    """Losses 0 to 15 in shards are 7.5 everywhere, with one collective an epoch."""
    for metrics, held, collectives in ranks(nursery, world, "plain"):
        assert metrics == {"n/seen": 16.0, "loss": 7.5, "val_loss": 7.5}
        assert held == {"loss": 7.5}
        assert collectives == 2


def test_a_rank_without_losses_takes_part(nursery):
    """The even samples' mean, on both ranks."""
    for metrics, _, _ in ranks(nursery, 2, "one rank without"):
        assert metrics == {"n/seen": 16.0, "loss": 7.0, "val_loss": 7.0}


def test_without_any_loss_nothing_is_added(nursery):
    """And nothing hangs."""
    for metrics, _, _ in ranks(nursery, 2, "no rank with"):
        assert metrics == {"n/seen": 16.0}


def test_ranks_with_other_names_do_not_hang(nursery):
    """Each name is the mean over the ranks that know it."""
    for metrics, _, _ in ranks(nursery, 2, "other names"):
        means = {"loss_0": 7.0, "loss_1": 8.0}
        assert metrics == {"n/seen": 16.0, **means, "val_loss": 15.0}


def test_parity_is_rank_local(nursery):
    """As native mmengine has it: 7 on one rank and 8 on the other."""
    told = ranks(nursery, 2, "plain", mode="parity")
    assert [metrics["val_loss"] for metrics, _, _ in told] == [7.0, 8.0]
