"""A library as mmdet is one: images are moved before their boxes are loaded.

Its transforms have the names of those of the libraries, which is how the package knows
them. The image of sample ``index`` is drawn from that index.
"""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, Dict, List

import numpy as np
import torch
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.evaluator import BaseMetric
from mmengine.structures import BaseDataElement
from torch.utils.data import DataLoader

from loss_forward.models import Classifier, make_runner
from loss_forward.oracle import batches_of, frozen_losses

#: Width and height of each image.
SIZES = ((30, 20), (16, 24), (40, 40), (25, 32))


class LoadImage:
    """Reads an image; counts how often."""

    reads: ClassVar[List[int]] = []

    def __call__(self, results):
        width, height = results["size"]
        draw = np.random.RandomState(results["index"])
        self.reads.append(results["index"])
        results["img"] = draw.randint(0, 255, (height, width, 3)).astype(np.uint8)
        results["ori_shape"] = results["img_shape"] = (height, width)
        return results


class LoadAnnotations:
    """Boxes in the frame of the original image, and labels if asked for."""

    def __init__(self, with_label=False):
        self.with_label = with_label

    def __call__(self, results):
        results["gt_bboxes"] = np.array(results["boxes"], np.float32).reshape(-1, 4)
        if self.with_label:
            results["gt_labels"] = np.arange(len(results["boxes"]))
        return results


class Resize:
    """Scales the image by repeating pixels, and boxes that are there by then."""

    def __init__(self, times=3):
        self.times = times

    def __call__(self, results):
        results["img"] = results["img"].repeat(self.times, 0).repeat(self.times, 1)
        results["img_shape"] = results["img"].shape[:2]
        for name in ("gt_bboxes", "gt_polygons"):
            if name in results:
                results[name] = results[name] * self.times
        if "gt_seg_map" in results:
            labels = results["gt_seg_map"]
            results["gt_seg_map"] = labels.repeat(self.times, 0).repeat(self.times, 1)
        return results


class Letterbox:
    """Pads on the left and top; not moving the boxes is a user's mistake."""

    def __init__(self, left=0, top=0, moves_boxes=True):
        self.border, self.moves_boxes = (left, top), moves_boxes

    def __call__(self, results):
        left, top = self.border
        widths = [(top, 0), (left, 0), (0, 0)]
        results["img"] = np.pad(results["img"], widths, constant_values=114)
        if self.moves_boxes and "gt_bboxes" in results:
            results["gt_bboxes"] = results["gt_bboxes"] + [left, top, left, top]
        return results


class GenerateTarget:
    """What the loss compares with, drawn in the frame of the boxes by now."""

    def __call__(self, results):
        results["gt_target"] = results["gt_bboxes"].sum(keepdims=True)
        return results


class PackInputs:
    """A data sample with the ground truth, and ``keys`` of it alone, if given."""

    def __init__(self, keys=("gt_bboxes", "gt_labels", "gt_target")):
        self.keys = keys

    def __call__(self, results):
        sample = BaseDataElement(
            metainfo={name: results[name] for name in ("index", "img_shape")}
        )
        for name in self.keys:
            if name in results:
                sample.set_data({name: torch.as_tensor(results[name])})
        image = torch.as_tensor(results["img"].transpose(2, 0, 1).copy())
        return {"inputs": image, "data_samples": sample}


class Boxes(BaseDataset):
    """Images with boxes, of which some lie on and over the border; one has none."""

    METAINFO: ClassVar[Dict[str, Any]] = {"classes": ("box",)}

    def load_data_list(self):
        return [
            {"index": index, "size": size, "boxes": self.boxes(index, *size)}
            for index, size in enumerate(SIZES)
        ]

    def boxes(self, index, width, height):
        inner = [3 + index, 4, width / 2, height / 2 + index]
        over = [width / 2, height / 2, width + 5, height]
        return [inner, over] if index != 1 else []


#: A worker that stays, where torch has them (from 1.7 on).
WORKER: Dict[str, Any] = {"num_workers": 1}
if "persistent_workers" in inspect.signature(DataLoader.__init__).parameters:
    WORKER["persistent_workers"] = True
VALIDATION = (LoadImage(), Resize(), LoadAnnotations(), PackInputs())
#: The order of a training.
TRAINING = (LoadImage(), LoadAnnotations(), Resize(), PackInputs())


def dataset_of(*pipeline, kind=Boxes, **options):
    """A dataset with annotations in memory, in the test mode of a validation.

    By default not serialized, as that collects all garbage first.
    """
    options = {"serialize_data": False, "lazy_init": False, **options}
    return kind(ann_file="", pipeline=list(pipeline), test_mode=True, **options)


def loader_of(*pipeline, dataset=None, **options):
    """A data loader as the Runner builds one."""
    options = {"batch_size": 2, "collate_fn": pseudo_collate, **options}
    return DataLoader(dataset or dataset_of(*(pipeline or VALIDATION)), **options)


class Detector(Classifier):
    """Its loss is that of the pixels beside the mean of the box coordinates."""

    def forward(self, inputs, data_samples=None, mode="tensor"):
        pixels = torch.stack([image.float().mean() for image in inputs])
        scores = self.head((pixels.reshape(-1, 1).repeat(1, 4) / 255,))
        if mode == "predict":
            for sample, score in zip(data_samples, scores):
                sample.set_data({"pred": score})
            return data_samples
        boxes = [sample.get("gt_bboxes") for sample in data_samples]
        off = [score.mean() - box.float().sum() for score, box in zip(scores, boxes)]
        return {"loss_box": torch.stack(off).abs()}


class Given(BaseMetric):
    """Keeps all that a metric is given."""

    default_prefix = "mean"

    def __init__(self):
        super().__init__()
        self.samples: List[Any] = []

    def process(self, data_batch, data_samples):
        self.samples += [
            {name: torch.as_tensor(value).tolist() for name, value in sample.items()}
            for sample in data_samples
        ]
        self.results += [float(sample["pred"][0]) for sample in data_samples]

    def compute_metrics(self, results):
        return {"score": sum(results) / len(results)}


def detector_runner(work_dir, *hooks, **options):
    """A Runner that validates :class:`Detector` on :class:`Boxes`."""
    options.setdefault("model", Detector())
    options.setdefault("val_dataloader", loader_of())
    options.setdefault("val_evaluator", [Given()])
    options.setdefault("train_dataloader", loader_of(*TRAINING))
    return make_runner(work_dir, *hooks, **options)


def known_losses(*pipeline, dataset=None, model=None, size=2):
    """What the loss of a training gives for the boxes, by hand."""
    dataset = dataset or dataset_of(*(pipeline or TRAINING))
    return frozen_losses(model or Detector(), batches_of(dataset, size))
