"""Whether the batches of a validation have any ground truth."""

from __future__ import annotations

import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData
from torch.utils.data import DataLoader, Dataset

from loss_forward.models import Classifier, Points, collate, hook, make_runner

pytestmark = pytest.mark.slow  # asks little of mmengine


class Boxes(Dataset):
    """Samples with a number of boxes each."""

    metainfo = {}  # noqa: RUF012

    def __init__(self, *numbers):
        self.numbers = numbers

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, index):
        boxes = InstanceData(boxes=torch.ones(self.numbers[index], 4))
        sample = BaseDataElement(gt_instances=boxes, gt=torch.tensor(0))
        return {"inputs": torch.ones(4), "data_samples": sample}


class Detector(Classifier):
    def loss(self, scores, data_samples):
        boxes = torch.cat([one.gt_instances.boxes for one in data_samples])
        return {"loss": boxes.sum() + scores.pow(2).mean()}


class NoGroundTruth(Boxes):
    def __getitem__(self, index):
        item = super().__getitem__(index)
        del item["data_samples"].gt
        return item


class Plain(Detector):
    def predict(self, scores, data_samples):
        for sample, score in zip(data_samples, scores):
            sample.pred, sample.gt = score, torch.tensor(0)
        return data_samples


@pytest.mark.parametrize(
    ("numbers", "reported"), [((0, 0, 0), True), ((0, 0, 1), False), ((1, 0), False)]
)
def test_a_validation_without_any_object_is_reported(
    tmp_path, logged, numbers, reported
):
    data = DataLoader(NoGroundTruth(*numbers), 1, collate_fn=collate)
    runner = make_runner(
        tmp_path, hook(), model=Plain(), val_dataloader=data, log_level="INFO"
    )
    assert runner.val()["val_loss"] > 0
    assert ("no batch of this validation had any ground truth" in logged()) is reported


def test_a_validation_of_plain_tensors_is_not_reported(tmp_path, logged):
    class OfTensors(Classifier):
        def forward(self, inputs, data_samples=None, mode="tensor"):
            scores = self.head(self.backbone(torch.stack(list(inputs))))
            if mode == "loss":
                return {"loss": scores.pow(2).mean()}
            one = BaseDataElement(pred=scores[0], gt=torch.tensor(0))
            return [one]

    class Inputs(Points):
        def __getitem__(self, index):
            return {"inputs": super().__getitem__(index)["inputs"]}

    data = DataLoader(Inputs(), 4, collate_fn=collate)
    runner = make_runner(
        tmp_path, hook(), model=OfTensors(), val_dataloader=data, log_level="INFO"
    )
    assert runner.val()["val_loss"] > 0
    assert "had any ground truth" not in logged()
