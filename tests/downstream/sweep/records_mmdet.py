"""Records of mmdet: boxes, polygons, run lengths, crowds, label maps, texts."""

from __future__ import annotations

import inspect
import json
import pickle
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from downstream.oracle.language import WORDS
from downstream.oracle.pictures import Picture, outline
from downstream.sweep.files import Files

Record = Dict[str, Any]


def boxes(dataset: Any, made: Files) -> List[Record]:
    """Images with objects: the last of the first image is a crowd."""
    classes = made.labels(_names(dataset))
    records = []
    for picture in made.pictures(classes):
        record = _image(picture, made)
        record["seg_map_path"] = made.label_map(picture, "stuff")
        record["instances"] = instances(picture)
        if getattr(dataset, "return_classes", False):
            record["text"] = dataset.metainfo.get("classes", WORDS)
            record["caption_prompt"] = dataset.caption_prompt
            record["custom_entities"] = True
        if any(b.__module__.startswith("mmrotate.") for b in type(dataset).__mro__):
            for one in record["instances"]:
                left, top, right, bottom = one["bbox"]
                one["bbox"] = [left, top, right, top, right, bottom, left, bottom]
        records.append(record)
    # What filter_data of some classes reads.
    dataset.cat_ids = list(range(classes))
    dataset.cat2label = {label: label for label in dataset.cat_ids}
    dataset.cat_img_map = {label: [r["img_id"] for r in records] for label in [0]}
    for record in records:
        for one in record["instances"]:
            dataset.cat_img_map.setdefault(one["bbox_label"], []).append(
                record["img_id"]
            )
    return records


def panoptic(dataset: Any, made: Files) -> List[Record]:
    """The same with a map of segments: objects and two areas of stuff."""
    names = dataset.metainfo
    things, stuff = len(names["thing_classes"]), len(names["stuff_classes"])
    dataset.cat_ids = list(range(things + stuff))
    records = []
    for picture in made.pictures(things):
        record = _image(picture, made)
        record["seg_map_path"] = made.write(
            f"panoptic-{picture.index}.png", _segments(picture)
        )
        record["instances"] = instances(picture, masks=False)
        record["segments_info"] = [
            {
                "id": number,
                "category": things + number % stuff if number < 2 else label,
                "is_thing": number >= 2,
            }
            for number, label in enumerate([0, 0, *map(int, picture.labels)])
            if number  # 0 is no segment
        ]
        if picture.index == 0:  # a crowd: it is no thing, and no instance
            record["segments_info"][-1]["is_thing"] = False
            del record["instances"][-1]
        records.append(record)
    return records


def images_of_classes(dataset: Any, made: Files) -> List[Record]:
    """Open Images: classes are named by files."""
    dataset._metainfo["classes"] = tuple(map(str, range(made.classes)))
    dataset.label_id_mapping = {str(n): n for n in range(made.classes)}
    records = boxes(dataset, made)
    for record in records:
        record["image_level_labels"] = np.array([0], np.int64)
        record["confidences"] = np.array([1.0], np.float32)
        for one in record["instances"]:
            one["is_group_of"] = bool(one["ignore_flag"])
    return records


def phrases(dataset: Any, made: Files) -> List[Record]:
    """Images with a caption, of which each object is a word."""
    caption = " . ".join(WORDS) + " ."
    spans = [[[caption.index(word), caption.index(word) + len(word)]] for word in WORDS]
    records = []
    for picture in made.pictures(len(WORDS)):
        record = _image(picture, made)
        record.update(
            text=caption,
            custom_entities=False,
            tokens_positive=spans,
            phrases=list(WORDS),
            phrase_ids=[int(label) for label in picture.labels],
            dataset_mode="refcoco",
            sent_ids=np.arange(len(WORDS)),
            instances=instances(picture, masks=False, crowd=False),
        )
        records.append(record)
    return records


def expressions(dataset: Any, made: Files) -> List[Record]:
    """Images with one expression, which names its objects."""
    records = phrases(dataset, made)
    for record in records:
        record["tokens_positive"] = -1
        for one in record["instances"]:
            one["bbox_label"] = 0
    return records


def named(dataset: Any, made: Files) -> List[Record]:
    """Objects of named classes (ODVG): in a training, negative ones are drawn."""
    records = boxes(dataset, made)
    for record in records:
        record["dataset_mode"] = "OD"
        record["text"] = dict(enumerate(WORDS))
        for one in record["instances"]:
            one["bbox_label"] %= len(WORDS)
    return records


def prepare(config: Any, cls: Any, made: Files) -> None:
    """Write what a dataset reads when it is built: proposals, names of classes."""
    root = Path(config.get("data_root") or "")
    if config.get("proposal_file"):
        found = {}
        for picture in made.pictures(1):
            path = Path(made.image(picture))
            height, width = picture.shape
            corners = np.sort(np.random.RandomState(0).rand(60, 2, 2), 1)
            boxes = corners.reshape(60, 4) * [width, height, width, height]
            found[f"{path.parent.name}/{path.name}"] = {
                "bboxes": boxes.astype(np.float32),
                "scores": np.linspace(1, 0.1, 60).astype(np.float32),
            }
        (root / config["proposal_file"]).write_bytes(pickle.dumps(found))
    if config.get("label_map_file"):
        names = json.dumps({str(n): word for n, word in enumerate(WORDS)})
        (root / config["label_map_file"]).write_text(names)
    if cls.__name__ == "DSDLDetDataset":
        # Its reader is in a package of its own, and what it reads is replaced as well.
        vars(sys.modules[cls.__module__])["DSDLDataset"] = _NamesOfClasses
    if cls.__name__ == "V3DetDataset":
        path = root / inspect.signature(cls).parameters["label_file"].default
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(map(str, range(made.classes))))


class _NamesOfClasses:
    class_names = WORDS

    def __init__(self, **_: Any) -> None:
        """It reads no file."""


def instances(picture: Picture, masks: bool = True, crowd: bool = True) -> List[Record]:
    """The objects of a picture; one reaches beyond its border."""
    found = []
    for number, (box, label) in enumerate(zip(picture.boxes, picture.labels)):
        left, top, right, bottom = map(float, box)
        if number == 1:
            left, right = -7.5, right + 3.25
        if number == 2:
            top, bottom = 0.0, bottom
        several = crowd and picture.index == 0 and number == len(picture.labels) - 1
        one: Record = {
            "bbox": [left, top, right, bottom],
            "bbox_label": int(label),
            "ignore_flag": int(several),
        }
        if masks:
            mask = picture.masks[number]
            one["mask"] = _runs(mask) if several else [outline(mask).tolist()]
        found.append(one)
    return found


def _image(picture: Picture, made: Files) -> Record:
    height, width = picture.shape
    return {
        "img_path": made.image(picture),
        "img_id": picture.index,
        "height": height,
        "width": width,
    }


def _names(dataset: Any) -> int:
    return len(dataset.metainfo.get("classes") or ())


def _runs(mask: Any) -> Record:
    packed = coco_mask.encode(np.asfortranarray(mask))
    return {"size": packed["size"], "counts": packed["counts"]}


def _segments(picture: Picture) -> Any:
    """A panoptic map as it is stored: red of an id is its lowest byte."""
    ids = np.ones(picture.shape, np.uint8)
    for number, mask in enumerate(picture.masks):
        ids[mask > 0] = number + 2
    zeros = np.zeros_like(ids)
    return cv2.merge([zeros, zeros, ids])


#: Method that loads a list of records -> what makes one in its place.
DATASETS: Mapping[str, Callable[[Any, Files], List[Record]]] = {
    "BaseDetDataset.load_data_list": boxes,
    "CocoPanopticDataset.load_data_list": panoptic,
    "OpenImagesDataset.load_data_list": images_of_classes,
    "Flickr30kDataset.load_data_list": phrases,
    "DODDataset.load_data_list": phrases,
    "MDETRStyleRefCocoDataset.load_data_list": expressions,
    "RefCocoDataset.load_data_list": expressions,
    "ODVGDataset.load_data_list": named,
}
