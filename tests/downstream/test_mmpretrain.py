"""Classifiers of mmpretrain: losses, rejections, the quick start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

mmpretrain = pytest.importorskip(
    "mmpretrain", reason="tox's `downstream-mmpretrain` has mmpretrain"
)

from mmengine.config import Config  # noqa: E402
from mmengine.registry import DefaultScope  # noqa: E402
from mmpretrain.registry import MODELS  # noqa: E402
from torch.nn import functional  # noqa: E402

from downstream.mmpretrain_rows import (  # noqa: E402
    CLASSES,
    ROWS,
    configured,
    image_folder,
    oracle,
    replaced,
    shipped,
)
from downstream.rows import runner_of, spread  # noqa: E402
from valloss_compat._config import names_of  # noqa: E402
from valloss_compat._libraries.models import (  # noqa: E402
    check_config,
    check_model,
)
from valloss_compat._loss_forward.validation_pass import LossSource  # noqa: E402
from valloss_compat.errors import UnsupportedError  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
CONFIGS = Path(mmpretrain.__file__).parent / ".mim" / "configs"
RESNET = "resnet/resnet18_8xb32_in1k.py"

#: Their backbones read ``self.training``, so they run for the loss too.
READS_MODE = ("ViG-tiny",)

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _scope():
    """Models are built in mmpretrain's scope, not in that of the last Runner."""
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        yield


@pytest.fixture
def found(monkeypatch):
    """What the self-checks found, one line each."""
    lines = []
    learn = LossSource.learn

    def learned(source, forward, line):
        lines.append(line)
        learn(source, forward, line)

    monkeypatch.setattr(LossSource, "learn", learned)
    return lines


def metrics_of(config, folder, **hook):
    """Return the metrics of a validation, and what they have to be."""
    runner = runner_of(config, folder, strategy="auto", **hook)
    spread(runner.model)
    expected = oracle(config, runner.model)
    return runner.val(), expected, runner


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_loss_is_that_of_frozen_training(tmp_path, found, row):
    """Equal to the oracle to 1e-5; reuse happens and changes no bit."""
    metrics, expected, runner = metrics_of(row.config(tmp_path), tmp_path)
    losses = {name: metrics[name] for name in expected}
    assert losses == pytest.approx(expected, rel=1e-5)
    (line,) = found
    assert "ImageClassifier: deterministic; " in line
    assert ("reuses backbone" in line) == (row.name not in READS_MODE)
    config = row.config(tmp_path / "again")
    plain = runner_of(config, tmp_path, model=runner.model, strategy="second_forward")
    assert plain.val() == metrics
    without = runner_of(config, tmp_path, model=runner.model).val()
    assert without == {k: v for k, v in metrics.items() if k in without}


def test_loss_with_a_memory_sees_no_other_batch(tmp_path, found):
    """SeesawLoss counts its samples."""
    loss = replaced("SeesawLoss", num_classes=CLASSES)
    config = configured(RESNET, image_folder, model__head__loss=loss)(tmp_path)
    metrics, expected, runner = metrics_of(config, tmp_path)
    assert metrics["val_loss"] == pytest.approx(expected["val_loss"], rel=1e-5)
    assert "changes head.loss_module.cum_samples (restored before each" in found[0]
    assert not runner.model.head.loss_module.cum_samples.any()


class OwnLoss(torch.nn.Module):
    """A user's loss that draws random numbers."""

    def forward(self, scores, target, **kwargs):
        return (torch.rand_like(scores) * scores).mean() + scores[:, target].mean()


def own_loss(head, feats, data_samples, **kwargs):
    """The loss of a user's head, another one in training mode."""
    target = torch.cat([sample.gt_label for sample in data_samples])
    scale = 3.0 if head.training else 1.0
    difference = head(feats) - functional.one_hot(target, CLASSES)
    return {"loss_own": scale * difference.square().mean()}


@pytest.fixture
def _own():
    """Register a user's head and loss."""
    from mmpretrain.models import LinearClsHead  # it warns

    head = type("OwnHead", (LinearClsHead,), {"loss": own_loss})
    for module in (head, OwnLoss):
        MODELS.register_module(module=module, force=True)


@pytest.mark.usefixtures("_own")
@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"model__head__type": "OwnHead"}, "deterministic; reuses"),
        ({"model__head__loss": replaced("OwnLoss")}, "; draws random numbers (each"),
    ],
)
def test_head_or_loss_of_the_user_is_accepted(tmp_path, found, changes, line):
    config = configured(RESNET, image_folder, **changes)(tmp_path)
    assert check_config(config) is None
    metrics, expected, _ = metrics_of(config, tmp_path)
    losses = {name: metrics[name] for name in expected}
    assert losses == pytest.approx(expected, rel=1e-5)
    assert line in found[0]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("mocov2/mocov2_resnet50_8xb32-coslr-200e_in1k.py", "MoCo"),
        ("byol/byol_resnet50_16xb256-coslr-200e_in1k.py", "BYOL"),
    ],
)
def test_self_supervised_model_is_rejected_by_name(path, name):
    """Its config and the model that is built from it."""
    config = shipped(path)
    for part in (config.model, config.model.get("backbone", {})):
        part.pop("init_cfg", None)
    built = names_of(MODELS.build(config.model))
    for rejection in (check_config(config), check_model(built)):
        assert rejection.component == f"mmpretrain.{name}"
        assert "it learns without labels" in rejection.reason
        assert rejection.fix


def test_distilled_model_is_rejected_before_the_training(tmp_path):
    """LeViT's head has no loss of its own, and raises NotImplementedError."""
    config = configured("levit/levit-128s_8xb256_in1k.py", image_folder)(tmp_path)
    assert check_config(config) is None
    with pytest.raises(UnsupportedError, match="raised NotImplementedError"):
        runner_of(config, tmp_path, strategy="auto").val()
    config.train_dataloader = config.val_dataloader
    config.train_cfg = {"by_epoch": True, "max_epochs": 1}
    config.optim_wrapper = {"optimizer": {"type": "SGD", "lr": 1e-3}}
    runner = runner_of(config, tmp_path, strategy="auto")
    with pytest.raises(UnsupportedError, match="raised NotImplementedError") as caught:
        runner.train()
    assert runner.iter == 0
    assert caught.value.rejection.component == (
        "mmpretrain.models.classifiers.image.ImageClassifier"
    )


def test_images_without_labels_are_rejected(tmp_path):
    config = configured(RESNET, image_folder)(tmp_path)
    config.val_dataloader.dataset["with_label"] = False
    config.val_evaluator = []
    with pytest.raises(
        UnsupportedError, match=r"mode 'loss' raised .*gt_label"
    ) as caught:
        runner_of(config, tmp_path, strategy="auto").val()
    assert "with_label=True" in caught.value.rejection.fix


def test_each_shipped_classifier_is_accepted():
    """By its config, without building it."""
    accepted, denied, unreadable = 0, set(), 0
    for path in sorted(CONFIGS.glob("*/*.py")):
        if path.parent.name == "_base_":
            continue
        try:
            config = Config.fromfile(str(path))
        except (RuntimeError, KeyError):  # some, mmengine itself cannot read
            unreadable += 1
            continue
        if "model" not in config or "type" not in config.model:
            continue
        config.setdefault("default_scope", "mmpretrain")
        if check_config(config) is not None:
            denied.add(config.model.type)
        else:
            accepted += 1
    assert "ImageClassifier" not in denied
    assert {"MoCo", "BYOL", "MAE", "SimCLR", "ImageToImageRetriever"} < denied
    assert accepted > 200
    assert unreadable < 5


def test_quick_start_stops_by_val_loss(block, tmp_path):
    """Mmpretrain's own tools/train.py and a shipped config, stopped by val_loss."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PATH": path}
    environment["PYTHONWARNINGS"] = "ignore"
    (tmp_path / "examples").symlink_to(ROOT / "examples")

    def run(text):
        done = subprocess.run(
            ["sh", "-e", "-c", text],
            cwd=str(tmp_path),
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout + done.stderr

    log = run(block.text)
    assert "the monitored metric did not improve" in log
    validations = [line for line in log.splitlines() if "Epoch(val)" in line]
    assert 3 <= len(validations) < 40
    assert all("  val_loss: " in line for line in validations)
    work = tmp_path / "work_dirs" / "mmpretrain_digits"
    assert len(list(work.glob("best_val_loss_epoch_*.pth"))) == 1

    log = run("python examples/mmpretrain_val_loss.py")
    stopped = int(log.split("stopped after epoch ")[1].split(",")[0])
    assert 3 <= stopped < 40
    # The same training, by the model or by the hook: the same losses.
    again = [line for line in log.splitlines() if "Epoch(val)" in line]
    assert [line.split("val_loss: ")[1].split()[0] for line in again] == [
        line.split("val_loss: ")[1].split()[0] for line in validations
    ]
