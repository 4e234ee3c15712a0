"""The second view of each validation sample: ground truth in the input's frame."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from mmengine.dataset import (
    ClassBalancedDataset,
    ConcatDataset,
    RepeatDataset,
    default_collate,
)
from mmengine.hooks import Hook
from mmengine.runner import ValLoop

from loss_forward.models import hook
from loss_forward.views import (
    SIZES,
    TRAINING,
    VALIDATION,
    WORKER,
    Boxes,
    Detector,
    GenerateTarget,
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
from valloss_compat._loss_forward.loss_data import LossData
from valloss_compat._loss_forward.two_views import loss_pipeline, split
from valloss_compat.errors import Rejection, UnsupportedError


def kinds(transforms):
    return [type(one).__name__ for one in transforms]


class Kept(Hook):
    """Keeps what other hooks find in the batch, before and behind the step."""

    priority = "VERY_HIGH"

    def __init__(self):
        self.found = []

    def _keep(self, data_batch):
        for sample in data_batch["data_samples"]:
            names = sorted(sample.keys()), sorted(sample.metainfo_keys())
            shown = str(sample).partition(") at 0x")[0]
            self.found.append((names, sorted(sample.to_dict()), shown))

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        self._keep(data_batch)

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self._keep(data_batch)
        for sample in data_batch["data_samples"]:
            hidden = set(vars(sample)) - {"_metainfo_fields", "_data_fields"}
            names = {name.lstrip("_") for name in hidden}
            assert names <= {*sample.keys(), *sample.metainfo_keys()}


@pytest.mark.parametrize("strategy", ["auto", "second_forward"])
def test_the_loss_gets_boxes_in_the_frame_of_the_input(tmp_path, strategy):
    known = known_losses()
    wrong = known_losses(*VALIDATION)
    assert abs(known["val_loss"] - wrong["val_loss"]) > 1
    metrics = detector_runner(tmp_path, hook(strategy=strategy)).val()
    assert {name: metrics[name] for name in known} == pytest.approx(known, rel=1e-6)


def test_predictions_metrics_and_hooks_get_what_they_got(tmp_path):
    seen = []
    for hooks in ((), (hook(),)):
        given, kept = Given(), Kept()
        runner = detector_runner(tmp_path, *hooks, kept, val_evaluator=[given])
        runner.val()
        seen.append((given.samples, kept.found))
    assert seen[0] == seen[1]
    assert len(seen[0][0]) == len(SIZES)


def test_the_image_is_loaded_once(tmp_path):
    runner = detector_runner(tmp_path, hook(sanity_check=False))
    LoadImage.reads.clear()
    runner.val()
    assert sorted(LoadImage.reads) == list(range(len(SIZES)))


def test_one_view_is_enough_in_the_order_of_a_training(tmp_path):
    dataloader = loader_of(*TRAINING)
    dataset = dataloader.dataset
    runner = detector_runner(tmp_path, hook(), val_dataloader=dataloader)
    runner.call_hook("before_run")
    assert dataloader.dataset is dataset
    known = known_losses()["val_loss"]
    assert runner.val()["val_loss"] == pytest.approx(known, rel=1e-6)


def test_the_dataset_is_given_back_behind_the_run(tmp_path):
    dataloader = loader_of()
    dataset = dataloader.dataset
    runner = detector_runner(tmp_path, hook(), val_dataloader=dataloader)
    assert runner.val_loop.dataloader is dataloader
    for _ in range(2):
        runner.call_hook("before_run")
        assert dataloader.dataset is not dataset
        assert dataset.pipeline.transforms == list(VALIDATION)
        runner.val()
        assert dataloader.dataset is dataset


def test_a_training_that_shares_the_dataset_gets_one_view(tmp_path):
    dataloader = loader_of()
    training = loader_of(dataset=dataloader.dataset)
    LossData([dataloader]).install()
    assert dataloader.dataset is not training.dataset
    for batch in training:
        assert split(batch)[1] == [None, None]
    for batch in dataloader:
        assert None not in split(batch)[1]


# What the second view has.


class PackAll:
    """It has no ``keys``."""


class Own:
    """Packs; its name does not tell."""


class PackMore(PackInputs):
    """As mmyolo packs masks in a training, and in no validation."""

    meta_keys = ("img_shape", "flip")


class FixInvalidPolygon:
    """Named as that of mmocr: it changes annotations alone."""


@pytest.mark.parametrize(
    ("validation", "training", "expected", "shared", "notes"),
    [
        (
            VALIDATION,
            (),
            "LoadImage LoadAnnotations Resize PackInputs",
            1,
            ["LoadAnnotations right behind the image"],
        ),
        (VALIDATION, TRAINING, "LoadImage LoadAnnotations Resize PackInputs", 1, None),
        (TRAINING, (), "LoadImage LoadAnnotations Resize PackInputs", 4, []),
        (TRAINING, TRAINING, "LoadImage LoadAnnotations Resize PackInputs", 4, []),
        (
            (LoadImage(), Resize(), PackInputs()),
            TRAINING,
            "LoadImage LoadAnnotations Resize PackInputs",
            1,
            ["LoadAnnotations of the training"],
        ),
        (
            TRAINING,
            ({"type": LoadAnnotations, "with_label": True},),
            "LoadImage LoadAnnotations Resize PackInputs",
            1,
            ["LoadAnnotations of the training"],
        ),
        (
            (LoadImage(), Resize(), PackInputs()),
            (LoadImage(), Resize(), {"type": GenerateTarget}, PackInputs()),
            "LoadImage Resize GenerateTarget PackInputs",
            2,
            ["GenerateTarget of the training"],
        ),
        (
            (LoadImage(), Letterbox(), Resize(), LoadAnnotations(), PackInputs()),
            (LoadImage(), Letterbox(), LoadAnnotations(), Resize(), PackInputs()),
            "LoadImage Letterbox LoadAnnotations Resize PackInputs",
            2,
            ["LoadAnnotations right behind the image"],
        ),
        (
            (LoadImage(), LoadAnnotations(), PackInputs(keys=["gt_bboxes"])),
            (LoadAnnotations(), PackInputs(keys=("gt_bboxes", "gt_target"))),
            "LoadImage LoadAnnotations PackInputs",
            2,
            ["PackInputs with gt_target"],
        ),
        ((LoadImage(), Resize()), (), "LoadImage Resize", 2, []),
        (  # as most of the libraries pack: all that there is
            (LoadImage(), PackAll()),
            (LoadImage(), {"type": PackAll}),
            "LoadImage PackAll",
            2,
            [],
        ),
        (  # of two datasets that are joined in the training
            (LoadImage(), Resize(), PackInputs(keys=["gt_bboxes"])),
            (
                *(LoadImage(), LoadAnnotations(True), LoadImage(), LoadAnnotations()),
                {"type": PackInputs},
            ),
            "LoadImage LoadAnnotations Resize PackInputs",
            1,
            [
                "LoadAnnotations of the training",
                "PackInputs with gt_labels, gt_target",
            ],
        ),
        (  # of boxes, and of maps
            (LoadImage(), Resize(), LoadAnnotations(), LoadAnnotations(2), PackAll()),
            (LoadImage(), LoadAnnotations(), LoadAnnotations(2), Resize(), PackAll()),
            "LoadImage LoadAnnotations LoadAnnotations Resize PackAll",
            1,
            ["LoadAnnotations, LoadAnnotations right behind the image"],
        ),
        (  # images in memory
            (Resize(), LoadAnnotations(), PackAll()),
            (LoadAnnotations(), Resize(), PackAll()),
            "LoadAnnotations Resize PackAll",
            0,
            ["LoadAnnotations right behind the image"],
        ),
        (  # images and labels in memory, as those of CIFAR
            (PackInputs(),),
            (Resize(), Letterbox(), PackInputs()),
            "PackInputs",
            1,
            [],
        ),
        (  # a packing with a name of its own
            (LoadImage(), Resize(), Own()),
            (LoadImage(), GenerateTarget(), Resize(), GenerateTarget(), Own()),
            "LoadImage Resize GenerateTarget Own",
            2,
            ["GenerateTarget of the training"],
        ),
        (
            VALIDATION,
            (LoadImage(), LoadAnnotations(), FixInvalidPolygon(), PackInputs()),
            "LoadImage LoadAnnotations FixInvalidPolygon Resize PackInputs",
            1,
            ["FixInvalidPolygon of the training"],
        ),
        (  # boxes that mmrotate makes of corners
            (*VALIDATION[:-1], FixInvalidPolygon(), PackInputs()),
            (LoadImage(), LoadAnnotations(), FixInvalidPolygon(), PackInputs()),
            "LoadImage LoadAnnotations FixInvalidPolygon Resize PackInputs",
            1,
            ["LoadAnnotations right behind the image"],
        ),
        (  # there is nothing for it to change
            (LoadImage(), Resize(), PackInputs()),
            (LoadImage(), FixInvalidPolygon(), PackInputs()),
            "LoadImage Resize PackInputs",
            3,
            [],
        ),
    ],
)
def test_the_transforms_of_the_loss(validation, training, expected, shared, notes):
    found = loss_pipeline(list(validation), list(training))
    assert kinds(found.transforms) == expected.split()
    assert found.shared == shared
    known = ["LoadAnnotations right behind the image"] if notes is None else notes
    assert found.notes == known
    assert [
        kinds(p.transforms) for p in [loss_pipeline(found.transforms, training)]
    ] == [kinds(found.transforms)]


def test_keys_that_a_packing_leaves_out_are_added_to_a_copy():
    packing = PackInputs(keys=["gt_bboxes"])
    training = [PackInputs(keys=["gt_labels"])]
    found = loss_pipeline([LoadImage(), packing], training)
    assert found.transforms[-1].keys == ["gt_bboxes", "gt_labels"]
    assert packing.keys == ["gt_bboxes"]


@pytest.mark.parametrize("packing", [PackMore(), {"type": PackMore}])
def test_a_packing_of_another_class_is_that_of_the_training(packing):
    validation = [LoadImage(), PackInputs(keys=["gt_bboxes"])]
    validation[-1].meta_keys = ("img_shape",)
    found = loss_pipeline(validation, [LoadImage(), packing])
    assert kinds(found.transforms) == ["LoadImage", "PackMore"]
    assert found.notes == ["PackMore of the training"]
    assert found.transforms[-1].meta_keys == ("img_shape",)
    assert PackMore().meta_keys == ("img_shape", "flip")
    without = loss_pipeline([LoadImage(), PackInputs()], [packing])
    assert without.transforms[-1].meta_keys == ("img_shape", "flip")


def test_the_annotation_loader_of_a_subclass_is_known_by_its_base():
    class MyTruth(LoadAnnotations):
        """Of a user."""

    found = loss_pipeline([LoadImage(), Resize(), MyTruth(), PackInputs()], ())
    assert kinds(found.transforms) == ["LoadImage", "MyTruth", "Resize", "PackInputs"]


class NeedsTarget(Detector):
    """Compares with what ``GenerateTarget`` draws."""

    def forward(self, inputs, data_samples=None, mode="tensor"):
        for sample in data_samples if mode == "loss" else ():
            sample.set_data({"gt_bboxes": sample.gt_target})
        return super().forward(inputs, data_samples, mode)


def test_targets_of_the_train_pipeline_are_added_and_logged(tmp_path, logged):
    training = {
        "dataset": {
            "type": Boxes,
            "ann_file": "",
            "pipeline": [
                {"type": LoadImage},
                {"type": LoadAnnotations},
                {"type": Resize},
                {"type": GenerateTarget},
                {"type": PackInputs},
            ],
        },
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "batch_size": 2,
        "num_workers": 0,
    }
    runner = detector_runner(
        tmp_path,
        hook(),
        model=NeedsTarget(),
        train_dataloader=training,
        log_level="INFO",
    )
    steps = (*TRAINING[:3], GenerateTarget(), PackInputs())
    known = known_losses(*steps, model=NeedsTarget())["val_loss"]
    assert runner.val()["val_loss"] == pytest.approx(known, rel=1e-6)
    line = "ValLossHook: the loss gets GenerateTarget of the training"
    assert logged().count(line) == 1


def test_a_pipeline_given_by_hand_is_that_of_the_loss(tmp_path):
    steps = [{"type": type(one)} for one in TRAINING]
    unknown = loader_of(LoadImage(), Resize(), PackInputs())
    runner = detector_runner(tmp_path, hook(pipeline=steps), val_dataloader=unknown)
    known = known_losses()["val_loss"]
    assert runner.val()["val_loss"] == pytest.approx(known, rel=1e-6)


# What stands between a data loader and the samples.


def _nested(kind):
    inner = dataset_of(*VALIDATION)
    if kind == "concat":
        return ConcatDataset([inner, dataset_of(*TRAINING)])
    if kind == "repeat":
        return RepeatDataset(inner, 2)
    if kind == "balanced":
        inner.get_cat_ids = lambda index: [0]
        return ClassBalancedDataset(inner, 1e-3)
    if kind == "folds":
        wrappers = pytest.importorskip("mmpretrain.datasets")
        part = {"type": Boxes, "ann_file": "", "pipeline": VALIDATION}
        return wrappers.KFoldDataset(part, num_splits=1, test_mode=True)
    return Combined([dataset_of(), dataset_of()], list(VALIDATION))


class Combined(Boxes):
    """As CombinedDataset of mmpose: the parts read, the whole packs."""

    def __init__(self, datasets, pipeline):
        self.datasets = datasets
        for one in datasets:
            one.pipeline.transforms = []
        super().__init__(ann_file="", pipeline=pipeline, test_mode=True)

    def load_data_list(self):
        return [one[index] for one in self.datasets for index in range(len(one))]


# mmengine 0.1.0 says so of one that it has initialised.
@pytest.mark.filterwarnings("ignore:Please call `full_init`:UserWarning")
@pytest.mark.parametrize("kind", ["concat", "repeat", "balanced", "folds", "combined"])
def test_datasets_within_datasets_give_two_views(tmp_path, kind):
    dataset = _nested(kind)
    known = known_losses()["val_loss"]  # as each dataset has whole batches
    dataloader = loader_of(dataset=dataset)
    runner = detector_runner(tmp_path, hook(), val_dataloader=dataloader)
    assert runner.val()["val_loss"] == pytest.approx(known, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "serialize"), [("fork", True), ("fork", False), ("spawn", True)]
)
def test_workers_give_two_views(tmp_path, start, serialize):
    dataset = dataset_of(*VALIDATION, serialize_data=serialize)
    dataloader = loader_of(
        dataset=dataset,
        multiprocessing_context=start,
        **WORKER,
    )
    loss = hook(sanity_check=start == "fork")  # a process more takes seconds to spawn
    runner = detector_runner(tmp_path, loss, val_dataloader=dataloader)
    known = known_losses()["val_loss"]
    for _ in range(2):
        found = runner.val_loop.run()["val_loss"]
        assert found == pytest.approx(known, rel=1e-6)
    runner.call_hook("after_run")  # ends the workers; a garbage collector waits 5 s


@pytest.mark.slow
def test_workers_that_have_the_other_dataset_are_replaced(tmp_path):
    """They were started by a validation before the hook came."""
    dataloader = loader_of(multiprocessing_context="fork", **WORKER)
    plain = detector_runner(tmp_path, val_dataloader=dataloader)
    plain.val()
    runner = detector_runner(tmp_path, hook(), val_dataloader=dataloader)
    known = known_losses()["val_loss"]
    assert runner.val()["val_loss"] == pytest.approx(known, rel=1e-6)
    assert set(plain.val()) == {"mean/score"}
    dataloader._iterator = None


def test_views_that_workers_go_on_sending_are_removed(tmp_path):
    """With on_unsupported='warn' the hook does nothing from some batch on."""

    class Raises(Detector):
        def forward(self, inputs, data_samples=None, mode="tensor"):
            if mode == "loss" and int(data_samples[0].index) == 2:
                raise ValueError("this batch")
            return super().forward(inputs, data_samples, mode)

    kept = Kept()
    dataloader = loader_of(batch_size=1)
    loss = hook(on_unsupported="warn", sanity_check=False)
    runner = detector_runner(
        tmp_path, loss, kept, val_dataloader=dataloader, model=Raises()
    )
    assert set(runner.val()) == {"mean/score"}
    assert len(kept.found) == 2 * len(SIZES)


def test_batches_behind_the_limit_keep_no_view(tmp_path):
    kept = Kept()
    loss = hook(limit_batches=1)
    runner = detector_runner(tmp_path, loss, kept)
    known = known_losses(dataset=torch.utils.data.Subset(dataset_of(*TRAINING), [0, 1]))
    assert runner.val()["val_loss"] == pytest.approx(known["val_loss"], rel=1e-6)
    assert len(kept.found) == 2 * len(SIZES)


def test_default_collate_keeps_both_views(tmp_path):
    dataloader = loader_of(batch_size=1, collate_fn=default_collate)
    runner = detector_runner(tmp_path, hook(), val_dataloader=dataloader)
    known = known_losses(size=1)["val_loss"]
    assert runner.val()["val_loss"] == pytest.approx(known, rel=1e-6)


def test_a_view_survives_pickling_and_copying_and_is_taken_once():
    dataloader = loader_of()
    data = LossData([dataloader])
    data.install()
    batch = copy.deepcopy(pickle.loads(pickle.dumps(next(iter(dataloader)))))
    second = data.take(batch)
    assert second["inputs"] is not batch["inputs"]
    for one, image in zip(second["inputs"], batch["inputs"]):
        assert one is image
    with pytest.raises(UnsupportedError, match="did not come from the data loader"):
        data.take(batch)


# Another loop on the same runner.


class TrainingSet(Hook):
    """Validates other data as well, in the order of a training."""

    def __init__(self, dataloader):
        self.dataloader, self.metrics = dataloader, None

    def after_val(self, runner):
        if self.metrics is None:
            self.metrics = {}
            loop = ValLoop(runner, self.dataloader, [Given()])
            self.metrics = loop.run()


@pytest.mark.parametrize("pipeline", [TRAINING, VALIDATION], ids=["one", "two"])
def test_a_second_loop_has_data_of_its_own(tmp_path, pipeline):
    dataloader = loader_of(dataset=dataset_of(*pipeline, indices=[0, 3]), batch_size=1)
    second = TrainingSet(dataloader)
    metrics = detector_runner(tmp_path, hook(), second).val()
    assert metrics["val_loss"] == pytest.approx(known_losses()["val_loss"], rel=1e-6)
    part = dataset_of(*TRAINING, indices=[0, 3])
    known = known_losses(dataset=part, size=1)["val_loss"]
    assert second.metrics["val_loss"] == pytest.approx(known, rel=1e-6)


# What goes wrong.


def rejection_of(*validation, training=(), index=0):
    """Return the rejection that travels with a sample."""
    dataloader = loader_of(*validation, batch_size=1)
    LossData([dataloader], training).install()
    (view,) = split(list(dataloader)[index])[1]
    assert isinstance(view, Rejection)
    return str(view)


class Raising(LoadAnnotations):
    def __call__(self, results):
        if results["index"] == 2 and results["img"].shape[0] == 40:
            raise KeyError("polygons")
        return super().__call__(results)


def test_what_raises_in_the_second_view_reaches_the_loss_alone(tmp_path):
    steps = LoadImage(), Resize(), Raising(), PackInputs()
    text = rejection_of(*steps, index=2)
    assert (
        "(LoadImage, Raising, Resize, PackInputs) raised KeyError: 'polygons'" in text
    )
    runner = detector_runner(tmp_path, hook(), val_dataloader=loader_of(*steps))
    with pytest.raises(UnsupportedError, match="raised KeyError"):
        runner.val()
    loss = hook(on_unsupported="warn")
    runner = detector_runner(tmp_path, loss, val_dataloader=loader_of(*steps))
    assert set(runner.val()) == {"mean/score"}


class Filter:
    """Drops samples whose boxes are small in the frame of the input."""

    def __call__(self, results):
        boxes = results.get("gt_bboxes", np.ones(1))
        return results if boxes.size and boxes.max() < 70 else None


def test_a_sample_that_is_dropped_has_no_second_view():
    steps = LoadImage(), Resize(), Filter(), LoadAnnotations(), PackInputs()
    assert "the result is a NoneType without data_samples" in rejection_of(*steps)


class CropsObjects:
    """Crops the image to its boxes, if they are there."""

    def __call__(self, results):
        if len(results.get("gt_bboxes", ())):
            results["img"] = results["img"][:10]
            results["img_shape"] = (10, 30)
        return results


def test_a_second_view_of_another_input_is_rejected():
    steps = LoadImage(), CropsObjects(), LoadAnnotations(), PackInputs()
    text = rejection_of(*steps)
    assert "returns other inputs, img_shape, so that" in text


class Uncopyable:
    def __deepcopy__(self, memo):
        raise TypeError("a socket cannot be copied")


class Opens(LoadImage):
    def __call__(self, results):
        results["socket"] = Uncopyable()
        return super().__call__(results)


def test_a_sample_that_cannot_be_copied_is_rejected():
    text = rejection_of(Opens(), Resize(), LoadAnnotations(), PackInputs())
    assert "raised TypeError: a socket cannot be copied" in text


def test_a_dataset_in_the_sample_is_shared():
    """As mmpose has it there."""

    class WithDataset(LoadImage):
        def __call__(self, results):
            results["dataset"] = whole
            return super().__call__(results)

    whole = dataset_of(*VALIDATION)
    whole.__class__ = type(
        "Large", (Boxes,), {"__deepcopy__": lambda *_: pytest.fail("copied")}
    )
    dataloader = loader_of(WithDataset(), Resize(), LoadAnnotations(), PackInputs())
    LossData([dataloader]).install()
    assert not any(
        isinstance(one, Rejection) for one in split(next(iter(dataloader)))[1]
    )


class Missing(LoadImage):
    def __call__(self, results):
        return None if results["index"] == 1 else super().__call__(results)


def test_an_image_that_is_missing_is_left_to_the_dataset():
    """In test mode it raises, as without second views."""
    steps = Missing(), Resize(), LoadAnnotations(), PackInputs()
    dataloader = loader_of(*steps)
    LossData([dataloader]).install()
    with pytest.raises(Exception, match=r"Test time pipe?line"):
        list(dataloader)


class Draws:
    """Draws without an effect, as RandomFlip with prob=0."""

    def __call__(self, results):
        np.random.rand()
        return results


def test_random_states_of_a_worker_are_those_of_one_view():
    steps = LoadImage(), Draws(), Resize(), LoadAnnotations(), PackInputs()
    states = []
    for prepare in (lambda loader: None, lambda loader: LossData([loader]).install()):
        dataloader = loader_of(*steps)
        prepare(dataloader)
        np.random.seed(3)
        torch.manual_seed(3)
        for batch in dataloader:
            assert not any(isinstance(one, Rejection) for one in split(batch)[1])
        states.append((np.random.rand(), float(torch.rand(()))))
    assert states[0] == states[1]


def test_samples_that_are_no_data_elements_are_rejected():
    class AsDict(PackInputs):
        def __call__(self, results):
            packed = super().__call__(results)
            return {**packed, "data_samples": [packed["data_samples"]]}

    dataloader = loader_of(LoadImage(), Resize(), LoadAnnotations(), AsDict())
    data = LossData([dataloader])
    data.install()
    batch = next(iter(dataloader))
    with pytest.raises(UnsupportedError, match="did not come from the data loader"):
        data.take(batch)


class LoadAnnotations3D:
    """As that of mmdet3d: it reads where a training has the annotations."""

    def __call__(self, results):
        results["gt_bboxes"] = np.array(results["ann_info"], np.float32).reshape(-1, 4)
        return results


class InTestMode(Boxes):
    """Has its annotations elsewhere in test mode, as datasets of mmdet3d."""

    def load_data_list(self):
        infos = super().load_data_list()
        for info in infos:
            info["eval_ann_info"] = info.pop("boxes")
        return infos


def test_annotations_of_test_mode_are_those_of_a_training(tmp_path):
    dataset = dataset_of(LoadImage(), Resize(), PackInputs(), kind=InTestMode)
    runner = detector_runner(
        tmp_path,
        hook(),
        val_dataloader=loader_of(dataset=dataset),
        train_dataloader=loader_of(
            LoadImage(), LoadAnnotations3D(), Resize(), PackInputs()
        ),
    )
    known = known_losses()["val_loss"]
    assert runner.val()["val_loss"] == pytest.approx(known, rel=1e-6)


class Delegating(torch.utils.data.Dataset):
    """Hands all attributes on to the dataset within, as wrappers of users do."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __getattr__(self, name):
        return getattr(self.dataset, name)

    def __getitem__(self, index):
        return self.dataset[index]

    def __len__(self):
        return len(self.dataset)


class Locked(Boxes):
    """It cannot be copied deeply."""

    def __deepcopy__(self, memo):
        raise TypeError("cannot pickle a lock")


def test_a_wrapper_that_hands_attributes_on_gives_two_views(tmp_path):
    inner = dataset_of(*VALIDATION, kind=Locked)
    dataloader = loader_of(dataset=Delegating(inner))
    runner = detector_runner(tmp_path, hook(), val_dataloader=dataloader)
    runner.train()
    known = known_losses()["val_loss"]
    assert detector_runner(
        tmp_path, hook(), val_dataloader=loader_of(dataset=Delegating(inner))
    ).val()["val_loss"] == pytest.approx(known, rel=1e-6)


def test_a_second_hook_leaves_the_views_to_the_first(tmp_path):
    runner = detector_runner(tmp_path, hook(), hook())
    known = known_losses()["val_loss"]
    assert runner.val()["val_loss"] == pytest.approx(known, rel=1e-6)


def test_a_test_on_the_same_data_loader_gets_no_view(tmp_path):
    dataloader, kept = loader_of(), Kept()
    kept.before_test_iter = kept.before_val_iter
    kept.after_test_iter = kept.after_val_iter
    runner = detector_runner(
        tmp_path,
        hook(),
        kept,
        val_dataloader=dataloader,
        test_dataloader=dataloader,
        test_cfg={},
        test_evaluator=[Given()],
    )
    assert runner.val_loop is not None
    runner.test()
    assert len(kept.found) == 2 * len(SIZES)
