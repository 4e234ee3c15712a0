"""What is said of mmdet's configs."""

from __future__ import annotations

import pytest

from libraries.configs import config_of, refused, steps
from libraries.mmdet_configs import (
    DEFAULT,
    LOAD,
    LOAD_MASKS,
    MASK,
    PACK,
    RESIZE,
    RETINA,
)


def with_head(head, **more):
    return {**RETINA, "bbox_head": {"type": head}, **more}


def test_default_pipeline_of_a_known_detector_is_right():
    assert refused(config_of("mmdet", RETINA, DEFAULT)) == ""
    masks = ("LoadImageFromFile", RESIZE, "Pad", LOAD_MASKS, PACK)
    assert refused(config_of("mmdet", MASK, masks)) == ""
    assert (
        refused(config_of("mmdet", RETINA, (*DEFAULT[:2], "LoadAnnotations", PACK)))
        == ""
    )


@pytest.mark.parametrize(
    "pipeline",
    [
        (LOAD_MASKS, RESIZE, "Pad"),
        (LOAD_MASKS,),
    ],
)
def test_nobody_asks_how_far_an_image_was_resized_that_its_masks_follow(pipeline):
    pack = {**PACK, "meta_keys": ("img_id",)}
    assert (
        refused(config_of("mmdet", MASK, ("LoadImageFromFile", *pipeline, pack))) == ""
    )


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
            ("LoadImageFromFile", RESIZE, {**LOAD, "box_type": "circle"}, PACK),
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
