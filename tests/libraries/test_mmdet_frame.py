"""Boxes and masks of mmdet in the input's frame, and what its models share."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from libraries.configs import steps
from libraries.mmdet_configs import DEFAULT, LOAD, LOAD_MASKS, PACK, RESIZE
from valloss_compat._libraries import UnsupportedError, components
from valloss_compat._libraries.mmdet import MMDet


class Boxes:
    """Keeps what mmdet's boxes are asked to do."""

    def __init__(self):
        self.done = []

    def rescale_(self, factor):
        self.done.append(("rescale", factor))

    def clip_(self, size):
        self.done.append(("clip", size))


class Masks(Boxes):
    def resize(self, size):
        self.done.append(("resize", size))
        return self

    def pad(self, size, pad_val):
        self.done.append(("pad", size, pad_val))
        return self


class Instances(dict):
    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


class Sample(dict):
    __getattr__ = dict.__getitem__


def sample():
    """An image of 90 x 120 that was resized to 128 x 171 and padded to a square."""
    return Sample(
        ori_shape=(90, 120),
        img_shape=(192, 192),
        scale_factor=(171 / 120, 128 / 90),
        gt_instances=Instances(bboxes=Boxes(), masks=Masks()),
        ignored_instances=Instances(bboxes=Boxes()),
    )


def prepared(*pipeline):
    one = sample()
    (transforms,) = components.pipelines_of({"pipeline": steps(*pipeline)}, "mmdet")
    MMDet().prepare({"data_samples": [one]}, [transforms])
    return one


def test_boxes_and_masks_of_a_resized_image_follow_it():
    one = prepared("LoadImageFromFile", RESIZE, LOAD_MASKS, PACK)
    moved = [("rescale", one.scale_factor), ("clip", (128, 171))]
    assert one.gt_instances.bboxes.done == moved
    assert one.ignored_instances.bboxes.done == moved
    assert one.gt_instances.masks.done == [("resize", (128, 171))]


def test_masks_of_a_padded_image_are_padded():
    pad = {"type": "Pad", "pad_val": {"img": 114, "masks": 2}}
    one = prepared("LoadImageFromFile", RESIZE, pad, LOAD_MASKS, PACK)
    assert one.gt_instances.masks.done[1:] == [("pad", (192, 192), 2)]
    one = prepared("LoadImageFromFile", RESIZE, {**pad, "pad_val": 5}, LOAD_MASKS, PACK)
    assert one.gt_instances.masks.done[1:] == [("pad", (192, 192), 0)]
    pad["pad_val"] = {"img": 114}
    one = prepared("LoadImageFromFile", RESIZE, pad, LOAD_MASKS, PACK)
    assert one.gt_instances.masks.done[1:] == [("pad", (192, 192), 0)]


def test_shapes_may_tell_the_channels_as_well():
    """As some transforms leave them."""
    one = sample()
    one.update(ori_shape=(90, 120, 3), img_shape=(192, 192, 3))
    pipeline = steps("LoadImageFromFile", RESIZE, "Pad", LOAD_MASKS, PACK)
    (transforms,) = components.pipelines_of({"pipeline": pipeline}, "mmdet")
    MMDet().prepare({"data_samples": [one]}, [transforms])
    assert one.gt_instances.masks.done == [
        ("resize", (128, 171)),
        ("pad", (192, 192), 0),
    ]


def test_boxes_may_cross_the_border_where_training_lets_them():
    one = prepared(
        "LoadImageFromFile", {**RESIZE, "clip_object_border": False}, LOAD, PACK
    )
    assert one.gt_instances.bboxes.done == [("rescale", one.scale_factor)]


def test_sample_without_boxes_or_masks_is_left_as_it_is():
    one = sample()
    one.gt_instances.clear()
    (pipeline,) = components.pipelines_of({"pipeline": steps(*DEFAULT)}, "mmdet")
    MMDet().prepare({"data_samples": [one]}, [pipeline])
    assert one.gt_instances == {}


def test_ground_truth_that_is_in_the_frame_is_left_alone():
    for pipeline in (
        ("LoadImageFromFile", LOAD, RESIZE, PACK),
        ("LoadImageFromFile", LOAD, PACK),
        ("LoadImageFromFile", LOAD_MASKS, RESIZE, "Pad", PACK),
    ):
        one = prepared(*pipeline)
        assert one.gt_instances.bboxes.done == one.gt_instances.masks.done == []


def test_sample_that_does_not_tell_its_frame_is_refused():
    (pipeline,) = components.pipelines_of({"pipeline": steps(*DEFAULT)}, "mmdet")
    one = sample()
    del one["scale_factor"]
    with pytest.raises(UnsupportedError, match="lack 'scale_factor'"):
        MMDet().prepare({"data_samples": [one]}, [pipeline])


@pytest.mark.parametrize("pad_mask", [True, False])
def test_masks_are_padded_like_the_inputs_only_where_training_does(pad_mask):
    padded = []

    class Preprocessor:
        def __init__(self):
            self.pad_mask = pad_mask

        def __call__(self, batch, training):
            assert not training  # batch augmentations are drawn
            return batch

        def pad_gt_masks(self, samples):
            padded.extend(samples)

    model = SimpleNamespace(data_preprocessor=Preprocessor())
    MMDet().preprocess(model, {"data_samples": ["one"]}, False)
    assert padded == (["one"] if pad_mask else [])


def test_heads_that_see_the_same_features_are_shared():
    head, neck = object(), object()
    one_stage = SimpleNamespace(backbone=None, neck=neck, bbox_head=head)
    assert MMDet().shared(one_stage) == [neck, head]
    two_stage = SimpleNamespace(backbone=neck, rpn_head=head, roi_head=object())
    assert MMDet().shared(two_stage) == [neck, head]
