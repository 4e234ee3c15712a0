"""``ValLossHook`` reports the loss of a frozen training, for each model."""

from __future__ import annotations

import importlib.util

import pytest

pytest.importorskip("mmcv.ops", reason="mmcv has no ops")

from downstream.oracle import run

#: The libraries cause deprecation warnings; those of this package are errors.
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error::valloss_compat.VallossCompatWarning"),
]
#: Heads that compute something else in eval mode, without an error.
WRONG_IN_EVAL = (
    "fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco",
    "solo_r50_fpn_1x_coco",
    "condinst_r50_fpn_ms-poly-90k_coco_instance",
    "tridentnet_r50-caffe_1x_coco",
)


def needs(library):
    # Not importorskip: some libraries assert other releases when they are imported.
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")


@pytest.mark.parametrize(
    "row", run.models(), ids=lambda row: f"{row.library}-{row.title}"
)
def test_the_hook_reports_the_loss_of_a_frozen_training(row):
    needs(row.library)
    result = run.compare(row)
    assert result.status == "equal", result.detail


@pytest.mark.parametrize("name", WRONG_IN_EVAL)
def test_the_oracle_is_another_one_in_eval_mode(name):
    (row,) = (row for row in run.models(["mmdet"]) if row.title == name)
    needs(row.library)
    right = run.oracle(run.ready(row))
    wrong = run.oracle(run.ready(row), training=False)
    worst, _ = run.differences(right, wrong)
    assert worst > 1e-3
