"""A validation on the boxes of a detector: the losses get the annotated ones."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import DATASETS, TRANSFORMS
from torch.utils.data import DataLoader, IterableDataset

from loss_forward.models import hook
from loss_forward.views import (
    TRAINING,
    VALIDATION,
    Boxes,
    Detector,
    Given,
    Letterbox,
    LoadAnnotations,
    LoadImage,
    PackInputs,
    Resize,
    dataset_of,
    detector_runner,
    known_losses,
    loader_of,
)
from valloss_compat._loss_forward.loss_data import (
    LossData,
    data_for_losses,
    training_of,
)
from valloss_compat.errors import UnsupportedError


class Detected(Boxes):
    """As a dataset of mmpose: with a file of boxes, nothing is annotated."""

    def __init__(self, bbox_file=None, **options):
        self.bbox_file = bbox_file
        super().__init__(**options)

    def boxes(self, index, width, height):
        found = super().boxes(index, width, height)
        return [[0, 0, 0, 0]] * 3 if self.bbox_file else found


class Joined(Boxes):
    """A dataset of one, or of several."""

    def __init__(self, dataset=None, datasets=(), **options):
        parts = [dataset] if dataset is not None else list(datasets)
        self.datasets = [DATASETS.build(part) for part in parts]
        super().__init__(ann_file="", pipeline=list(VALIDATION), test_mode=True)

    def load_data_list(self):
        return self.datasets[0].load_data_list()


@pytest.fixture(autouse=True)
def _datasets(monkeypatch):
    for kind in (Detected, Joined):
        monkeypatch.setitem(DATASETS._module_dict, kind.__name__, kind)


def config(**changes):
    """A val_dataloader whose boxes come from a file."""
    return {
        "dataset": {
            "type": "Detected",
            "bbox_file": "detected.json",
            "ann_file": "",
            "test_mode": True,
            "pipeline": [
                {"type": type(step)} if not isinstance(step, dict) else step
                for step in VALIDATION
            ],
            **changes,
        },
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "batch_size": 2,
        "num_workers": 0,
    }


def test_the_losses_get_a_data_loader_of_annotated_boxes(tmp_path, logged):
    dataloader = config()
    kept = copy.deepcopy(dataloader)
    runner = detector_runner(
        tmp_path, hook(), val_dataloader=dataloader, log_level="INFO"
    )
    known = known_losses()["val_loss"]
    assert runner.val()["val_loss"] == pytest.approx(known, rel=1e-6)
    assert dataloader == kept
    assert runner.val_loop.dataloader.dataset.bbox_file == "detected.json"
    line = (
        "the loss gets annotated boxes (bbox_file=None) from another data loader; "
        "LoadAnnotations right behind the image"
    )
    assert logged().count(line) == 1


def test_another_strategy_makes_no_data_loader(tmp_path):
    loss = hook(strategy="second_forward")
    runner = detector_runner(tmp_path, loss, val_dataloader=config())
    with pytest.raises(UnsupportedError, match="placeholder keypoints"):
        runner.val()


def config_for_losses(validation, strategy="auto", dataloader=None):
    """Return the config of the data loader that the losses get of their own."""
    found = []

    def load(config):
        found.append(config)
        return []

    options = {"strategy": strategy, "dataloader": dataloader}
    data_for_losses(options, validation, (), load)
    return found[0]


def test_a_built_data_loader_of_detected_boxes_is_rejected():
    dataset = Detected("a.json", ann_file="", pipeline=list(VALIDATION), test_mode=True)
    with pytest.raises(UnsupportedError, match="bbox_file: its boxes come from a det"):
        LossData([loader_of(dataset=dataset)])
    assert config_for_losses(loader_of(dataset=dataset)) is None


def test_the_file_is_removed_from_datasets_within_datasets():
    inner = config()["dataset"]
    other = {**inner, "bbox_file": None}
    whole = config()
    whole["dataset"] = {
        "type": "Joined",
        "dataset": {"type": "Joined", "datasets": [other, inner]},
    }
    found = config_for_losses(whole)
    first, second = found["dataset"]["dataset"]["datasets"]
    assert first["bbox_file"] is None
    assert second["bbox_file"] is None
    assert inner["bbox_file"] == "detected.json"


@pytest.mark.parametrize(
    ("strategy", "given"), [("auto", None), ("second_forward", None), ("dataloader", 1)]
)
def test_annotated_boxes_need_no_other_data_loader(strategy, given):
    plain = config(bbox_file=None)
    assert config_for_losses(plain, strategy, given) == given
    assert config_for_losses(config(), "second_forward") is None


def test_a_runner_for_validation_alone_reads_the_train_pipeline(tmp_path, monkeypatch):
    """Its train_dataloader is not built, and stands in its config."""
    validation = loader_of(LoadImage(), Resize(), PackInputs())
    steps = ("ViewsLoadImage", "LoadAnnotations", "ViewsResize")
    train = config(pipeline=[{"type": kind} for kind in steps])
    monkeypatch.setitem(TRANSFORMS._module_dict, "LoadAnnotations", LoadAnnotations)
    options = {"train_dataloader": None, "train_cfg": None, "optim_wrapper": None}
    runner = detector_runner(
        tmp_path,
        hook(),
        val_dataloader=validation,
        cfg={"train_dataloader": train},
        **options,
    )
    known = known_losses()["val_loss"]
    assert runner.val()["val_loss"] == pytest.approx(known, rel=1e-6)


@pytest.mark.parametrize("detected", [None, "detected.json"])
def test_a_test_has_a_data_loader_of_its_own(tmp_path, detected):
    """That of the validation says nothing of the test."""
    runner = detector_runner(
        tmp_path,
        hook(test=True),
        val_dataloader=config(),
        test_dataloader=config(bbox_file=detected, indices=[0, 2]),
        test_cfg={},
        test_evaluator=[Given()],
    )
    known = known_losses()["val_loss"]
    assert runner.val()["val_loss"] == pytest.approx(known, rel=1e-6)
    part = known_losses(dataset=dataset_of(*TRAINING, indices=[0, 2]))["val_loss"]
    assert runner.test()["test_loss"] == pytest.approx(part, rel=1e-6)


def test_a_data_loader_of_two_loops_is_restored(tmp_path):
    shared = loader_of(*VALIDATION)
    own = shared.dataset
    runner = detector_runner(
        tmp_path,
        hook(test=True),
        val_dataloader=shared,
        test_dataloader=shared,
        test_cfg={},
        test_evaluator=[Given()],
    )
    for run in (runner.val, runner.test):
        run()
        assert shared.dataset is own


class Failing(Detector):
    """Raises in one mode."""

    def __init__(self, fails):
        super().__init__()
        self.fails = fails

    def forward(self, inputs, data_samples=None, mode="tensor"):
        if mode == self.fails:
            raise KeyboardInterrupt if mode == "predict" else ValueError
        return super().forward(inputs, data_samples, mode)


@pytest.mark.parametrize(
    ("fails", "run", "error"),
    [
        ("predict", "val", KeyboardInterrupt),
        ("loss", "val", UnsupportedError),
        ("loss", "train", UnsupportedError),  # before the training
    ],
)
def test_a_data_loader_is_restored_if_a_run_fails(tmp_path, fails, run, error):
    own = loader_of().dataset
    runner = detector_runner(
        tmp_path, hook(), model=Failing(fails), val_dataloader=loader_of(dataset=own)
    )
    with pytest.raises(error):
        getattr(runner, run)()
    assert runner.val_dataloader.dataset is own
    assert "val_step" not in vars(runner.model)


def test_a_data_loader_is_as_it_was_if_its_samples_are_rejected(tmp_path):
    steps = LoadImage(), Letterbox(9, 9, False), LoadAnnotations(), PackInputs()
    own = dataset_of(*steps)
    runner = detector_runner(tmp_path, hook(), val_dataloader=loader_of(dataset=own))
    with pytest.raises(UnsupportedError):
        runner.val()
    assert runner.val_dataloader.dataset is own


class Endless(IterableDataset):
    """A training without a length."""

    def __iter__(self):
        return iter([])


def test_a_training_without_a_length_has_no_transforms():
    runner = SimpleNamespace(_train_dataloader=DataLoader(Endless()), cfg={})
    assert training_of(runner) == []


def test_data_loaders_of_one_loop_have_two_views_alike():
    """As those of mmagic's MultiValLoop: one in the order of a training."""
    dataloaders = [loader_of(*VALIDATION), loader_of(*TRAINING)]
    data = LossData(dataloaders)
    data.install()
    for dataloader in dataloaders:
        for batch in dataloader:
            boxes = [sample.gt_bboxes for sample in data.take(batch)["data_samples"]]
            expected = [dataset_of(*TRAINING)[s.index] for s in batch["data_samples"]]
            for box, one in zip(boxes, expected):
                assert torch.equal(box, one["data_samples"].gt_bboxes)
