"""The validation loss of shipped models equals that of data loaded as for training."""

from __future__ import annotations

import copy

import pytest
import torch
from mmengine.runner import Runner
from torch.nn import functional

pytest.importorskip("mmcv.ops", reason="mmcv has no ops: tox -m downstream-full has")

from downstream import frozen, shipped
from downstream.frozen import annotations_first
from downstream.rows import runner_of

#: The libraries cause deprecation warnings; those of this package are errors.
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error::valloss_compat.VallossCompatWarning"),
]


@pytest.fixture(scope="session")
def data_root(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.mark.parametrize("row", shipped.ALL, ids=lambda row: row.name)
def test_loss_is_that_of_frozen_training(row, data_root, tmp_path):
    pytest.importorskip(row.library)
    config = shipped.config_of(row, data_root)
    model = shipped.build(config)
    expected = frozen.of_config(config, model)
    without = runner_of(config, tmp_path, model=copy.deepcopy(model)).val()
    for strategy in ("auto", "second_forward"):
        fresh = copy.deepcopy(model)
        metrics = runner_of(config, tmp_path, model=fresh, strategy=strategy).val()
        losses = {name: metrics[name] for name in expected}
        assert losses == pytest.approx(expected, rel=1e-5)
        # The other metrics are unchanged.
        assert {name: metrics[name] for name in without} == pytest.approx(
            without, rel=0, abs=0, nan_ok=True
        )


@pytest.mark.parametrize("row", [shipped.DETECTORS[0]], ids=lambda row: row.name)
def test_oracle_finds_boxes_in_the_frame_of_the_original_image(row, data_root):
    """The loss with unscaled boxes is wrong, and the oracle shows it."""
    config = shipped.config_of(row, data_root)
    model = shipped.build(config)
    right = frozen.of_config(config, model)["loss_bbox"]
    wrong = frozen.of_config(config, model, reorder=False)["loss_bbox"]
    assert abs(wrong - right) > 1e-3 * right


@pytest.mark.parametrize("name", ["RetinaNet", "FCN"])
def test_validation_loader_itself_may_be_the_loss_loader(name, data_root, tmp_path):
    """Its annotations are loaded last, and for the loss right behind the image."""
    (row,) = (row for row in shipped.ALL if row.name == name)
    config = shipped.config_of(row, data_root)
    model = shipped.build(config)
    expected = frozen.of_config(config, model)
    loader = copy.deepcopy(config.val_dataloader)
    hook = {"strategy": "dataloader", "dataloader": loader}
    metrics = runner_of(config, tmp_path, model=model, **hook).val()
    losses = {name: metrics[name] for name in expected}
    assert losses == pytest.approx(expected, rel=1e-5)


def test_label_maps_of_a_padded_validation_are_padded_as_in_training(
    data_root, tmp_path
):
    """With an ignored value, for the validation's own data and for a loss loader."""
    (row,) = (row for row in shipped.ALL if row.name == "FCN")
    config = shipped.config_of(row, data_root)
    model = shipped.build(config)
    loader = copy.deepcopy(config.val_dataloader)
    loader.dataset.pipeline = annotations_first(loader.dataset.pipeline)
    total, number = 0.0, 0
    copied = frozen.freeze(copy.deepcopy(model))
    for batch in Runner.build_dataloader(copy.deepcopy(loader), seed=0):
        with torch.no_grad():
            data = copied.data_preprocessor(batch, False)
            height, width = data["inputs"].shape[-2:]
            pad = (0, -width % 160, 0, -height % 160)
            assert any(pad)
            for sample in data["data_samples"]:
                label = functional.pad(sample.gt_sem_seg.data, pad, value=255)
                del sample.gt_sem_seg.data
                sample.gt_sem_seg.data = label
            data["inputs"] = functional.pad(data["inputs"], pad)
            named = copied(**data, mode="loss")
        total += float(copied.parse_losses(named)[0])
        number += 1
    preprocessor = model.data_preprocessor
    preprocessor.size, preprocessor.size_divisor = None, 160
    preprocessor.test_cfg = {"size_divisor": 160}
    for hook in (
        {"strategy": "auto"},
        {"strategy": "dataloader", "dataloader": loader},
    ):
        metrics = runner_of(config, tmp_path, model=model, **hook).val()
        assert metrics["val_loss"] == pytest.approx(total / number, rel=1e-5)


def test_model_of_one_input_size_is_given_the_centre_of_each_image(data_root, tmp_path):
    """BEiT in slide mode: its position bias has the size of the window."""
    pytest.importorskip("mmseg")
    window = {"mode": "slide", "crop_size": (96, 96), "stride": (64, 64)}
    changes = {
        "backbone": {"img_size": (96, 96)},
        "data_preprocessor": {"size": (96, 96)},
        "decode_head": {"channels": 32},
        "test_cfg": window,
    }
    path = "beit/beit-base_upernet_8xb2-160k_ade20k-640x640.py"
    row = shipped.Shipped("BEiT", "mmseg", path, changes)
    config = shipped.config_of(row, data_root)
    config.val_dataloader.batch_size = 1
    config.val_dataloader.dataset.indices = 2
    model = shipped.build(config)
    loader = copy.deepcopy(config.val_dataloader)
    loader.dataset.pipeline = annotations_first(loader.dataset.pipeline)
    with pytest.raises(RuntimeError):
        frozen.of_config(config, model)
    batches = list(Runner.build_dataloader(loader, seed=0))
    for batch in batches:
        for index, sample in enumerate(batch["data_samples"]):
            image, label = batch["inputs"][index], sample.gt_sem_seg.data
            top, left = ((side - 96) // 2 for side in image.shape[-2:])
            assert top > 0
            assert left > 0
            rows, columns = slice(top, top + 96), slice(left, left + 96)
            batch["inputs"][index] = image[:, rows, columns]
            del sample.gt_sem_seg.data
            sample.gt_sem_seg.data = label[:, rows, columns]
    expected = frozen.losses(model, batches)
    metrics = runner_of(config, tmp_path, model=model, strategy="auto").val()
    losses = {name: metrics[name] for name in expected}
    assert losses == pytest.approx(expected, rel=1e-5)
