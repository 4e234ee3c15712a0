"""The examples run on the installed release as documented."""

from __future__ import annotations

import importlib.util
import inspect
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

import valloss_compat

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@pytest.fixture(scope="module")
def example() -> Any:
    """The module examples/resnet_val_loss.py; examples/ is no package."""
    path = EXAMPLES / "resnet_val_loss.py"
    spec = importlib.util.spec_from_file_location(path.stem, str(path))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def images_and_labels(example: Any, length: int, batch_size: int) -> Any:
    """Random images (N, 1, 8, 8) with random labels (N,)."""
    return DataLoader(
        example.ImageDataset(
            torch.rand(length, 1, 8, 8), torch.randint(0, 10, (length,))
        ),
        batch_size=batch_size,
    )


def plain_val_loss(resnet: Any, dataloader: Any) -> float:
    """The mean over batches of their mean cross entropy, in PyTorch alone."""
    resnet.eval()
    with torch.no_grad():
        losses = [F.cross_entropy(resnet(x), y).item() for x, y in dataloader]
    return float(sum(losses) / len(losses))


class Expect(Hook):
    """Keeps the metrics of each epoch, and the loss expected in them."""

    def __init__(self) -> None:
        self.metrics: list[Any] = []
        self.expected: list[float] = []

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        self.metrics.append(dict(metrics))
        loader = runner.val_loop.dataloader
        self.expected.append(plain_val_loss(runner.model.resnet, loader))


@pytest.fixture(scope="module")
def trained(example, tmp_path_factory):
    """A Runner that trained the ResNet for two epochs, and its Expect hook."""
    expect = Expect()
    runner = Runner(
        model=example.ResNetWithValLoss(),
        work_dir=str(tmp_path_factory.mktemp("resnet")),
        train_dataloader=images_and_labels(example, 8, batch_size=4),
        # The last batch is smaller: a mean over samples would differ.
        val_dataloader=images_and_labels(example, 7, batch_size=3),
        train_cfg={"by_epoch": True, "max_epochs": 2},
        val_cfg={},
        val_evaluator=[example.Accuracy()],
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        default_hooks={
            "checkpoint": {"type": "CheckpointHook", "save_best": "val_loss"}
        },
        custom_hooks=[expect],
        experiment_name=uuid.uuid4().hex,
        log_level="ERROR",
    )
    runner.train()
    return runner, expect


def test_resnet_reports_the_loss_that_plain_pytorch_computes(trained):
    _, expect = trained
    assert [m["val_loss"] for m in expect.metrics] == pytest.approx(
        expect.expected, abs=1e-6
    )
    assert [m["loss"] for m in expect.metrics] == pytest.approx(
        expect.expected, abs=1e-6
    )


def test_resnet_reports_accuracy_and_loss(trained):
    _, expect = trained
    for metrics in expect.metrics:
        assert set(metrics) == {"accuracy", "loss", "val_loss"}
        assert metrics["accuracy"] * 7 == pytest.approx(round(metrics["accuracy"] * 7))


def test_best_checkpoint_of_resnet_has_the_lowest_loss(example, trained):
    runner, expect = trained
    losses = [m["val_loss"] for m in expect.metrics]
    epoch = losses.index(min(losses)) + 1
    path = Path(runner.message_hub.get_info("best_ckpt"))
    assert path.name == f"best_val_loss_epoch_{epoch}.pth"
    assert runner.message_hub.get_info("best_score") == min(losses)

    # torch.load's `weights_only` came with 1.13 and turned true in 2.6.
    known = "weights_only" in inspect.signature(torch.load).parameters
    options = {"weights_only": False} if known else {}
    weights = torch.load(str(path), **options)["state_dict"]
    model = example.ResNetWithValLoss()
    model.load_state_dict(weights)
    again = plain_val_loss(model.resnet, runner.val_loop.dataloader)
    assert again == pytest.approx(min(losses), abs=1e-6)


def test_resnet_halves_the_resolution_between_stages(example):
    resnet = example.ResNet(in_channels=3, num_classes=5)
    features = resnet.stages(resnet.stem(torch.rand(2, 3, 32, 32)))
    assert features.shape == (2, 32, 8, 8)
    assert resnet(torch.rand(2, 3, 32, 32)).shape == (2, 5)


def test_resnet_checks_mode_and_labels(example):
    model = example.ResNetWithValLoss()
    images, labels = torch.rand(2, 1, 8, 8), torch.tensor([1, 2])
    assert model(images).shape == (2, 10)
    with pytest.raises(ValueError, match="needs labels"):
        model(images, mode="loss")
    with pytest.raises(ValueError, match="unknown mode 'other'"):
        model(images, labels, mode="other")


def test_resnet_example_prints_the_best_checkpoint(
    example, tmp_path, capsys, monkeypatch
):
    images, labels = example.load_images()
    assert images.shape[1:] == (1, 8, 8)
    assert labels.shape == images.shape[:1]
    # A few images are enough to see that it runs.
    monkeypatch.setattr(example, "load_images", lambda: (images[:40], labels[:40]))
    example.main(["--work-dir", str(tmp_path), "--epochs", "1"])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith("best_val_loss_epoch_1.pth")
    assert Path(last.split(" is ")[-1]).is_file()


def run_demo(tmp_path: Path, epochs: int, setting: str) -> Any:
    """Run examples/digits.py in a new process and directory."""
    pytest.importorskip("sklearn", reason="no scikit-learn: tox's `coverage` has it")
    # The process must import the same package as this one.
    package = str(Path(valloss_compat.__file__).parent.parent)
    path = os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "VALLOSS_COMPAT": setting, "PYTHONPATH": path}
    demo = [sys.executable, str(EXAMPLES / "digits.py")]
    return subprocess.run(
        [*demo, "--epochs", str(epochs), "--picture", "curves.png"],
        capture_output=True,
        text=True,
        cwd=str(tmp_path),
        env=environment,
    )


def test_demo_stops_early_and_keeps_the_best(tmp_path):
    done = run_demo(tmp_path, 40, "default")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Stopped after epoch" in done.stdout
    assert "Best checkpoint: " in done.stdout
    (best,) = (tmp_path / "work_dirs" / "digits").glob("best_val_loss_epoch_*.pth")
    assert str(best) in done.stdout
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_demo_without_the_shim_reports_the_missing_metric(tmp_path):
    import mmengine.runner.loops

    if hasattr(mmengine.runner.loops, "_update_losses"):
        pytest.skip("this mmengine reports val_loss by itself")
    done = run_demo(tmp_path, 2, "off")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Ran to the end, epoch 2 of 2" in done.stdout
    assert "val_loss never arrived. The only metrics were: accuracy." in done.stdout
    assert "KeyError: 'val_loss' in 2 of 2 validations" in done.stdout
    assert not list(tmp_path.glob("**/best_*.pth"))
