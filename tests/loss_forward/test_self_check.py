"""Whether a loss is a function of the batch, and what the log says of it."""

from __future__ import annotations

import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    SequentialSampler,
)

from loss_forward.models import Classifier, Points, collate, hook, loader, make_runner
from loss_forward.oracle import batches_of, frozen_losses
from loss_forward.rejection import rejected
from valloss_compat._loss_forward import forward as forward_module
from valloss_compat._loss_forward import self_check
from valloss_compat._loss_forward.forward import LossForward, copy_batch
from valloss_compat._loss_forward.loss_data import LossData, number_of_batches
from valloss_compat._loss_forward.reuse import ForwardCache
from valloss_compat._loss_forward.self_check import (
    check_batch,
    has_objects,
    needs_ground_truth,
)
from valloss_compat._loss_forward.validation_pass import LossSource
from valloss_compat.errors import UnsupportedError

pytestmark = pytest.mark.slow  # asks little of mmengine

LINE = "ValLossHook: mode 'loss' of loss_forward.models."


def checked(model, batch=None):
    """Return the losses of a batch, and the line for the log."""
    forward = LossForward(model)
    return check_batch(forward, batch or batches_of()[0], ForwardCache({}))


def test_log_line_of_a_loss_without_surprises(tmp_path, logged):
    make_runner(tmp_path, hook(), log_level="INFO").val()
    found = logged()
    known = "deterministic; reuses backbone, head of the predictions"
    assert found.count(f"{LINE}Classifier: {known}") == 1


def test_log_line_without_reuse(tmp_path, logged):
    make_runner(tmp_path, hook(strategy="second_forward"), log_level="INFO").val()
    known = "deterministic; reuses nothing of the predictions"
    assert logged().count(f"{LINE}Classifier: {known}") == 1


def test_log_line_is_logged_again_only_if_it_is_new(tmp_path, logged):
    runner = make_runner(tmp_path, hook(), log_level="INFO")
    runner.train()
    runner.val_loop.run()
    assert logged().count(LINE) == 1


def _scaled_by(numbers):
    """A loss that is another one each time, of a list of factors."""
    given = iter(numbers)
    return lambda model: torch.tensor(next(given))


def test_a_loss_that_differs_in_the_last_bits_is_accepted(changing):
    _, line = checked(changing(_scaled_by([1.0, 1.00001, 1.0, 1.0])))
    assert "Changing: not deterministic; reuses nothing of the predictions" in line


def test_nothing_is_reused_for_a_loss_that_is_not_deterministic(
    tmp_path, changing, logged
):
    numbers = [1.0, 1.00001] + [1.0] * 8
    make_runner(
        tmp_path, hook(), model=changing(_scaled_by(numbers)), log_level="INFO"
    ).val()
    assert "not deterministic; reuses nothing of the predictions" in logged()


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "numbers",
    [(1.0, 1.01), (NAN, 1.0), (1.0, NAN), (INF, 1.0), (1.0, INF), (INF, -INF)],
)
def test_a_loss_that_differs_for_one_batch_is_rejected(changing, numbers):
    model = changing(_scaled_by([*numbers, 1.0, 1.0]))
    with pytest.raises(
        UnsupportedError, match=r"returned loss_cls=\S+, .* for the same ba"
    ):
        checked(model)


@pytest.mark.parametrize("number", [NAN, INF, -INF])
def test_a_loss_that_is_no_number_each_time_is_accepted(changing, number):
    _, line = checked(changing(lambda model: torch.tensor(number)))
    assert ": deterministic;" in line


def test_losses_of_other_names_for_one_batch_are_rejected(changing, monkeypatch):
    class Growing(type(changing(None))):
        def loss(self, scores, data_samples):
            losses = super().loss(scores, data_samples)
            CALLS.append(1)
            return {**losses, f"loss_{len(CALLS)}": scores}

    CALLS = []
    with pytest.raises(UnsupportedError, match=r"loss_1=.*, then .*loss_2="):
        checked(Growing(lambda model: None))


def test_a_model_that_returns_no_loss_is_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr(Classifier, "loss", lambda *_: {})
    rejected(tmp_path, Classifier(), "for each batch of the validation, mode 'loss' re")


def test_a_loss_that_draws_is_logged_and_starts_from_one_seed(
    tmp_path, changing, logged
):
    drawn = []
    model = changing(lambda model: drawn.append(float(torch.rand(1))))
    runner = make_runner(tmp_path, hook(), model=model, log_level="INFO")
    runner.val()
    torch.manual_seed(12)
    runner.val_loop.run()
    assert len(drawn) > 6
    assert len(set(drawn)) == 1
    assert "draws random numbers (each batch starts from one seed)" in logged()


def test_what_a_loss_draws_is_given_back(tmp_path, changing):
    after = []
    for act in (lambda model: None, lambda model: torch.rand(1)):
        runner = make_runner(tmp_path, hook(), model=changing(act))
        torch.manual_seed(3)
        runner.val_loop.run()
        after.append(float(torch.rand(())))
    assert after[0] == after[1]


# Noise, by modules that no table knows.


class Shake(nn.Module):
    """Drop path, written by hand under another name."""

    def forward(self, x):
        if self.training:
            return x * (torch.rand(len(x), 1) < 0.5) * 2
        return x


class Shaking(Classifier):
    def __init__(self):
        super().__init__()
        self.head.fc = nn.Sequential(self.head.fc, Shake())


@pytest.mark.parametrize("strategy", ["auto", "second_forward"])
def test_noise_of_a_module_is_switched_off_and_logged(tmp_path, logged, strategy):
    model = Shaking()
    known = frozen_losses(model, off=(nn.Dropout, nn.BatchNorm1d, Shake))
    loss = hook(strategy=strategy)
    metrics = make_runner(tmp_path, loss, model=model, log_level="INFO").val()
    assert {name: metrics[name] for name in known} == pytest.approx(known, rel=1e-6)
    found = logged()
    assert "deterministic; without the noise of head.fc.1; " in found
    assert "draws random numbers" not in found


# State.


def test_state_that_a_loss_changes_is_named():
    class Counting(Classifier):
        def __init__(self, names):
            super().__init__()
            self.names = names
            for name in names:
                setattr(self, name, 0)

        def loss(self, scores, data_samples):
            for name in self.names:
                setattr(self, name, getattr(self, name) + 1)
            return super().loss(scores, data_samples)

    _, line = checked(Counting("abc"))
    assert "changes a, b, c (restored before each batch)" in line
    _, line = checked(Counting("abcd"))
    assert "changes a, b, c ... (restored before each batch)" in line


# Crop, of models that predict window by window.


@pytest.fixture
def crops(monkeypatch):
    """Crop the points of all models to two of four numbers."""

    def crop(batch, size):
        batch["inputs"] = [one[: size[1]].repeat(2) for one in batch["inputs"]]
        return batch

    monkeypatch.setattr(self_check, "crop_size", lambda model: (1, 2))
    monkeypatch.setattr(forward_module, "crop", crop)


class NeedsCrop(Classifier):
    """Raises for whole images."""

    def forward(self, inputs, data_samples=None, mode="tensor"):
        points = torch.stack(list(inputs))
        if mode == "loss" and not torch.equal(points[:, :2], points[:, 2:]):
            raise ValueError("of another size than trained on")
        return super().forward(inputs, data_samples, mode)


@pytest.mark.usefixtures("crops")
def test_a_model_that_raises_for_whole_images_gets_a_crop():
    losses, line = checked(NeedsCrop())
    batch = batches_of()[0]
    batch["inputs"] = [one[:2].repeat(2) for one in batch["inputs"]]
    known = frozen_losses(NeedsCrop(), [batch])
    assert {k: float(v) for k, v in losses.items()} == pytest.approx(
        {k: known[k] for k in losses}, rel=1e-6
    )
    assert "on the central 1 x 2 of each image, because the whole image raises" in line


@pytest.mark.usefixtures("crops")
def test_a_model_that_takes_whole_images_gets_no_crop():
    _, line = checked(Classifier())
    assert "central" not in line


def test_a_model_that_raises_is_rejected_if_a_crop_does_not_help(crops, monkeypatch):
    monkeypatch.setattr(forward_module, "crop", lambda batch, size: batch)
    with pytest.raises(UnsupportedError, match="of another size than trained on"):
        checked(NeedsCrop())
    monkeypatch.setattr(self_check, "crop_size", lambda model: None)
    with pytest.raises(UnsupportedError, match="of another size than trained on"):
        checked(NeedsCrop())


# Ground truth.


class Ignoring(Classifier):
    def loss(self, scores, data_samples):
        return {"loss": scores.pow(2)}


def test_a_loss_that_ignores_its_ground_truth_is_rejected(tmp_path):
    match = "for each batch of the validation, .* without its ground truth"
    for strategy in ("auto", "second_forward"):
        rejection = rejected(tmp_path, Ignoring(), match, strategy=strategy)
        assert rejection.component == f"{__name__}.Ignoring"


class WritesIntoFeatures(Ignoring):
    """Its loss writes into what the predictions computed."""

    def loss(self, scores, data_samples):
        with torch.no_grad():
            return super().loss(scores.mul_(2), data_samples)


def test_writing_into_reused_features_proves_nothing(tmp_path):
    match = "for each batch of the validation, .* without its ground truth"
    rejected(tmp_path, WritesIntoFeatures(), match, strategy="auto")


class Detector(Classifier):
    """Its loss takes a number a box."""

    def loss(self, scores, data_samples):
        if self.ignores:
            return {"loss": scores.mean()}
        boxes = torch.cat([sample.gt_instances.boxes for sample in data_samples])
        return {"loss": boxes.sum() + scores.mean()}

    def __init__(self, ignores=False):
        super().__init__()
        self.ignores = ignores


def _boxes(*numbers):
    samples = []
    for number in numbers:
        boxes = torch.ones(number, 4)
        samples.append(BaseDataElement(gt_instances=InstanceData(boxes=boxes)))
    return {"inputs": [torch.ones(4) for _ in numbers], "data_samples": samples}


def _needs_boxes(model, batch):
    forward = LossForward(model)
    losses = forward.losses_of(copy_batch(batch, "Detector"))
    return needs_ground_truth(forward, copy_batch(batch, "Detector"), losses)


def test_boxes_that_a_loss_ignores_are_noticed():
    assert _needs_boxes(Detector(), _boxes(2, 0))
    assert not _needs_boxes(Detector(ignores=True), _boxes(2, 0))


class Polygons:
    """Ground truth that cannot be indexed."""

    def __len__(self):
        return 2


def test_ground_truth_that_cannot_be_indexed_is_removed():
    batch = _boxes(2)
    batch["data_samples"][0].gt_instances.polygons = Polygons()
    assert _needs_boxes(Detector(), batch)
    assert not _needs_boxes(Detector(ignores=True), batch)


def test_loss_that_is_no_number_says_nothing_of_the_ground_truth():
    model = Detector(ignores=True)
    with torch.no_grad():
        model.head.fc.bias.fill_(float("nan"))
    assert _needs_boxes(model, _boxes(2, 0))


def test_one_batch_that_needs_its_ground_truth_is_enough(tmp_path):
    """Small boxes may match no anchor, and count for nothing."""

    class Second(Classifier):
        def loss(self, scores, data_samples):
            # The batch of two samples is the last one.
            used = len(data_samples) == 2
            boxes = sum(float(sample.gt) for sample in data_samples)
            return {"loss": scores.pow(2).mean() + used * boxes}

    metrics = make_runner(tmp_path, hook(), model=Second()).val()
    assert metrics["val_loss"] > 0


@pytest.mark.parametrize(
    ("batch", "known"),
    [
        (_boxes(0, 1), True),
        (_boxes(0, 0), False),
        (batches_of()[0], True),
        (_boxes(1)["data_samples"][0], True),
        ({"data_samples": [BaseDataElement(pred=1)]}, None),
        ((torch.ones(1), [BaseDataElement(gt_label=1)]), True),
        ({"inputs": torch.ones(1)}, None),
        ([], None),
    ],
)
def test_objects_of_a_batch(batch, known):
    assert has_objects(batch) is known


# Before the training.


class Counted(DataLoader):
    """Counts how often it is iterated."""

    iterated = 0

    def __iter__(self):
        self.iterated += 1
        return super().__iter__()


def _checked_before(dataloader, model=None):
    source = LossSource(model or Classifier(), LossData([dataloader]), reuse=True)
    return source.sanity_check()


@pytest.mark.parametrize("workers", [0, 1])
def test_the_first_batch_is_loaded_by_another_loader(workers):
    options = {"multiprocessing_context": "fork"} if workers else {}
    dataloader = Counted(
        Points(), 4, collate_fn=collate, num_workers=workers, **options
    )
    found = _checked_before(dataloader)
    assert found == (
        f"{LINE}Classifier: deterministic; reuses backbone, head of the predictions"
    )
    assert dataloader.iterated == 0


def test_nothing_is_drawn_from_the_generator_of_the_loader():
    generator = torch.Generator()
    dataloader = DataLoader(Points(), 4, collate_fn=collate, generator=generator)
    before = generator.get_state()
    assert "deterministic" in _checked_before(dataloader)
    assert torch.equal(generator.get_state(), before)


class Stream(IterableDataset):
    """A dataset without indices."""

    def __iter__(self):
        return iter([Points()[i] for i in range(10)])

    def __len__(self):
        return 10


@pytest.mark.parametrize(
    "dataloader",
    [
        loader(length=0),
        DataLoader(Points(), batch_size=None),
        DataLoader(Stream(), 4, collate_fn=collate),
    ],
    ids=["empty", "no batches", "iterable"],
)
def test_a_loader_without_a_first_batch_of_its_own_is_not_checked(dataloader):
    assert _checked_before(dataloader) is None


def test_a_loader_of_batches_by_a_sampler_is_checked():
    sampler = BatchSampler(SequentialSampler(Points()), 3, drop_last=False)
    dataloader = DataLoader(Points(), batch_sampler=sampler, collate_fn=collate)
    assert "deterministic" in _checked_before(dataloader)


class Factorise(nn.Module):
    """Draws in both modes, and works longer in eval mode, as mmseg's NMF2D."""

    def forward(self, x):
        steps = 2 if self.training else 5
        return x * steps + torch.rand(x.shape)


@pytest.mark.parametrize("strategy", ["auto", "second_forward"])
def test_module_that_draws_in_both_modes_is_not_switched_off(
    tmp_path, logged, strategy
):
    model = Classifier()
    model.head.fc = nn.Sequential(model.head.fc, Factorise())
    known = frozen_losses(model, seed=0)
    loss = hook(strategy=strategy)
    metrics = make_runner(tmp_path, loss, model=model, log_level="INFO").val()
    assert {name: metrics[name] for name in known} == pytest.approx(known, rel=1e-6)
    found = logged()
    assert "without the noise" not in found
    assert "draws random numbers" in found


def test_noise_is_switched_off_beside_a_module_that_draws_in_both_modes(
    tmp_path, logged
):
    model = Classifier()
    model.head.fc = nn.Sequential(model.head.fc, Shake(), Factorise())
    known = frozen_losses(model, off=(nn.Dropout, nn.BatchNorm1d, Shake), seed=0)
    metrics = make_runner(tmp_path, hook(), model=model, log_level="INFO").val()
    assert {name: metrics[name] for name in known} == pytest.approx(known, rel=1e-6)
    assert "without the noise of head.fc.1; " in logged()


def test_loader_without_a_length_has_no_known_number_of_batches():
    class Endless(IterableDataset):
        def __iter__(self):
            return iter([])

    assert number_of_batches(DataLoader(Endless())) == 0
    assert number_of_batches(loader()) == 3
