"""Which rules a model gets, and what those without data of their own do."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData

from libraries.configs import library_class
from valloss_compat._libraries.models import preprocess


class Preprocessor:
    """Returns the batch as it is, and notes in which mode it is called."""

    def __init__(self):
        self.flags = []

    def __call__(self, batch, training):
        self.flags.append(training)
        return batch


class YOLOv5DetDataPreprocessor(Preprocessor):
    """The one of mmyolo, by its name."""


def _prepared(library, data, preprocessor=Preprocessor, model=None, **attributes):
    """Run the data preprocessor of a model of a library."""
    if model is None:
        model = library_class(f"{library}.models.a.b", "Model")()
    model.data_preprocessor = preprocessor()
    vars(model).update(attributes)
    return preprocess(model, data)


def _text(size=(20, 50)):
    """Return a batch of a text detector, whose rule shows in its metainfo."""
    sample = BaseDataElement(metainfo={"img_shape": size})
    return {"inputs": torch.zeros(1, 3, 32, 64), "data_samples": [sample]}


def test_rules_are_those_of_the_library_of_class_or_base():
    """A user's class in a module of its own works by the rules of its base."""
    base = library_class("mmocr.models.a.b", "Model")
    own = library_class("projects.mine", "Own", base)
    for model in (base(), own()):
        (sample,) = _prepared("", _text(), model=model, det_head=1)["data_samples"]
        assert sample.img_shape == (32, 64)


def test_rules_of_the_first_base_in_a_library_count():
    """As mmyolo's detectors derive from those of mmdet."""
    recogniser = library_class("mmocr.models", "Recogniser")
    yolo = library_class("mmyolo.models", "YOLODetector", recogniser)
    (sample,) = _prepared("", _text(), model=yolo(), det_head=1)["data_samples"]
    assert sample.img_shape == (20, 50)


@pytest.mark.parametrize(
    "library", ["mmaction", "mmdet", "mmdet3d", "mmpose", "mmseg", "mine"]
)
def test_any_other_library_takes_a_batch_as_it_is(library):
    batch = _text()
    assert _prepared(library, batch, det_head=1) is batch
    assert batch["data_samples"][0].img_shape == (20, 50)


@pytest.mark.parametrize("library", ["mmocr", "mmpretrain", "mmseg", "mmyolo", "mine"])
def test_only_the_preprocessor_of_mmyolo_is_called_as_in_a_validation(library):
    """In training it takes batches of another form."""
    model = library_class(f"{library}.models", "Model")()
    _prepared("", {"data_samples": []}, model=model)
    assert model.data_preprocessor.flags == [library != "mmyolo"]


class Sample(dict):
    """A data sample of mmpretrain."""

    def set_gt_score(self, score):
        self["gt_score"] = score


def test_one_hot_labels_become_numbers_as_in_training():
    """F.cross_entropy takes no integers for them."""
    integers, floats = torch.tensor([0, 1]), torch.tensor([0.5, 0.5])
    samples = [Sample(gt_score=integers), Sample(gt_score=floats), Sample(gt_label=1)]
    data = {"data_samples": samples}
    assert _prepared("mmpretrain", data) is data
    assert samples[0]["gt_score"].dtype is torch.float32
    assert samples[0]["gt_score"].tolist() == [0, 1]
    assert samples[1]["gt_score"] is floats
    assert samples[2] == {"gt_label": 1}


@pytest.mark.parametrize("data", [{"inputs": 1}, {"data_samples": None}])
def test_batch_without_data_samples_is_left_as_it_is(data):
    before = dict(data)
    assert _prepared("mmpretrain", data) == before


def _detected(boxes, **fields):
    instances = InstanceData(
        bboxes=torch.tensor(boxes).reshape(-1, 4), labels=torch.arange(len(boxes))
    )
    for name, value in fields.items():
        instances.set_field(value, name)
    return BaseDataElement(gt_instances=instances)


def _of_mmyolo(data, preprocessor=YOLOv5DetDataPreprocessor):
    return _prepared("mmyolo", data, preprocessor)


def test_boxes_of_mmyolo_are_one_table_as_in_training():
    samples = [_detected([[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]]), _detected([])]
    data = {"inputs": torch.ones(2, 3, 8, 6), "data_samples": samples}
    found = _of_mmyolo(data)["data_samples"]
    assert found["bboxes_labels"].tolist() == [
        [0.0, 0.0, 0.0, 1.0, 2.0, 3.0],
        [0.0, 1.0, 4.0, 5.0, 6.0, 7.0],
    ]
    assert found["img_metas"] == [{"batch_input_shape": (8, 6)}] * 2
    assert set(found) == {"bboxes_labels", "img_metas"}
    assert data["data_samples"] is samples


def test_masks_and_keypoints_of_mmyolo_are_joined_as_in_training():
    points = torch.ones(1, 17, 2)
    samples = [
        _detected([[0.0, 1.0, 2.0, 3.0]], masks=torch.ones(1, 4, 4), keypoints=points),
        _detected([[0.0, 1.0, 2.0, 3.0]], keypoints=points),
    ]
    samples[1].gt_panoptic_seg = SimpleNamespace(pan_seg=torch.zeros(1, 4, 4))
    data = {"inputs": torch.ones(2, 3, 4, 4), "data_samples": samples}
    found = _of_mmyolo(data)["data_samples"]
    assert found["masks"].shape == (2, 4, 4)
    assert found["keypoints"].shape == (2, 17, 2)


@pytest.mark.parametrize(
    ("samples", "preprocessor"),
    [
        ([_detected([])], Preprocessor),
        ({"bboxes_labels": 1}, YOLOv5DetDataPreprocessor),
    ],
)
def test_other_batches_of_mmyolo_are_left_as_they_are(samples, preprocessor):
    """Models with a preprocessor of mmdet, and batches that were collated before."""
    data = {"inputs": torch.ones(1, 3, 4, 4), "data_samples": samples}
    assert _of_mmyolo(data, preprocessor) is data


@pytest.mark.parametrize(
    ("heads", "size"), [({"det_head": 1}, (32, 64)), ({}, (20, 50))]
)
def test_text_detectors_draw_targets_of_the_size_of_the_input(heads, size):
    """The input is padded, and their targets have the size of ``img_shape``."""
    data = _text()
    assert _prepared("mmocr", data, **heads) is data
    assert data["data_samples"][0].img_shape == size
