"""What is said of mmdet's configs, and boxes and masks in the input's frame."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from adapters.configs import config_of, refused, steps
from valloss_compat.adapters import UnsupportedError, facts
from valloss_compat.adapters.mmdet import MMDet

RESIZE = {"type": "Resize", "scale": (1333, 800), "keep_ratio": True}
PACK = {
    "type": "PackDetInputs",
    "meta_keys": ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
}
LOAD = {"type": "LoadAnnotations", "with_bbox": True}
LOAD_MASKS = {**LOAD, "with_mask": True}
#: mmdet's own order, in which metrics rely on boxes of the original image.
DEFAULT = ("LoadImageFromFile", RESIZE, LOAD, PACK)
RETINA = {
    "type": "RetinaNet",
    "data_preprocessor": {"type": "DetDataPreprocessor"},
    "backbone": {"type": "ResNet", "norm_cfg": {"type": "BN"}},
    "bbox_head": {
        "type": "RetinaHead",
        "norm_cfg": {"type": "SomeNorm"},
        "loss_cls": {"type": "FocalLoss"},
    },
    "train_cfg": {"assigner": {"type": "MaxIoUAssigner"}},
    "test_cfg": {"nms": {"type": "nms"}},
}
MASK = {
    "type": "MaskRCNN",
    "roi_head": {"type": "StandardRoIHead", "mask_head": {"type": "FCNMaskHead"}},
}


def with_head(head, **more):
    return {**RETINA, "bbox_head": {"type": head}, **more}


def test_default_pipeline_of_a_known_detector_is_right():
    assert refused(config_of("mmdet", RETINA, DEFAULT)) == ""
    masks = ("LoadImageFromFile", RESIZE, "Pad", LOAD_MASKS, PACK)
    assert refused(config_of("mmdet", MASK, masks)) == ""


@pytest.mark.parametrize(
    ("model", "part"),
    [
        ({"type": "FCOS"}, "FCOS: its forward gives something else in eval mode"),
        (with_head("FCOSHead"), "FCOSHead (bbox_head): its forward gives"),
        ({"type": "CondInst"}, "CondInst: its forward"),
        ({"type": "DINO"}, "DINO: its mode 'loss' raises in eval mode"),
        ({"type": "DeformableDETR"}, "DeformableDETR: its mode 'loss' raises"),
        (with_head("VFNetHead"), "VFNetHead (bbox_head): its mode 'loss' raises"),
        ({"type": "Mask2Former"}, "Mask2Former: its loss draws random numbers"),
        ({"type": "FastRCNN"}, "FastRCNN: its loss takes the proposals out"),
        (
            {**MASK, "roi_head": {"type": "DynamicRoIHead"}},
            "DynamicRoIHead (roi_head): its loss changes what the training",
        ),
        (
            {**RETINA, "train_cfg": {"sampler": {"type": "ScoreHLRSampler"}}},
            "ScoreHLRSampler (train_cfg.sampler): its loss draws random numbers",
        ),
        (
            {**RETINA, "train_cfg": {"sampler": {"type": "MaskPseudoSampler"}}},
            "does not know MaskPseudoSampler",
        ),
        (
            with_head("RetinaHead", backbone={"type": "TridentResNet"}),
            "TridentResNet (backbone): its forward gives something else",
        ),
        (with_head("MyHead"), "valloss_compat does not know MyHead"),
        (with_head("PAAHead"), "valloss_compat does not know PAAHead"),
        (
            {**RETINA, "data_preprocessor": {"type": "MultiBranchDataPreprocessor"}},
            "does not know MultiBranchDataPreprocessor",
        ),
    ],
)
def test_what_is_not_known_to_be_right_is_refused_by_name(model, part):
    assert part in refused(config_of("mmdet", model, DEFAULT))


@pytest.mark.parametrize("loss", ["SeesawLoss", "EQLV2Loss", "GHMC"])
def test_losses_with_a_memory_are_refused(loss):
    model = {**RETINA, "bbox_head": {"type": "RetinaHead", "loss_cls": {"type": loss}}}
    said = refused(config_of("mmdet", model, DEFAULT))
    assert f"{loss} (bbox_head.loss_cls): its loss changes what the training" in said


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        (("LoadImageFromFile", RESIZE, PACK), "there is no LoadAnnotations"),
        (("LoadImageFromFile", RESIZE, LOAD), "there is no PackDetInputs"),
        (
            ("LoadImageFromFile", RESIZE, PACK, LOAD),
            "PackDetInputs comes before LoadAnnotations",
        ),
        (
            ("LoadImageFromFile", RESIZE, LOAD, RESIZE, PACK),
            "Resize comes twice",
        ),
        (
            ("LoadImageFromFile", RESIZE, "RandomFlip", LOAD, PACK),
            "RandomFlip (val_dataloader.dataset.pipeline): it may flip the image",
        ),
        (
            ("LoadImageFromFile", "FixScaleResize", LOAD, PACK),
            "does not know what FixScaleResize does to the ground truth",
        ),
        (
            ("LoadImageFromFile", "mylib.Resize", LOAD, PACK),
            "does not know what mylib.Resize does",
        ),
        (
            ("LoadImageFromFile", "Pad", RESIZE, LOAD, PACK),
            "Pad comes before Resize",
        ),
        (
            ("LoadImageFromFile", RESIZE, {**LOAD, "with_bbox": False}, PACK),
            "it loads no boxes",
        ),
        (
            ("LoadImageFromFile", RESIZE, {**LOAD, "box_type": "qbox"}, PACK),
            "boxes that are not of box_type='hbox'",
        ),
        (
            ("LoadImageFromFile", RESIZE, {**LOAD, "denorm_bbox": True}, PACK),
            "denorm_bbox multiplies boxes",
        ),
        (
            ("LoadImageFromFile", RESIZE, LOAD, {**PACK, "meta_keys": ("ori_shape",)}),
            "meta_keys lack 'scale_factor'",
        ),
        (
            (
                "LoadImageFromFile",
                {"type": "TestTimeAug", "transforms": [[RESIZE], [LOAD]]},
                PACK,
            ),
            "each image comes several times",
        ),
        (
            (
                "LoadImageFromFile",
                {"type": "TransformBroadcaster", "transforms": [RESIZE]},
                LOAD,
                PACK,
            ),
            "does not know what TransformBroadcaster does",
        ),
    ],
)
def test_pipelines_that_lose_the_frame_are_refused(pipeline, said):
    text = refused(config_of("mmdet", RETINA, pipeline))
    assert said in text
    assert "Way out: " in text


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        (DEFAULT, "it loads no masks, but the model has a mask head"),
        (
            ("LoadImageFromFile", RESIZE, LOAD_MASKS, "Pad", PACK),
            "LoadAnnotations comes between Resize and Pad",
        ),
    ],
)
def test_masks_have_to_be_loaded_and_padded_with_the_image(pipeline, said):
    assert said in refused(config_of("mmdet", MASK, pipeline))


def test_data_sets_that_are_joined_need_one_frame():
    config = config_of("mmdet", RETINA, DEFAULT)
    one = config["val_dataloader"]["dataset"]
    other = {**one, "pipeline": steps("LoadImageFromFile", LOAD, RESIZE, PACK)}
    config["val_dataloader"]["dataset"] = {
        "type": "ConcatDataset",
        "datasets": [one] * 2,
    }
    assert refused(config) == ""
    config["val_dataloader"]["dataset"]["datasets"] = [one, other]
    assert "into different frames" in refused(config)
    config["val_dataloader"]["dataset"] = {"type": "Opaque"}
    assert "it shows no pipeline" in refused(config)


def test_trust_lets_a_head_pass_that_no_table_knows():
    config = config_of("mmdet", with_head("MyHead"), DEFAULT)
    assert "ValLossHook(trust=['my.module.MyHead'])" in refused(config)
    assert refused(config, trust=["my.heads.MyHead"]) == ""
    assert "MyHead" in refused(config, trust=["MyHead"])  # as the hook itself has it


# ---- The frame -----------------------------------------------------------------------


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
    (transforms,) = facts.pipelines_of({"pipeline": steps(*pipeline)}, "mmdet")
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


def test_boxes_may_cross_the_border_where_training_lets_them():
    one = prepared(
        "LoadImageFromFile", {**RESIZE, "clip_object_border": False}, LOAD, PACK
    )
    assert one.gt_instances.bboxes.done == [("rescale", one.scale_factor)]


def test_sample_without_boxes_or_masks_is_left_as_it_is():
    one = sample()
    one.gt_instances.clear()
    (pipeline,) = facts.pipelines_of({"pipeline": steps(*DEFAULT)}, "mmdet")
    MMDet().prepare({"data_samples": [one]}, [pipeline])
    assert one.gt_instances == {}


def test_ground_truth_that_is_in_the_frame_is_left_alone():
    for pipeline in (
        ("LoadImageFromFile", LOAD, RESIZE, PACK),
        ("LoadImageFromFile", LOAD, PACK),
    ):
        one = prepared(*pipeline)
        assert one.gt_instances.bboxes.done == one.gt_instances.masks.done == []


def test_sample_that_does_not_tell_its_frame_is_refused():
    (pipeline,) = facts.pipelines_of({"pipeline": steps(*DEFAULT)}, "mmdet")
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
