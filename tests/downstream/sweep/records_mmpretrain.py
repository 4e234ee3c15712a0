"""Records of mmpretrain: images with one label, with several, pairs with a text."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping

import cv2
import numpy as np

from downstream.sweep.files import Files

Record = Dict[str, Any]


def one_label(dataset: Any, made: Files) -> List[Record]:
    """Images with a class each."""
    classes = made.labels(len(dataset.metainfo.get("classes") or ()))
    return [
        {"img_path": made.image(picture), "gt_label": number * 7919 % classes}
        for number, picture in enumerate(made.pictures(classes))
    ]


def several_labels(dataset: Any, made: Files) -> List[Record]:
    """Images with some classes each, and one that is difficult."""
    records = one_label(dataset, made)
    for record in records:
        label = record["gt_label"]
        record["gt_label"] = [label, (label + 1) % made.classes]
        record["gt_label_difficult"] = [(label + 2) % made.classes]
    return records


def in_memory(side: int, channels: int) -> Callable[[Any, Files], List[Record]]:
    """Make images that a dataset holds in memory."""

    def records(dataset: Any, made: Files) -> List[Record]:
        found = one_label(dataset, made)
        for record, picture in zip(found, made.pictures(made.classes)):
            image = cv2.resize(picture.image, (side, side))
            record["img"] = image if channels == 3 else image[..., 0]
            record["gt_label"] = np.array(record["gt_label"], np.int64)
            del record["img_path"]
        return found

    return records


def pairs(dataset: Any, made: Files) -> List[Record]:
    """Pairs of images of one size, with a sentence that is true or not."""
    path = made.image(made.pictures(2)[0])
    return [
        {"text": "a cat", "gt_label": number % 2, "img_path": [path, path]}
        for number in range(3)
    ]


def expressions(dataset: Any, made: Files) -> List[Record]:
    """Images with an expression for one box."""
    return [
        {
            "img_path": made.image(picture),
            "image_id": picture.index,
            "ann_id": picture.index,
            "text": "a cat",
            "gt_bboxes": np.array([[10, 12, 50, 60]], np.float32),
        }
        for picture in made.pictures(2)
    ]


#: Method that loads a list of records -> what makes one in its place.
DATASETS: Mapping[str, Callable[[Any, Files], List[Record]]] = {
    "BaseDataset.load_data_list": one_label,
    "MultiLabelDataset.load_data_list": several_labels,
    "CIFAR10.load_data_list": in_memory(32, 3),
    "MNIST.load_data_list": in_memory(28, 1),
    "NLVR2.load_data_list": pairs,
    "RefCOCO.load_data_list": expressions,
}
