"""Unmodified classifiers of mmpretrain: losses, rejections, the quick start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

mmpretrain = pytest.importorskip(
    "mmpretrain", reason="tox's `downstream-mmpretrain` has mmpretrain"
)

from mmengine.config import Config  # noqa: E402
from mmengine.registry import DefaultScope  # noqa: E402
from mmpretrain.registry import MODELS  # noqa: E402

from downstream.mmpretrain_rows import (  # noqa: E402
    ROWS,
    configured,
    image_folder,
    shipped,
)
from downstream.rows import runner_of, spread  # noqa: E402
from valloss_compat._libraries import UnsupportedError, components, judge, look  # noqa: E402
from valloss_compat._loss_forward.reuse import Memo  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
CONFIGS = Path(mmpretrain.__file__).parent / ".mim" / "configs"

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _scope():
    """Models are built in mmpretrain's scope, not in that of the last Runner."""
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        yield


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_number_is_the_models_own(tmp_path, monkeypatch, row):
    """Equal to the oracle to 1e-5; reuse happens and changes no bit."""
    config = row.config(tmp_path)
    runner = runner_of(config, tmp_path, strategy="auto")
    spread(runner.model)
    hits = []
    leave = Memo.__exit__
    monkeypatch.setattr(
        Memo, "__exit__", lambda memo, *e: hits.append(memo.hits) or leave(memo, *e)
    )
    metrics = runner.val()
    known = row.oracle(config, runner.model)
    assert {name: metrics[name] for name in known} == pytest.approx(known, rel=1e-5)
    assert min(hits) >= 2, "backbone and head ran twice"
    plain = runner_of(config, tmp_path, model=runner.model, strategy="second_forward")
    assert plain.val() == metrics
    without = runner_of(config, tmp_path, model=runner.model).val()
    assert without == {k: v for k, v in metrics.items() if k in without}


def refused(model, name):
    """Assert that a model and its config are rejected, and return the rejection."""
    told = [
        judge(components.of_model(MODELS.build(model)), [()]).refusals,
        look({"model": model, "default_scope": "mmpretrain"}).refusals,
    ]
    for refusals in told:
        assert len(refusals) == 1
        assert name in refusals[0].component
        assert refusals[0].reason
        assert refusals[0].fix
    return told[0][0]


def test_a_loss_with_a_memory_is_refused():
    """SeesawLoss counts its samples."""
    model = shipped("resnet/resnet18_8xb16_cifar10.py").model
    model.head.loss = {"type": "SeesawLoss", "num_classes": 10}
    assert "cum_samples" in refused(model, "SeesawLoss").reason


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("mocov2/mocov2_resnet50_8xb32-coslr-200e_in1k.py", "MoCo"),
        ("byol/byol_resnet50_16xb256-coslr-200e_in1k.py", "BYOL"),
        ("levit/levit-128s_8xb256_in1k.py", "LeViTClsHead"),
    ],
)
def test_models_without_a_right_loss_are_refused(path, name):
    """Self-supervised ones have no predictions, distilled ones no loss."""
    config = shipped(path)
    for part in (config.model, config.model.get("backbone", {})):
        part.pop("init_cfg", None)
    refused(config.model, name)


def test_what_a_user_changed_is_refused():
    """A user's head with another loss; its name in the config is enough."""
    from mmpretrain.models import LinearClsHead

    own = type("OwnHead", (LinearClsHead,), {"loss": lambda self, *_: {}})
    MODELS.register_module(module=own, force=True)
    model = shipped("resnet/resnet18_8xb16_cifar10.py").model
    model.head.type = "OwnHead"
    assert "trust=" in refused(model, "OwnHead").fix
    built = components.of_model(MODELS.build(model))
    assert not judge(built, [()], [f"{own.__module__}.OwnHead"]).refusals


def test_images_without_labels_are_refused(tmp_path):
    """With the argument of the data set that brings them."""
    config = configured("resnet/resnet18_8xb32_in1k.py", image_folder)(tmp_path)
    config.val_dataloader.dataset.with_label = False
    config.val_evaluator = []
    with pytest.raises(UnsupportedError, match="with_label=True"):
        runner_of(config, tmp_path, strategy="auto").val()


def test_each_shipped_classifier_is_judged():
    """By its config, without building it."""
    told, unreadable = {True: 0, False: 0}, 0
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
        seen = look(config)
        told[not seen.refusals] += 1
        if config.model.type == "ImageClassifier" and seen.refusals:
            assert seen.refusals[0].component.split()[0] in {
                "LeViTClsHead",
                "EfficientFormerClsHead",
                "iTPNClipHead",
                "RevVisionTransformer",
            }, path
    assert told[True] > 200
    assert told[False] > 40
    assert unreadable < 5


def test_the_quick_start(tmp_path):
    """Mmpretrain's own tools/train.py and a shipped config, stopped by val_loss."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def run(*command):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", *map(str, command)],
            cwd=str(tmp_path),
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout + done.stderr

    run(ROOT / "examples" / "digits_folder.py")
    train = CONFIGS.parent / "tools" / "train.py"
    told = run(train, ROOT / "examples" / "mmpretrain_digits.py")
    assert "the monitored metric did not improve" in told
    validations = [line for line in told.splitlines() if "Epoch(val)" in line]
    assert 3 <= len(validations) < 40
    assert all("  val_loss: " in line for line in validations)
    work = tmp_path / "work_dirs" / "mmpretrain_digits"
    assert len(list(work.glob("best_val_loss_epoch_*.pth"))) == 1

    told = run(ROOT / "examples" / "mmpretrain_val_loss.py")
    stopped = int(told.split("stopped after epoch ")[1].split(",")[0])
    assert 3 <= stopped < 40
    # The same training, by the model or by the hook: the same losses.
    again = [line for line in told.splitlines() if "Epoch(val)" in line]
    assert [line.split("val_loss: ")[1].split()[0] for line in again] == [
        line.split("val_loss: ")[1].split()[0] for line in validations
    ]
