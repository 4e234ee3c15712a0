"""What is said of mmseg's configs."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from mmengine.structures import PixelData

from libraries.configs import config_of, refused, steps
from libraries.mmseg_configs import DEFAULT, FCN, LOAD, RESIZE
from valloss_compat._libraries import components
from valloss_compat._libraries.mmseg import MMSeg


def test_default_pipeline_of_a_known_segmentor_is_right():
    assert refused(config_of("mmseg", FCN, DEFAULT)) == ""
    first = (LOAD, "LoadImageFromFile", RESIZE, "PackSegInputs")
    assert refused(config_of("mmseg", FCN, first)) == ""


@pytest.mark.parametrize("kind", ["ABackbone", "ZBackbone"])
def test_a_test_cfg_of_another_part_pads_nothing(kind):
    backbone = {"type": kind, "test_cfg": {"size_divisor": 32}}
    assert refused(config_of("mmseg", {**FCN, "backbone": backbone}, DEFAULT)) == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"backbone": {"type": "DDRNet"}}, "DDRNet (backbone): in eval mode it gives"),
        ({"backbone": {"type": "PIDNet"}}, "PIDNet (backbone): in eval mode it gives"),
        (
            {"decode_head": {"type": "EMAHead"}},
            "EMAHead (decode_head): its steps depend",
        ),
        ({"decode_head": {"type": "LightHamHead"}}, "LightHamHead (decode_head)"),
        ({"decode_head": {"type": "Mask2FormerHead"}}, "its loss draws random points"),
        (
            {"decode_head": [{"type": "FCNHead"}, {"type": "PointHead"}]},
            "PointHead (decode_head.1): its loss draws",
        ),
        ({"decode_head": {"type": "IterativeDecodeHead"}}, "IterativeDecodeHead"),
        ({"decode_head": {"type": "ANNHead"}}, "does not know ANNHead"),
        (
            {
                "decode_head": {
                    "type": "FCNHead",
                    "sampler": {"type": "OHEMPixelSampler"},
                }
            },
            "does not know OHEMPixelSampler",
        ),
        ({"type": "MultimodalEncoderDecoder"}, "its input is padded"),
        (
            {
                "data_preprocessor": {
                    "type": "SegDataPreProcessor",
                    "test_cfg": {"size_divisor": 32},
                }
            },
            "its test_cfg ({'size_divisor': 32}) pads the inputs",
        ),
    ],
)
def test_what_is_not_known_to_be_right_is_refused_by_name(changes, said):
    assert said in refused(config_of("mmseg", {**FCN, **changes}, DEFAULT))


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        (("LoadImageFromFile", RESIZE, "PackSegInputs"), "there is no LoadAnnotations"),
        (("LoadImageFromFile", RESIZE, LOAD), "there is no PackSegInputs"),
        (
            ("LoadImageFromFile", "PackSegInputs", LOAD),
            "PackSegInputs comes before LoadAnnotations",
        ),
        (
            ("LoadImageFromFile", RESIZE, LOAD, "Pad", "PackSegInputs"),
            "the label map of a padded image",
        ),
        (
            ("LoadImageFromFile", "ResizeToMultiple", LOAD, "PackSegInputs"),
            "does not know what ResizeToMultiple does",
        ),
        (
            (
                "LoadImageFromFile",
                {**RESIZE, "backend": "pillow"},
                LOAD,
                "PackSegInputs",
            ),
            "its backend is not 'cv2'",
        ),
    ],
)
def test_pipelines_without_a_map_of_the_input_are_refused(pipeline, said):
    assert said in refused(config_of("mmseg", FCN, pipeline))


def test_data_sets_that_are_joined_need_one_size():
    config = config_of("mmseg", FCN, DEFAULT)
    one = config["val_dataloader"]["dataset"]
    turned = [one["pipeline"][index] for index in (0, 2, 1, 3)]
    config["val_dataloader"]["dataset"] = {
        "type": "ConcatDataset",
        "datasets": [one, {**one, "pipeline": turned}],
    }
    assert "into different frames" in refused(config)


def prepared(*pipeline):
    """A map of 2 x 3 whose image is one of 4 x 6."""
    labels = torch.tensor([[[0, 1, 255], [3, 4, 5]]])
    sample = SimpleNamespace(gt_sem_seg=PixelData(data=labels))
    (transforms,) = components.pipelines_of({"pipeline": steps(*pipeline)}, "mmseg")
    batch = {"inputs": [torch.zeros(3, 4, 6)], "data_samples": [sample]}
    MMSeg().prepare(batch, [transforms])
    return sample.gt_sem_seg.data


def test_label_map_gets_the_size_of_the_input_by_its_nearest_labels():
    labels = prepared(*DEFAULT)
    assert labels.dtype == torch.int64
    assert labels.tolist() == [
        [[0, 0, 1, 1, 255, 255]] * 2 + [[3, 3, 4, 4, 5, 5]] * 2,
    ]


def test_label_map_that_was_resized_with_the_image_is_left_alone():
    for pipeline in (("LoadImageFromFile", LOAD, RESIZE), ("LoadImageFromFile", LOAD)):
        assert prepared(*pipeline, "PackSegInputs").shape[1:] == (2, 3)


def test_each_stage_of_a_cascade_is_shared():
    one, two = object(), object()
    cascade = SimpleNamespace(backbone=None, neck=None, decode_head=[one, two])
    assert MMSeg().shared(cascade) == [one, two]
    for test_cfg in (None, {}, {"mode": "whole"}):
        whole = SimpleNamespace(
            backbone=None, neck=None, decode_head=one, test_cfg=test_cfg
        )
        assert MMSeg().shared(whole) == [one]


def test_nothing_is_shared_in_slide_mode():
    """Crops are not what the loss is of; each would be copied in vain."""
    slide = SimpleNamespace(
        backbone=object(), decode_head=object(), test_cfg={"mode": "slide"}
    )
    assert MMSeg().shared(slide) == []


@pytest.mark.parametrize(
    ("test_cfg", "from_loader", "training"),
    [
        ({"size_divisor": 32}, True, True),
        ({"size_divisor": 32}, False, False),
        (None, True, False),
    ],
)
def test_a_padded_loss_batch_is_padded_as_in_training(test_cfg, from_loader, training):
    """With its label maps; mmseg pads only inputs where it does not train."""

    class Preprocessor:
        def __init__(self):
            self.test_cfg = test_cfg

        def __call__(self, batch, flag):
            return batch, flag

    model = SimpleNamespace(data_preprocessor=Preprocessor())
    assert MMSeg().preprocess(model, "batch", from_loader) == ("batch", training)
