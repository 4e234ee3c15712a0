"""``run`` with the unmodified tools/train.py that mmpretrain ships."""

from __future__ import annotations

import glob
import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from integration.downstream_loops.rows import IN_DOWNSTREAM

pytestmark = pytest.mark.skipif(
    not IN_DOWNSTREAM and importlib.util.find_spec("mmpretrain") is None,
    reason="mmpretrain is not installed: tox's `downstream` has it",
)

# A classifier that appends its loss element, and writes each loss to a file.
MODEL = """
import torch
from mmengine.structures import BaseDataElement
from mmpretrain.models import ImageClassifier
from mmpretrain.registry import MODELS

@MODELS.register_module()
class Emitting(ImageClassifier):
    def predict(self, inputs, data_samples=None, **kwargs):
        samples = super().predict(inputs, data_samples, **kwargs)
        losses = self.head.loss(self.extract_feat(inputs), data_samples)
        with open('losses.txt', 'a') as file:
            print(float(losses['loss']), file=file)
        return [*samples, BaseDataElement(loss=losses)]
"""
# With a learning rate of 0 no epoch is better than the first one.
CONFIG = """
default_scope = 'mmpretrain'
custom_imports = dict(imports=['emitting'], allow_failed_imports=False)
model = dict(
    type='Emitting', backbone=dict(type='LeNet5', num_classes=-1),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', in_channels=120, num_classes=2,
              loss=dict(type='CrossEntropyLoss', loss_weight=1.0)),
    data_preprocessor=dict(mean=[128], std=[64], to_rgb=False))
pipeline = [
    dict(type='LoadImageFromFile', color_type='grayscale'),
    dict(type='Resize', scale=32),
    dict(type='PackInputs')]
loader = dict(
    batch_size=3, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='CustomDataset', data_root='images', pipeline=pipeline))
train_dataloader = loader
val_dataloader = loader
val_evaluator = dict(type='Accuracy', topk=(1, ))
val_cfg = dict()
train_cfg = dict(by_epoch=True, max_epochs=9)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.0))
custom_hooks = [dict(type='EarlyStoppingHook', monitor='val_loss', min_delta=1e-4,
                     patience=1)]
default_hooks = dict(checkpoint=dict(type='CheckpointHook', save_best='val_loss'))
randomness = dict(seed=0)
"""


def script():
    folder = os.path.dirname(importlib.util.find_spec("mmpretrain").origin)
    return os.path.join(folder, ".mim", "tools", "train.py")


def python(folder, *words, **env):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *words],
        cwd=str(folder),
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]),
            **env,
        },
        capture_output=True,
        text=True,
    )
    return done


@pytest.fixture
def project(tmp_path):
    """A folder with images of two classes, a model and a config."""
    import cv2

    draw = np.random.RandomState(0)
    for name in ("dark", "light"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for index in range(4):
            image = draw.randint(0, 256, (20, 24), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / "images" / name / f"{index}.png"), image)
    (tmp_path / "emitting.py").write_text(MODEL, encoding="utf-8")
    (tmp_path / "config.py").write_text(CONFIG, encoding="utf-8")
    return tmp_path


ARGUMENTS = ["config.py", "--work-dir", "work", "--no-pin-memory"]
ARGUMENTS += ["--no-persistent-workers"]


def test_train_script_stops_early_and_saves_the_best_epoch(project):
    """By the mean of the losses that the model appended."""
    done = python(project, "-m", "valloss_compat", "run", script(), *ARGUMENTS)
    assert done.returncode == 0, done.stderr
    (scalars,) = glob.glob(str(project / "work" / "*" / "vis_data" / "scalars.json"))
    with open(scalars, encoding="utf-8") as file:
        reported = [line for line in map(json.loads, file) if "val_loss" in line]
    losses = [float(line) for line in (project / "losses.txt").read_text().split()]
    assert len(losses) == 3 * len(reported)
    epochs = np.array(losses).reshape(-1, 3).mean(1)
    assert [line["val_loss"] for line in reported] == pytest.approx(list(epochs))
    assert len(reported) == 2
    assert glob.glob(str(project / "work" / "best_val_loss_epoch_1.pth"))


def test_train_script_without_run_fails(project):
    """Plain python: nothing extracts the loss element."""
    done = python(project, script(), *ARGUMENTS)
    assert done.returncode == 1
    assert "valloss" not in done.stderr
    # The metric gets the loss element as if it were a sample.
    assert done.stderr.splitlines()[-1] == "KeyError: 'pred_label'", done.stderr


def test_doctor_distinguishes_a_model_of_the_user_from_one_of_the_library(project):
    """In the config of that train script."""
    done = python(project, "-m", "valloss_compat", "doctor", "--json", "config.py")
    assert done.returncode == 0, done.stdout
    findings = json.loads(done.stdout)["findings"]
    model = "the model is emitting.Emitting: a batch reports loss, val_loss"
    assert model in [finding["text"] for finding in findings]
    (project / "config.py").write_text(CONFIG.replace("Emitting", "ImageClassifier"))
    done = python(project, "-m", "valloss_compat", "doctor", "config.py")
    assert done.returncode == 1
    assert (
        "mmpretrain.models.classifiers.image.ImageClassifier, of a library whose"
        in (" ".join(done.stdout.split()))
    )
