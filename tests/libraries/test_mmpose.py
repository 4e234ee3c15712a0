"""What is said of mmpose's configs, and of persons that a detector found."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from libraries.configs import config_of, refused
from libraries.mmpose_configs import CODEC, RIGHT, TARGET, TOPDOWN
from valloss_compat._libraries import UnsupportedError
from valloss_compat._libraries.mmpose import MMPose


def test_pipeline_that_draws_targets_is_right():
    assert refused(config_of("mmpose", TOPDOWN, RIGHT)) == ""


def test_the_order_of_the_entries_of_a_model_does_not_matter():
    turned = dict(reversed(list(TOPDOWN.items())))
    assert refused(config_of("mmpose", turned, RIGHT)) == ""


def test_default_pipeline_is_told_what_to_add_and_where():
    default = [step for step in RIGHT if step is not TARGET]
    said = refused(config_of("mmpose", TOPDOWN, default))
    assert "there is no GenerateTarget" in said
    assert "right after TopdownAffine" in said


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        (
            ("LoadImage", TARGET, "TopdownAffine", "PackPoseInputs"),
            "targets would be drawn in the frame of the original image",
        ),
        (
            ("LoadImage", "TopdownAffine", "PackPoseInputs", TARGET),
            "targets are not packed",
        ),
        (("LoadImage", TARGET, "PackPoseInputs"), "there is no TopdownAffine"),
        (("LoadImage", "RandomHalfBody", *RIGHT[2:]), "moves the keypoints at random"),
        (("LoadImage", "BottomupResize", TARGET), "does not know what BottomupResize"),
        (
            (
                *RIGHT[:3],
                {"type": "GenerateTarget", "encoder": {**CODEC, "sigma": 3}},
                "PackPoseInputs",
            ),
            "but the head decodes with",
        ),
        (
            (
                *RIGHT[:3],
                {"type": "GenerateTarget", "encoder": [CODEC, CODEC]},
                "PackPoseInputs",
            ),
            "its encoder is None",
        ),
    ],
)
def test_targets_in_another_frame_or_form_are_refused(pipeline, said):
    assert said in refused(config_of("mmpose", TOPDOWN, pipeline))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"head": {"type": "RTMOHead"}}, "RTMOHead (head): its mode 'loss' raises"),
        ({"head": {"type": "YOLOXPoseHead"}}, "its loss is wrong without an error"),
        ({"type": "BottomupPoseEstimator"}, "BottomupPoseEstimator: its loss is wrong"),
        ({"head": {"type": "CPMHead"}}, "does not know CPMHead"),
        ({"head": {"type": "RTMCCHead"}}, "RTMCCHead (head): valloss_compat does not"),
    ],
)
def test_what_is_not_known_to_be_right_is_refused_by_name(changes, said):
    assert said in refused(config_of("mmpose", {**TOPDOWN, **changes}, RIGHT))


def person(keypoints, visible):
    instances = SimpleNamespace(
        keypoints=np.array(keypoints, float), keypoints_visible=np.array(visible, float)
    )
    return SimpleNamespace(gt_instances=instances)


def test_made_up_keypoints_of_a_detector_are_refused():
    annotated = person([[[4, 5], [0, 0]]], [[1, 0]])
    hidden = person([[[0, 0], [0, 0]]], [[0, 0]])
    batch = {"data_samples": [annotated, hidden]}
    assert MMPose().prepare(batch, []) is batch
    batch["data_samples"].append(person([[[0, 0], [0, 0]]], [[1, 1]]))
    with pytest.raises(UnsupportedError, match="bbox_file=None"):
        MMPose().prepare(batch, [])


def test_boxes_of_a_detector_are_refused_before_the_first_batch():
    config = config_of("mmpose", TOPDOWN, RIGHT)
    config["val_dataloader"]["dataset"]["bbox_file"] = "detections.json"
    assert "made-up keypoints" in refused(config)


def test_codecs_that_are_built_are_compared_by_their_settings():
    class MSRAHeatmap:
        def __init__(self, sigma):
            self.sigma, self.size = sigma, np.array([48, 64])

    from valloss_compat._libraries.mmpose import _codec

    same = [_codec(SimpleNamespace(it=MSRAHeatmap(sigma)), "it") for sigma in (2, 2, 3)]
    assert same[0] == same[1] != same[2]


def test_head_is_shared():
    head = object()
    model = SimpleNamespace(backbone=None, neck=None, head=head)
    assert MMPose().shared(model) == [head]
