"""Shipped models in conditions of a training: DDP, an EMA, half precision."""

from __future__ import annotations

import copy

import pytest
import torch
from mmengine.hooks import EMAHook
from mmengine.runner import autocast
from support.ranks import run_ranks

pytest.importorskip("mmcv.ops", reason="mmcv has no ops: tox -m downstream-full has")

from downstream import frozen, shipped
from downstream.frozen import annotations_first
from downstream.rows import runner_of

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error::valloss_compat.VallossCompatWarning"),
]

ROWS = [
    row
    for row in shipped.ALL
    if row.name in ("RetinaNet", "Faster R-CNN", "FCN", "heat map")
]


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(params=ROWS, ids=lambda row: row.name)
def row(request):
    pytest.importorskip(request.param.library)
    return request.param


_RANKS = """
def rank_main(rank):
    import warnings
    warnings.simplefilter("ignore")
    from pathlib import Path
    import torch, valloss_compat
    from mmengine.model import MMDistributedDataParallel
    from downstream import shipped
    from downstream.frozen import annotations_first
    from downstream.rows import runner_of
    torch.set_num_threads(1)
    (row,) = (row for row in shipped.ALL if row.name == {name!r})
    config = shipped.config_of(row, Path({data!r}))
    config.val_dataloader.batch_size = 1
    config.val_dataloader.dataset.indices = 4
    model = shipped.build(config)
    runner = runner_of(config, Path(FOLDER, str(rank)), model=model, strategy="auto")
    assert len(runner.val_loop.dataloader) == 2
    runner.model = MMDistributedDataParallel(runner.model, broadcast_buffers=False)
    return runner.val()["val_loss"]
"""


def test_two_ranks_of_ddp_report_the_mean_over_all_batches(row, data_root, nursery):
    config = shipped.config_of(row, data_root)
    config.val_dataloader.batch_size = 1
    config.val_dataloader.dataset.indices = 4
    expected = frozen.of_config(config, shipped.build(config))["val_loss"]
    found = run_ranks(nursery, 2, _RANKS.format(name=row.name, data=str(data_root)))
    assert found[0] == found[1] == pytest.approx(expected, rel=1e-5)


def training(config, folder, model, **hook):
    """Two epochs with an EMA of the weights, a validation after each."""
    config = copy.deepcopy(config)
    loader = copy.deepcopy(config.val_dataloader)
    loader.dataset.pipeline = annotations_first(loader.dataset.pipeline)
    config.train_dataloader = loader
    config.train_cfg = {"by_epoch": True, "max_epochs": 2, "val_interval": 1}
    config.optim_wrapper = {"optimizer": {"type": "SGD", "lr": 1e-3}}
    runner = runner_of(config, folder, model=copy.deepcopy(model), **hook)
    averaged = EMAHook(momentum=0.5)
    runner.register_hook(averaged)
    runner.train()
    return runner, averaged.ema_model.module


def test_training_with_an_ema_is_unchanged_and_its_loss_is_that_of_the_ema(
    row, data_root, tmp_path
):
    config = shipped.config_of(row, data_root)
    model = shipped.build(config)
    plain, _ = training(config, tmp_path / "without", model)
    hooked, averaged = training(config, tmp_path / "with", model, strategy="auto")
    weights, expected = hooked.model.state_dict(), plain.model.state_dict()
    assert list(weights) == list(expected)
    for name in weights:
        assert torch.equal(weights[name], expected[name]), name
    losses = frozen.of_config(config, averaged)
    seen = hooked.message_hub.get_scalar("val/val_loss").current()
    assert seen == pytest.approx(losses["val_loss"], rel=1e-5)
    assert seen != pytest.approx(
        frozen.of_config(config, hooked.model)["val_loss"], rel=1e-5
    )


@pytest.mark.parametrize("strategy", ["auto", "second_forward"])
def test_half_precision_is_that_of_the_loop(strategy, data_root, tmp_path):
    """On a CPU it is bfloat16, in which the other models do not run at all.

    numpy (mmdet's metric, mmpose's loss) and mmcv's RoIAlign do not support it.
    """
    pytest.importorskip("mmseg")
    (row,) = (row for row in ROWS if row.library == "mmseg")
    config = shipped.config_of(row, data_root)
    config.val_cfg = {"fp16": True}
    model = shipped.build(config)
    with autocast(enabled=True):
        expected = frozen.of_config(config, copy.deepcopy(model))["val_loss"]
    whole = frozen.of_config(config, copy.deepcopy(model))["val_loss"]
    metrics = runner_of(config, tmp_path, model=model, strategy=strategy).val()
    assert metrics["val_loss"] == pytest.approx(expected, rel=1e-6)
    assert metrics["val_loss"] != pytest.approx(whole, rel=1e-6)
