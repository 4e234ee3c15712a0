"""Whether the ground truth moves with the image, seen on a ramp."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from loss_forward.models import hook
from loss_forward.views import (
    Boxes,
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
from valloss_compat._loss_forward.ramp import points_of
from valloss_compat.errors import UnsupportedError

pytestmark = pytest.mark.slow  # asks little of mmengine


def check(*steps, dataset=None, **options):
    """Check transforms in the order of a training."""
    pipeline = (LoadImage(), *steps, PackInputs())
    data = LossData([loader_of(dataset=dataset or dataset_of(*pipeline), **options)])
    data.check_frame()


class Shift:
    """Moves the image, but not what belongs to it."""

    def __init__(self, right):
        self.right = right

    def __call__(self, results):
        results["img"] = np.roll(results["img"], self.right, axis=1)
        return results


class Pack(PackInputs):
    """Of a user, whose polygons are not packed."""


class Flip:
    def __call__(self, results):
        if np.random.rand() < 0.5:
            results["img"] = results["img"][:, ::-1]
        return results


class Normalize:
    """Named as mmcv's: pixels are no coordinates behind it."""

    def __call__(self, results):
        results["img"] = (results["img"] - 127.5) / 57
        return results


class GenerateTarget:
    """Named as that of mmpose: it moves nothing, and is not run."""

    def __call__(self, results):
        raise AssertionError("it may not know what to do with a ramp")


class ToTensor:
    def __call__(self, results):
        results["img"] = torch.as_tensor(results["img"])
        return results


class AsList:
    def __call__(self, results):
        return [results]


class Dark:
    """Keeps a single pixel."""

    def __call__(self, results):
        results["img"] = results["img"][:1, :1]
        results["gt_bboxes"] = np.zeros((0, 4))
        return results


class Crop:
    """Keeps the upper left part, and all boxes as they are."""

    def __call__(self, results):
        results["img"] = results["img"][:12, :14]
        return results


class Filter:
    """Drops the second box."""

    def __call__(self, results):
        results["gt_bboxes"] = results["gt_bboxes"][:1]
        return results


class LoadOtherAnnotations:
    """Polygons or keypoints of different lengths, or a label map."""

    def __init__(self, name):
        self.name = name

    def __call__(self, results):
        height, width = results["ori_shape"]
        if self.name == "gt_polygons":
            points = [np.array([3.0, 4, 9, 5, 8, 12]), np.array([5, 6, 7, 8.0])]
        elif self.name == "keypoints":
            points = np.array([[[4.0, 5], [9, 10], [0, 0]]])
        elif self.name == "rotated":
            self.name, points = "gt_bboxes", np.array([[9.0, 9, 4, 4, 0.3]])
        else:
            points = np.zeros((height, width), np.uint8)
        results[self.name] = points
        return results


class ScalePoints:
    """Moves what :class:`Resize` leaves."""

    def __init__(self, name="gt_polygons", to=None):
        self.name, self.to = name, to or name

    def __call__(self, results):
        points = results[self.name]
        if isinstance(points, list):
            results[self.to] = [one * 3 for one in points]
        else:
            results[self.to] = points * 3
        return results


LOAD = LoadAnnotations()
POLYGONS, MAP = LoadOtherAnnotations("gt_polygons"), LoadOtherAnnotations("gt_seg_map")
KEYPOINTS = LoadOtherAnnotations("keypoints")


class ResizeImage(Resize):
    """Leaves the annotations as they are."""

    def __call__(self, results):
        results["img"] = results["img"].repeat(3, 0).repeat(3, 1)
        return results


@pytest.mark.parametrize(
    "steps",
    [
        (LOAD, Resize()),
        (LOAD, Letterbox(7, 5), Resize(), Letterbox(3, 9)),
        (LOAD, Shift(1), Resize()),  # within the tolerance
        (LOAD, Crop()),  # what is outside of the image is not compared
        (LOAD, Filter(), Resize()),  # nothing to compare with
        (LOAD, Normalize(), Resize()),
        (POLYGONS, ResizeImage(), ScalePoints()),
        (
            KEYPOINTS,
            ResizeImage(),
            ScalePoints("keypoints", "transformed_keypoints"),
        ),
        (KEYPOINTS, ResizeImage(), ScalePoints("keypoints")),
        (MAP, Resize()),
        (MAP, LoadOtherAnnotations("keypoints"), Resize(1)),
        (KEYPOINTS, GenerateTarget(), Resize(1)),
        (LOAD, ToTensor()),  # pixels are no longer an array
        (LOAD, AsList()),  # as of several augmentations
        (LOAD, Dark()),  # no pixel tells where it was
    ],
)
def test_ground_truth_that_moves_with_the_image_is_accepted(steps):
    check(*steps)


@pytest.mark.parametrize(
    ("steps", "culprit"),
    [
        ((LOAD, Letterbox(188, 0, moves_boxes=False)), "Letterbox"),
        ((LOAD, Letterbox(0, 9, moves_boxes=False), Resize()), "Letterbox"),
        ((LOAD, Resize(), Shift(40), Resize(1)), "Shift"),
        ((LOAD, ResizeImage()), "ResizeImage"),
        ((POLYGONS, ResizeImage()), "ResizeImage"),
        ((KEYPOINTS, ResizeImage()), "ResizeImage"),
        ((LoadOtherAnnotations("rotated"), ResizeImage()), "ResizeImage"),
        ((MAP, ResizeImage()), "ResizeImage"),
        ((MAP, Shift(9)), "Shift"),
    ],
)
def test_an_image_that_is_moved_alone_is_rejected_by_name(steps, culprit):
    match = f"{culprit} of the validation pipeline: it leaves the ground truth"
    with pytest.raises(UnsupportedError, match=match):
        check(*steps)


def test_a_letterbox_of_a_user_is_rejected_before_the_training(tmp_path):
    steps = (LoadImage(), Letterbox(188, 0, moves_boxes=False), LOAD, PackInputs())
    runner = detector_runner(tmp_path, hook(), val_dataloader=loader_of(*steps))
    with pytest.raises(UnsupportedError, match="Letterbox of the validation pipeline"):
        runner.train()
    assert runner.iter == 0


def test_with_sanity_check_false_no_sample_is_loaded_before(tmp_path):
    runner = detector_runner(tmp_path, hook(sanity_check=False))
    LoadImage.reads.clear()
    runner.val_loop  # noqa: B018
    runner.call_hook("before_run")
    assert LoadImage.reads == []


def test_what_draws_and_changes_the_sample_is_rejected_by_name():
    match = "Flip of the validation pipeline: random numbers change"
    with pytest.raises(UnsupportedError, match=match):
        check(LOAD, Resize(), Flip())


def test_random_states_are_restored():
    class Draws:
        def __call__(self, results):
            np.random.rand()
            return results

    np.random.seed(4)
    known = np.random.rand()
    np.random.seed(4)
    check(LOAD, Draws(), Resize())
    assert np.random.rand() == known


class Empty(Boxes):
    """Only the last sample has boxes."""

    def boxes(self, index, width, height):
        return super().boxes(index, width, height) if index == 3 else []


def test_samples_are_tried_until_one_has_an_object():
    steps = (LoadImage(), LOAD, Letterbox(99, 0, moves_boxes=False), PackInputs())
    with pytest.raises(UnsupportedError, match="Letterbox"):
        check(dataset=dataset_of(*steps, kind=Empty))


def test_a_transform_that_raises_is_left_to_the_check_of_a_batch():
    class Raises:
        def __call__(self, results):
            raise ValueError("unreadable")

    check(LOAD, Raises())


def test_a_dataset_that_raises_is_left_to_the_check_of_a_batch():
    class Damaged(Boxes):
        def prepare_data(self, index):
            raise OSError("damaged")

    steps = (LoadImage(), LOAD, MOVES, PackInputs())
    data = LossData([loader_of(dataset=dataset_of(*steps, kind=Damaged))])
    data.check_frame()
    assert data.notes == ["annotations that no sample could verify"]


def test_a_worker_runs_the_check():
    steps = (LoadImage(), LOAD, Letterbox(99, 0, moves_boxes=False), PackInputs())
    LoadImage.reads.clear()
    with pytest.raises(UnsupportedError, match="Letterbox"):
        check(dataset=dataset_of(*steps), num_workers=1, multiprocessing_context="fork")
    assert LoadImage.reads == []


def test_data_without_transforms_are_not_checked():
    LossData([loader_of(dataset=[1, 2, 3])]).check_frame()


def test_transforms_that_pack_nothing_are_checked():
    data = LossData([loader_of(LoadImage(), LOAD, ResizeImage())])
    with pytest.raises(UnsupportedError, match="ResizeImage"):
        data.check_frame()


@pytest.mark.parametrize("value", [np.zeros((2, 3)), np.zeros(4), []])
def test_other_forms_have_no_points(value):
    assert points_of(value).shape == (0, 2)


def test_random_boxes_are_those_of_a_training_pipeline(tmp_path):
    """Sizes, aspect ratios and borders at random: both orders agree."""

    class Random(Boxes):
        def load_data_list(self):
            draw = np.random.RandomState(6)
            return [
                {
                    "index": index,
                    "size": tuple(int(side) for side in draw.randint(9, 60, 2)),
                    "boxes": (draw.rand(draw.randint(1, 4), 4) * 60 - 5).tolist(),
                }
                for index in range(24)
            ]

    steps = (LoadImage(), Resize(2), Letterbox(3, 7), LOAD, PackInputs())
    training = (LoadImage(), LOAD, Resize(2), Letterbox(3, 7), PackInputs())
    dataloader = loader_of(dataset=dataset_of(*steps, kind=Random))
    runner = detector_runner(tmp_path, hook(), val_dataloader=dataloader)
    known = known_losses(dataset=dataset_of(*training, kind=Random))["val_loss"]
    assert runner.val()["val_loss"] == pytest.approx(known, rel=1e-6)


def test_one_sample_is_enough_where_none_has_points():
    """To load one may take a video."""
    LoadImage.reads.clear()
    check(Resize())
    assert LoadImage.reads == [0]


class Memory(Boxes):
    """Its images are not loaded from files."""

    def load_data_list(self):
        infos = super().load_data_list()
        for info in infos:
            info = LoadImage()(info)
        return infos


class Gamma:
    """Changes colours; the name is not known."""

    def __call__(self, results):
        results["img"] = (results["img"] / 255.0) ** 2
        return results


class Own(PackInputs):
    """A packing of a user."""


class Vanishes:
    """Packs without a name that tells; no image is left."""

    def __call__(self, results):
        return {"inputs": results.pop("img"), "data_samples": results}


class Bytes:
    """Takes images of whole numbers alone."""

    def __call__(self, results):
        assert results["img"].dtype == np.uint8
        return results


class Normalized:
    """Brings boxes to 0 ... 1."""

    def __call__(self, results):
        height, width = results["img_shape"]
        results["gt_bboxes"] = results["gt_bboxes"] / [width, height, width, height]
        return results


class ClippingCrop:
    """Keeps the upper left part, and clips boxes to it."""

    def __call__(self, results):
        results["img"] = results["img"][:12, :10]
        results["gt_bboxes"] = np.clip(results["gt_bboxes"], 0, [10, 12, 10, 12])
        return results


MOVES = Letterbox(20, 0, moves_boxes=False)


@pytest.mark.parametrize(
    "steps",
    [
        (LOAD, Gamma(), Resize()),
        (LOAD, Resize(), ClippingCrop()),
        (LOAD, Resize(), Normalized()),
    ],
)
def test_usual_transforms_of_users_are_accepted(steps):
    check(*steps)


@pytest.mark.parametrize(
    "steps",
    [
        (LoadImage(), LOAD, MOVES, Own()),
        (LoadImage(), LOAD, MOVES, Vanishes()),
        (LoadImage(), LOAD, MOVES, Filter(), PackInputs()),
    ],
    ids=["own packing", "another name", "filtered behind"],
)
def test_what_comes_behind_hides_nothing(steps):
    with pytest.raises(UnsupportedError, match="Letterbox of the validation pipeline"):
        check(dataset=dataset_of(*steps))


class FindsFile:
    """Comes before the image is loaded."""

    def __call__(self, results):
        return {**results, "path": "a.png"}


def test_a_transform_may_come_before_the_image():
    check(dataset=dataset_of(FindsFile(), LoadImage(), LOAD, Resize(), PackInputs()))
    with pytest.raises(UnsupportedError, match="ResizeImage"):
        check(dataset=dataset_of(FindsFile(), LoadImage(), LOAD, ResizeImage()))


def test_annotations_may_come_before_the_image():
    check(dataset=dataset_of(LOAD, LoadImage(), Resize(), PackInputs()))
    with pytest.raises(UnsupportedError, match="ResizeImage"):
        check(dataset=dataset_of(LOAD, LoadImage(), ResizeImage(), PackInputs()))


def test_images_in_memory_are_checked_from_the_first_transform_on():
    dataset = dataset_of(ResizeImage(), LOAD, PackInputs(), kind=Memory)
    with pytest.raises(UnsupportedError, match="of the validation pipeline: it"):
        check(dataset=dataset)


def test_what_could_not_be_checked_is_logged():
    data = LossData([loader_of(LoadImage(), LOAD, Bytes(), MOVES, PackInputs())])
    data.check_frame()
    assert data.notes == ["annotations that no sample could verify"]


def test_a_dataset_that_changes_what_its_pipeline_gave_is_checked():
    class Wraps(Boxes):
        def prepare_data(self, index):
            packed = super().prepare_data(index)
            packed["data_samples"].set_metainfo({"more": 1})
            return packed

    steps = (LoadImage(), LOAD, ResizeImage(), PackInputs())
    with pytest.raises(UnsupportedError, match="ResizeImage"):
        check(dataset=dataset_of(*steps, kind=Wraps))


def test_the_check_has_the_workers_of_the_data_loader():
    class Opened(Boxes):
        def prepare_data(self, index):
            assert self.opened
            return super().prepare_data(index)

    def opens(worker):
        torch.utils.data.get_worker_info().dataset._dataset.opened = True

    steps = (LoadImage(), LOAD, MOVES, PackInputs())
    with pytest.raises(UnsupportedError, match="Letterbox"):
        check(
            dataset=dataset_of(*steps, kind=Opened),
            num_workers=1,
            multiprocessing_context="fork",
            worker_init_fn=opens,
        )
