"""What is said of the pipeline of a loss dataloader."""

from __future__ import annotations

import pytest

from libraries.configs import steps
from libraries.mmdet_configs import LOAD, LOAD_MASKS, MASK, PACK, RESIZE, RETINA
from libraries.mmpose_configs import RIGHT, TARGET, TOPDOWN
from libraries.mmseg_configs import FCN
from valloss_compat._libraries import adapter_for, components
from valloss_compat._libraries.pipelines import judge_loader

IMAGE = "LoadImageFromFile"
FLIP = {"type": "RandomFlip", "prob": 0.0}
PADDED = {
    **FCN,
    "data_preprocessor": {"type": "SegDataPreProcessor", "test_cfg": {"size": (8, 8)}},
}


def judged(library, model, pipeline, trust=(), **dataset):
    model = components.of_config(model, library)
    pipelines = components.pipelines_of(
        {"pipeline": steps(*pipeline), **dataset}, library
    )
    return judge_loader(adapter_for(model), model, pipelines, trust)


@pytest.mark.parametrize(
    ("library", "model", "pipeline", "prepare"),
    [
        ("mmdet", RETINA, (IMAGE, RESIZE, LOAD, PACK), True),
        ("mmdet", RETINA, (IMAGE, LOAD, RESIZE, FLIP, PACK), False),
        ("mmdet", MASK, (IMAGE, LOAD_MASKS, "FixScaleResize", PACK), False),
        ("mmseg", FCN, (IMAGE, RESIZE, "LoadAnnotations", "PackSegInputs"), True),
        ("mmseg", PADDED, (IMAGE, "LoadAnnotations", RESIZE, "PackSegInputs"), False),
        ("mmseg", PADDED, (IMAGE, "LoadAnnotations", "PackSegInputs"), False),
        ("mmpose", TOPDOWN, RIGHT, True),
        ("mmpose", TOPDOWN, (*RIGHT[:2], FLIP, *RIGHT[2:]), False),
        ("mmpretrain", {"type": "ImageClassifier"}, (IMAGE, "PackInputs"), True),
    ],
)
def test_ground_truth_in_the_frame_of_the_input_is_right(
    library, model, pipeline, prepare
):
    assert judged(library, model, pipeline) == (None, prepare)


@pytest.mark.parametrize(
    ("library", "model", "pipeline", "said"),
    [
        (
            "mmdet",
            RETINA,
            (IMAGE, "FixScaleResize", LOAD, PACK),
            "FixScaleResize comes before LoadAnnotations",
        ),
        ("mmdet", RETINA, (IMAGE, RESIZE, PACK), "there is no LoadAnnotations"),
        ("mmdet", RETINA, (IMAGE, LOAD, FLIP), "there is no PackDetInputs"),
        ("mmdet", RETINA, (IMAGE, LOAD, FLIP, PACK, RESIZE), "Resize comes after Pack"),
        ("mmdet", RETINA, (IMAGE, LOAD, "CenterCrop", PACK), "does not know the boxes"),
        (
            "mmdet",
            RETINA,
            (IMAGE, LOAD, {"type": "mmcv.Resize"}, FLIP, PACK),
            "does not know the boxes",
        ),
        ("mmdet", MASK, (IMAGE, LOAD, FLIP, RESIZE, PACK), "it loads no masks"),
        (
            "mmseg",
            PADDED,
            (IMAGE, RESIZE, "LoadAnnotations", "PackSegInputs"),
            "Resize comes before LoadAnnotations",
        ),
        (
            "mmseg",
            PADDED,
            (IMAGE, "Normalize", RESIZE, "LoadAnnotations", "PackSegInputs"),
            "Resize comes before LoadAnnotations",
        ),
        (
            "mmpose",
            TOPDOWN,
            ("LoadImage", TARGET, "TopdownAffine", FLIP, "PackPoseInputs"),
            "frame of the original image",
        ),
    ],
)
def test_ground_truth_in_another_frame_is_refused(library, model, pipeline, said):
    assert said in str(judged(library, model, pipeline).refusal)


@pytest.mark.parametrize("kind", ["lib.Resize", "lib.AddNoise"])
def test_a_trusted_transform_may_stand_after_the_boxes(kind):
    """The user answers for what it does to them."""
    trust = [f"lib.transforms.{kind.rpartition('.')[2]}"]
    pipeline = (IMAGE, LOAD, {"type": kind}, PACK)
    assert judged("mmdet", RETINA, pipeline, trust) == (None, False)


def test_made_up_persons_and_data_without_a_pipeline_are_refused():
    said = judged("mmpose", TOPDOWN, (*RIGHT[:2], FLIP, *RIGHT[2:]), bbox_file="x")
    assert "made-up keypoints" in str(said.refusal)
    model = components.of_config(RETINA, "mmdet")
    refusal = judge_loader(adapter_for(model), model, [], ()).refusal
    assert "shows no pipeline" in str(refusal)


@pytest.mark.parametrize(
    "kind",
    [
        "Albu",
        "BEiTMaskGenerator",
        "BioMedicalGaussianNoise",
        "CopyPaste",
        "Expand",
        "FilterAnnotations",
        "GaussianBlur",
        "MultiScaleFlipAug",
        "PhotoMetricDistortion",
        "PhotometricDistortion",
        "RandomFlip",
        "ShearX",
        "TestTimeAug",
    ],
)
def test_what_draws_is_on_no_list(kind):
    for library, model in (("mmdet", RETINA), ("mmseg", FCN), ("mmpose", TOPDOWN)):
        assert kind in judged(library, model, (IMAGE, kind)).refusal.component


def test_an_image_in_place_of_one_that_cannot_be_read_is_another():
    empty = {"type": IMAGE, "ignore_empty": True}
    pipeline = (empty, RESIZE, LOAD, PACK)
    assert "ignore_empty" in str(judged("mmdet", RETINA, pipeline).refusal)
    assert judged("mmdet", RETINA, pipeline, test_mode=True).refusal is None
