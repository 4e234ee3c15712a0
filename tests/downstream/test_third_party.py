"""Models of other libraries in a BaseModel, as users wrap them.

Nothing is downloaded: weights are random, configs tiny.
"""

from __future__ import annotations

import copy
import math
import uuid

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement, InstanceData
from support.tiny import silent_visualizer
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

import valloss_compat  # noqa: F401  (registers the hook)
from downstream import frozen

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error::valloss_compat.VallossCompatWarning"),
]

CLASSES = 3


class Samples(Dataset):
    """Five samples from a fixed seed.

    Args:
        draw (Callable): ``draw(generator)`` returns one.
    """

    def __init__(self, draw):
        self.samples = [draw(torch.Generator().manual_seed(n)) for n in range(5)]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


def by_key(samples):
    """A list for each key: images differ in size."""
    return {key: [sample[key] for sample in samples] for key in samples[0]}


class Count(BaseMetric):
    """How many predictions there were."""

    def process(self, data_batch, data_samples):
        self.results += [1] * len(data_samples)

    def compute_metrics(self, results):
        return {"predictions": len(results)}


class Detector(BaseModel):
    """A detector of torchvision: its losses exist in training mode only."""

    def __init__(self, detector):
        super().__init__()
        self.detector = detector

    def forward(self, inputs, data_samples=None, mode="tensor"):
        if mode == "predict":
            return [
                BaseDataElement(pred_instances=InstanceData(**found))
                for found in self.detector(inputs)
            ]
        instances = [sample.gt_instances for sample in data_samples]
        losses = self.detector(
            inputs, [{"boxes": one.bboxes, "labels": one.labels} for one in instances]
        )
        # Those of RetinaNet have other names, which mmengine would not add up.
        return {f"loss_{name}": value for name, value in losses.items()}


class Classifier(BaseModel):
    """A classifier of timm."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, inputs, label, mode="tensor"):
        scores = self.net(torch.stack(inputs))
        if mode == "predict":
            return [BaseDataElement(score=score) for score in scores]
        return {"loss_cls": functional.cross_entropy(scores, torch.stack(label))}


class Segmentor(BaseModel):
    """A segmentor of segmentation_models_pytorch with two losses."""

    def __init__(self, net, loss):
        super().__init__()
        self.net, self.dice = net, loss

    def forward(self, inputs, masks, mode="tensor"):
        scores, present = self.net(torch.stack(inputs))
        if mode == "predict":
            return [BaseDataElement(mask=score.argmax(0)) for score in scores]
        masks = torch.stack(masks)
        is_in = functional.one_hot(masks, CLASSES).amax((1, 2)).float()
        auxiliary = functional.binary_cross_entropy_with_logits(present, is_in)
        return {"loss_dice": self.dice(scores, masks), "loss_aux": auxiliary}


class Language(BaseModel):
    """A model of transformers, which computes the loss itself."""

    def __init__(self, bert):
        super().__init__()
        self.bert = bert

    def forward(self, input_ids, labels, mode="tensor"):
        output = self.bert(torch.stack(input_ids), labels=torch.stack(labels))
        if mode == "predict":
            return [BaseDataElement(logits=logits) for logits in output.logits]
        return {"loss_cls": output.loss}


def scene(generator):
    """An image of its own size, with two boxes."""
    height, width = torch.randint(48, 80, (2,), generator=generator).tolist()
    corners = torch.rand((2, 2), generator=generator) * 20
    sizes = 8 + torch.rand((2, 2), generator=generator) * 16
    labels = torch.randint(1, CLASSES, (2,), generator=generator)
    instances = InstanceData(bboxes=torch.cat([corners, corners + sizes], 1))
    instances.labels = labels
    image = torch.rand((3, height, width), generator=generator)
    return {"inputs": image, "data_samples": BaseDataElement(gt_instances=instances)}


def picture(generator):
    image = torch.rand((3, 32, 32), generator=generator)
    return {
        "inputs": image,
        "label": torch.randint(0, CLASSES, (), generator=generator),
    }


def masked(generator):
    masks = torch.randint(0, CLASSES, (64, 64), generator=generator)
    return {"inputs": torch.rand((3, 64, 64), generator=generator), "masks": masks}


def sentence(generator):
    words = torch.randint(0, 50, (9,), generator=generator)
    return {"input_ids": words, "labels": words.sum() % 2}


def retinanet():
    detection = pytest.importorskip("torchvision", minversion="0.13").models.detection
    sizes = {"min_size": 64, "max_size": 96, "num_classes": CLASSES}
    make = detection.retinanet_resnet50_fpn
    return Detector(make(weights=None, weights_backbone=None, **sizes)), scene


def faster_rcnn():
    detection = pytest.importorskip("torchvision", minversion="0.13").models.detection
    sizes = {"min_size": 64, "max_size": 96, "num_classes": CLASSES}
    make = detection.fasterrcnn_mobilenet_v3_large_320_fpn
    return Detector(make(weights=None, weights_backbone=None, **sizes)), scene


def timm_resnet():
    timm = pytest.importorskip("timm")
    # Its head calls torch.nn.functional.dropout.
    noise = {"drop_rate": 0.5, "drop_path_rate": 0.2}
    net = timm.create_model("resnet18", pretrained=False, num_classes=CLASSES, **noise)
    return Classifier(net), picture


def smp_unet():
    smp = pytest.importorskip("segmentation_models_pytorch")
    auxiliary = {"classes": CLASSES, "dropout": 0.5}
    net = smp.Unet(
        "resnet18", encoder_weights=None, classes=CLASSES, aux_params=auxiliary
    )
    return Segmentor(net, smp.losses.DiceLoss(mode="multiclass")), masked


def bert():
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
        hidden_dropout_prob=0.5,
        num_labels=2,
    )
    return Language(transformers.BertForSequenceClassification(config)), sentence


def by_hand(model):
    """A copy of a model in which functional dropout does nothing."""
    copied = copy.deepcopy(model)
    for module in copied.modules():
        if hasattr(module, "drop_rate"):
            module.drop_rate = 0.0
    return copied


def run(folder, model, dataset, **hook):
    """Return the metrics of a validation."""
    runner = Runner(
        model=model,
        work_dir=str(folder),
        experiment_name=uuid.uuid4().hex,
        val_dataloader=DataLoader(dataset, batch_size=2, collate_fn=by_key),
        val_cfg={},
        val_evaluator=[Count()],
        custom_hooks=[{"type": "ValLossHook", **hook}] if hook else [],
        visualizer=silent_visualizer(),
        log_level="ERROR",
    )
    return runner.val()


@pytest.mark.parametrize("make", [retinanet, faster_rcnn, timm_resnet, smp_unet, bert])
def test_loss_of_a_wrapped_model_is_that_of_frozen_training(tmp_path, make):
    torch.manual_seed(0)
    model, draw = make()
    dataset = Samples(draw)
    batches = list(DataLoader(dataset, batch_size=2, collate_fn=by_key))
    expected = frozen.losses(by_hand(model), batches)
    assert all(map(math.isfinite, expected.values()))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    for strategy in ("auto", "second_forward"):
        metrics = run(tmp_path, model, dataset, strategy=strategy)
        losses = {name: metrics[name] for name in expected}
        assert losses == pytest.approx(expected, rel=1e-5)
        assert metrics["predictions"] == len(dataset)
    # Nothing was trained, and no statistics were updated.
    assert all(value.equal(before[key]) for key, value in model.state_dict().items())
    # A training has noise: other statistics, dropout.
    first = frozen.losses(by_hand(model), batches[:1])["val_loss"]
    frozen.seed()
    with torch.no_grad():
        noisy = model.train()._run_forward(batches[0], mode="loss")
    assert float(sum(noisy.values())) != pytest.approx(first, rel=1e-5)


@pytest.mark.parametrize("make", [retinanet, faster_rcnn])
def test_detector_has_no_losses_in_eval_mode(make):
    """That is why the loss is not computed in the mode of the validation."""
    model, draw = make()
    batch = by_key([draw(torch.Generator().manual_seed(0))])
    with torch.no_grad(), pytest.raises(AttributeError, match="'list' object has no"):
        model.eval()._run_forward(batch, mode="loss")
    assert model.train()._run_forward(batch, mode="loss")
