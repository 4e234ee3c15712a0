"""The hook around a model that is wrapped, in another Runner, and on two ranks."""

from __future__ import annotations

import json

import pytest
import torch
from mmengine import runner as mmengine_runner
from support.fresh import Nursery
from support.ranks import run_ranks

from loss_forward.models import Classifier, Predicted, expected, hook, loader
from valloss_compat._libraries import UnsupportedError
from valloss_compat._loss_forward.forward import unwrap

KNOWN = expected(Classifier())["val_loss"]


def test_wrappers_that_are_known():
    """DDP is in the test of ranks; torch.compile's keeps the model in _orig_mod."""
    model = Classifier()
    compiled = torch.nn.Module()
    compiled._orig_mod = model
    assert unwrap(compiled) is model


def test_wrappers_that_are_not_known_are_refused():
    """They may hold the parameters in shards."""
    engine = type("Engine", (torch.nn.Module,), {"__module__": "deepspeed.runtime"})
    with pytest.raises(UnsupportedError, match="Engine: a wrapper"):
        unwrap(engine())


def test_flexible_runner(tmp_path):
    """Mmengine 0.8.0 and later."""
    if not hasattr(mmengine_runner, "FlexibleRunner"):
        pytest.skip("FlexibleRunner came with mmengine 0.8.0")
    runner = mmengine_runner.FlexibleRunner(
        Classifier(),
        work_dir=str(tmp_path),
        val_dataloader=loader(),
        val_evaluator=[Predicted()],
        val_cfg={},
        custom_hooks=[hook()],
        experiment_name=tmp_path.name,
        log_level="ERROR",
    )
    assert runner.val()["val_loss"] == pytest.approx(KNOWN, rel=1e-6)


RANKS = """
def rank_main(rank):
    import torch, valloss_compat
    from mmengine.model import MMDistributedDataParallel
    from torch.utils.data import DataLoader, Subset
    from loss_forward.models import Known, Points, collate, hook, make_runner
    from valloss_compat import _libraries
    Known.may_sync = {may_sync}
    _libraries.register(Known)
    torch.set_num_threads(1)
    half = Subset(Points(), range({cut}) if rank == 0 else range({cut}, 10))
    runner = make_runner(
        FOLDER + str(rank), hook(),
        val_dataloader=DataLoader(half, 2, collate_fn=collate))
    runner.model = MMDistributedDataParallel(runner.model, broadcast_buffers=False)
    try:
        return runner.val_loop.run()['val_loss']
    except _libraries.UnsupportedError as error:
        return str(error)
"""


def test_two_ranks_report_one_loss(nursery: Nursery):
    """Through DDP, over the samples of both."""
    told = run_ranks(nursery, 2, RANKS.format(cut=4, may_sync=False))
    pairs = expected(Classifier(), batch_size=2)["val_loss"]
    assert told == pytest.approx([pairs, pairs], rel=1e-6)


def test_losses_that_wait_for_all_ranks_need_as_many_batches(nursery: Nursery):
    """Else some rank would wait for ever."""
    told = run_ranks(nursery, 2, RANKS.format(cut=4, may_sync=True))
    assert ["different numbers of validation batches" in text for text in told] == [
        True,
        True,
    ]
    assert json.dumps(told).count("round_up=True") == 2
