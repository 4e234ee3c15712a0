"""Test-time augmentation of a model that appends its loss element."""

from __future__ import annotations

import pytest
import torch
from mmengine import model as models
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from support.tiny import Seen, collate, element, make_runner

import valloss_compat

pytestmark = pytest.mark.skipif(
    not hasattr(models, "BaseTTAModel"),
    reason="BaseTTAModel came with mmengine 0.3.0",
)
BaseTTAModel = getattr(models, "BaseTTAModel", BaseModel)


class Net(BaseModel):
    """Appends a loss element, or not."""

    def __init__(self, appends):
        super().__init__()
        self.appends = appends

    def forward(self, inputs, mode="tensor"):
        result = [BaseDataElement(score=float(image)) for image in inputs]
        loss = [element(loss=torch.tensor(1.0))] if self.appends else []
        return result + loss


class Mean(BaseTTAModel):
    """Averages the scores of the views of each sample."""

    def merge_preds(self, data_samples_list):
        return [
            BaseDataElement(score=sum(view.score for view in views) / len(views))
            for views in data_samples_list
        ]


class Doubled(Mean):
    """Overrides the method and calls its base's."""

    def merge_preds(self, data_samples_list):
        merged = super().merge_preds(data_samples_list)
        return [BaseDataElement(score=2 * sample.score) for sample in merged]


class Views(torch.utils.data.Dataset):
    """Two views of each sample: its index, and its index plus two."""

    metainfo = {}  # noqa: RUF012

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index >= 4:
            raise IndexError(index)
        return {"inputs": [torch.tensor(index + 0.0), torch.tensor(index + 2.0)]}


def collate_views(items):
    """Collate each field to one list a view, as ``pseudo_collate`` does."""
    batch = collate(items)
    return {key: [list(view) for view in zip(*values)] for key, values in batch.items()}


class Scores(Seen):
    """Records the scores."""

    def process(self, data_batch, data_samples):
        super().process(data_batch, [sample["score"] for sample in data_samples])


@pytest.mark.parametrize(("cls", "factor"), [(Mean, 1.0), (Doubled, 2.0)])
@pytest.mark.parametrize("appends", [False, True])
def test_augmented_predictions_are_merged_without_the_loss(
    tmp_path, cls, factor, appends
):
    """Metrics get the scores that a model without a loss element has."""
    valloss_compat.apply(mode="default")
    loader = torch.utils.data.DataLoader(
        Views(), batch_size=2, collate_fn=collate_views
    )
    metric = Scores()
    runner = make_runner(
        tmp_path,
        None,
        model=cls(Net(appends)),
        test_dataloader=loader,
        test_evaluator=[metric],
    )
    assert isinstance(runner, Runner)
    assert runner.test() == {"n/seen": 4.0}
    scores = [score / factor for batch in metric.samples for score in batch]
    assert scores == [1.0, 2.0, 3.0, 4.0]


def test_predictions_without_a_loss_element_are_merged_unchanged():
    """Also an empty list."""
    model = Mean(Net(False))
    assert model.merge_preds([]) == []
    (merged,) = model.merge_preds([(BaseDataElement(score=3.0),)])
    assert merged.score == 3.0


def test_predictions_of_another_kind_are_merged_as_they_are():
    """A model may call its merge_preds with what it likes."""

    class Stacks(BaseTTAModel):
        def merge_preds(self, data_samples_list):
            return data_samples_list

    model = Stacks(Net(False))
    for predictions in (torch.ones(2, 3), [torch.ones(2)], ((),), None):
        assert model.merge_preds(predictions) is predictions
