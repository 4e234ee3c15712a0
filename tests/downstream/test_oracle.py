"""The validation loss of shipped models equals that of data loaded as for training."""

from __future__ import annotations

import copy

import pytest
import torch
from mmengine.runner import Runner
from torch.nn import functional

pytest.importorskip("mmcv.ops", reason="mmcv has no ops: tox -m downstream-full has")

from downstream import oracle, shipped
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
def test_loss_is_that_of_the_oracle(row, data_root, tmp_path):
    pytest.importorskip(row.library)
    config = shipped.config_of(row, data_root)
    model = shipped.build(config)
    # Each on a copy: a run in mode 'loss' may change a model.
    expected = oracle.losses(config, copy.deepcopy(model))
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
def test_oracle_sees_boxes_in_the_frame_of_the_original_image(row, data_root):
    """The loss with unscaled boxes is wrong, and the oracle shows it."""
    config = shipped.config_of(row, data_root)
    model = shipped.build(config)
    right = oracle.losses(config, model)["loss_bbox"]
    wrong = oracle.losses(config, model, reorder=False)["loss_bbox"]
    assert abs(wrong - right) > 1e-3 * right


@pytest.mark.parametrize("name", ["RetinaNet", "FCN"])
def test_the_validation_loader_itself_may_be_the_loss_loader(name, data_root, tmp_path):
    """Its annotations are loaded last, and are scaled as the input."""
    (row,) = (row for row in shipped.ALL if row.name == name)
    config = shipped.config_of(row, data_root)
    model = shipped.build(config)
    expected = oracle.losses(config, copy.deepcopy(model))
    loader = copy.deepcopy(config.val_dataloader)
    ours = {"strategy": "dataloader", "dataloader": loader}
    metrics = runner_of(config, tmp_path, model=model, **ours).val()
    losses = {name: metrics[name] for name in expected}
    assert losses == pytest.approx(expected, rel=1e-5)


def test_a_padded_validation_of_mmseg_has_a_loss_of_the_loss_loader(
    data_root, tmp_path
):
    """Label maps are padded like the inputs, with an ignored value."""
    (row,) = (row for row in shipped.ALL if row.name == "FCN")
    config = shipped.config_of(row, data_root)
    model = shipped.build(config)
    loader = copy.deepcopy(config.val_dataloader)
    loader.dataset.pipeline = oracle.annotations_first(loader.dataset.pipeline)
    total, number = 0.0, 0
    copied = copy.deepcopy(model).eval()
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
    ours = {"strategy": "dataloader", "dataloader": loader}
    metrics = runner_of(config, tmp_path, model=model, **ours).val()
    assert metrics["val_loss"] == pytest.approx(total / number, rel=1e-5)
