"""mmpose: annotations that its validations leave in the original image."""

from __future__ import annotations

import numpy as np
import pytest

from valloss_compat._libraries.pipelines import move_with_bottomup_resize
from valloss_compat._loss_forward.two_views import loss_pipeline
from valloss_compat.errors import UnsupportedError


def moved(**changes):
    """A sample behind ``BottomupResize``: 80 x 60 pixels in the middle of 160 x 160."""
    data = {
        "input_size": (160, 160),
        "input_center": np.array([40.0, 30.0]),
        "input_scale": np.array([80.0, 80.0]),
        "keypoints": np.array([[[0.0, 0.0], [40.0, 30.0], [80.0, 60.0]]]),
        "bbox": np.array([[0.0, 0.0, 80.0, 60.0]]),
        "area": np.array([100.0]),
    }
    return move_with_bottomup_resize({**data, **changes})


def test_annotations_are_moved_as_predictions_are_brought_back():
    found = moved()
    assert found["keypoints"].tolist() == [[[0, 20], [80, 80], [160, 140]]]
    assert found["bbox"].tolist() == [[0, 20, 160, 140]]
    assert found["area"].tolist() == [400]
    back = found["keypoints"] / (160, 160) * (80, 80) + (40, 30) - np.array([40.0, 40])
    assert back.tolist() == [[[0, 0], [40, 30], [80, 60]]]
    homogeneous = np.array([40.0, 30, 1])
    assert (found["warp_mat"] @ homogeneous).tolist() == [80, 80]


@pytest.mark.parametrize("name", ["bbox", "area"])
def test_a_sample_needs_keypoints_alone(name):
    data = moved()
    del data[name]
    assert name not in move_with_bottomup_resize(data)


class BottomupResize:
    """Named as that of mmpose."""

    resize_mode = "fit"


def test_the_loss_moves_them_right_behind_the_resize():
    steps = [len, BottomupResize(), max]
    found = loss_pipeline(steps, ())
    assert found.transforms == [*steps[:2], move_with_bottomup_resize, max]
    assert found.shared == 2
    assert found.notes == ["annotations moved by BottomupResize"]


def test_inputs_of_any_size_are_rejected(monkeypatch):
    monkeypatch.setattr(BottomupResize, "resize_mode", "expand")
    with pytest.raises(UnsupportedError, match="resize_mode='fit', or strategy="):
        loss_pipeline([len, BottomupResize(), max], ())
