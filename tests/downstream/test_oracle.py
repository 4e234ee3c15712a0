"""The validation loss of shipped models is that of data loaded as for training."""

from __future__ import annotations

import pytest

pytest.importorskip("mmcv.ops", reason="mmcv has no ops: tox -m downstream-full has")

from downstream import oracle, shipped
from downstream.rows import runner_of

#: The libraries use what torch, numpy and each other have deprecated; ours still count.
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
    expected = oracle.losses(config, model)
    without = runner_of(config, tmp_path, model=model).val()
    for strategy in ("auto", "second_forward"):
        metrics = runner_of(config, tmp_path, model=model, strategy=strategy).val()
        losses = {name: metrics[name] for name in expected}
        assert losses == pytest.approx(expected, rel=1e-5)
        # All that was there before is there as it was.
        assert {name: metrics[name] for name in without} == pytest.approx(
            without, rel=0, abs=0, nan_ok=True
        )


@pytest.mark.parametrize("row", [shipped.DETECTORS[0]], ids=lambda row: row.name)
def test_oracle_sees_boxes_in_the_frame_of_the_original_image(row, data_root):
    """What a hook that moved nothing would report is off, and the oracle shows it."""
    config = shipped.config_of(row, data_root)
    model = shipped.build(config)
    right = oracle.losses(config, model)["loss_bbox"]
    wrong = oracle.losses(config, model, reorder=False)["loss_bbox"]
    assert abs(wrong - right) > 1e-3 * right
