"""examples/mmpose_val_loss.py reports the loss of mmpose, and stops on it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("mmcv.ops", reason="mmcv has no ops: tox -m downstream-full has")
pytest.importorskip("mmpose", reason="no mmpose: tox -m downstream-full has it")

import torch
from mmengine.hooks import Hook

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def example():
    path = Path(__file__).parents[2] / "examples" / "mmpose_val_loss.py"
    spec = importlib.util.spec_from_file_location(path.stem, str(path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Watch(Hook):
    """Keeps the metrics of each validation, and the loss of mode ``loss``."""

    def __init__(self):
        self.metrics, self.expected = [], []

    def after_val_epoch(self, runner, metrics=None):
        self.metrics.append(dict(metrics))
        model, losses = runner.model, []
        for batch in runner.val_dataloader:
            with torch.no_grad():
                data = model.data_preprocessor(batch)
                losses.append(float(model(**data, mode="loss")["loss_kpt"]))
        self.expected.append(sum(losses) / len(losses))


@pytest.mark.parametrize("flip", [(), ("--flip-test",)], ids=["", "flip_test"])
def test_recipe_trains_and_stops_by_the_loss_of_mmpose(
    example, tmp_path, monkeypatch, flip
):
    watch = Watch()
    make = example.Runner.from_cfg

    def watched(config):
        runner = make(config)
        runner.register_hook(watch)
        return runner

    monkeypatch.setattr(example.Runner, "from_cfg", watched)
    # A rate at which the loss gets worse soon.
    options = ["--epochs", "30", "--patience", "1", "--lr", "0.01"]
    runner = example.main([*options, "--work-dir", str(tmp_path), *flip])
    got = [metrics["val_loss"] for metrics in watch.metrics]
    assert got == pytest.approx(watch.expected, rel=1e-5)
    assert all("coco/AP" in metrics for metrics in watch.metrics)
    # The last one was worse, and the best one was kept.
    assert got[-1] > min(got)
    assert len(got) < 30
    assert runner.message_hub.get_info("best_score") == pytest.approx(min(got))
