"""examples/mmpose_val_loss.py reports the loss of mmpose, and stops on it."""

from __future__ import annotations

import copy
import runpy
from pathlib import Path

import pytest

pytest.importorskip("mmcv.ops", reason="mmcv has no ops: tox -m downstream-full has")
pytest.importorskip("mmpose", reason="no mmpose: tox -m downstream-full has it")

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from downstream import frozen

pytestmark = pytest.mark.filterwarnings("ignore")

EXAMPLES = Path(__file__).parents[2] / "examples"


class Watch(Hook):
    """Keeps the metrics of each validation, and the loss of mode ``loss``.

    Args:
        loader (dict): The annotated persons, with targets.
    """

    def __init__(self, loader):
        self.loader = loader
        self.metrics, self.expected = [], []

    def after_val_epoch(self, runner, metrics=None):
        self.metrics.append(dict(metrics))
        batches = Runner.build_dataloader(copy.deepcopy(self.loader), seed=0)
        self.expected.append(frozen.losses(runner.model, batches)["loss_kpt"])


@pytest.fixture
def config(tmp_path, monkeypatch):
    """The example, with its figures."""
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "mmpose_figures.py"))["main"]([])
    found = Config.fromfile(str(EXAMPLES / "mmpose_val_loss.py"))
    found.work_dir = str(tmp_path / "work")
    found.log_level = "ERROR"
    return found


@pytest.mark.parametrize("flip", [False, True])
def test_recipe_trains_and_stops_by_the_loss_of_mmpose(config, flip):
    config.model.test_cfg.flip_test = flip
    # A rate at which the loss gets worse soon.
    config.optim_wrapper.optimizer.lr = 0.01
    config.default_hooks.early_stopping.patience = 1
    config.train_cfg.update(max_epochs=20, val_interval=1)
    loader = copy.deepcopy(config.val_dataloader)
    loader.dataset.bbox_file = None
    targets = {"type": "GenerateTarget", "encoder": config.codec}
    loader.dataset.pipeline.insert(-1, targets)
    watch = Watch(loader)

    runner = Runner.from_cfg(config)
    runner.register_hook(watch)
    names = [type(hook).__name__ for hook in runner.hooks]
    assert "SyncBuffersHook" in names  # of the base
    runner.train()
    got = [metrics["val_loss"] for metrics in watch.metrics]
    assert got == pytest.approx(watch.expected, rel=1e-5)
    assert all("coco/AP" in metrics for metrics in watch.metrics)
    # The last one was worse, and the best one was kept.
    assert got[-1] > min(got)
    assert len(got) < 20
    assert runner.message_hub.get_info("best_score") == pytest.approx(min(got))
