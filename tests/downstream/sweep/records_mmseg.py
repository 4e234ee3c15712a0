"""Records of mmsegmentation: images with label maps, pairs, depths."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping

import numpy as np

from downstream.oracle.pictures import Picture
from downstream.sweep.files import Files

Record = Dict[str, Any]
#: As wide as those of Cityscapes: some networks need multiples of 64 once resized.
SIZES = ((64, 128),) * 3


def maps(dataset: Any, made: Files) -> List[Record]:
    """Images with a map of classes, in which some is to be ignored."""
    made = made.resized(SIZES)
    reduced = dataset.reduce_zero_label
    classes = _classes(dataset, made)
    records = []
    for picture in made.pictures(classes, segments=classes):
        record = {"img_path": made.image(picture)}
        record["seg_map_path"] = _map(picture, made, classes, reduced)
        record["label_map"] = dataset.label_map
        record["reduce_zero_label"] = reduced
        record["seg_fields"] = []
        records.append(record)
    return records


def changes(dataset: Any, made: Files) -> List[Record]:
    """Pairs of images with a map of what has changed."""
    records = maps(dataset, made)
    for record in records:
        record["img_path2"] = record["img_path"]
    return records


def depths(dataset: Any, made: Files) -> List[Record]:
    """Images of scenes with a map of depths, in millimetres."""
    records = []
    for picture in made.resized(SIZES).pictures(2):
        depth = picture.image.astype(np.uint16).sum(2).astype(np.uint16) * 10 + 500
        records.append(
            {
                "img_path": made.image(picture),
                "depth_map_path": made.write(f"depth-{picture.index}.png", depth),
                "seg_fields": [],
                "category_id": picture.index,
            }
        )
    return records


def _classes(dataset: Any, made: Files) -> int:
    """Values of a map are below: those of the model, or of the original classes."""
    if dataset.label_map:
        return len(dataset.label_map)
    return made.labels(len(dataset.metainfo.get("classes") or ()))


def _map(picture: Picture, made: Files, classes: int, reduced: bool) -> str:
    """A map with 255 where labels are ignored; 0 is also ignored if it is reduced."""
    values = picture.segments
    if reduced:
        values = np.where(values == 255, 0, values + 1).astype(np.uint8)
    name = f"map-{picture.index}-{classes}-{int(reduced)}.png"
    return made.write(name, values)


#: Method that loads a list of records -> what makes one in its place.
DATASETS: Mapping[str, Callable[[Any, Files], List[Record]]] = {
    "BaseSegDataset.load_data_list": maps,
    "BaseCDDataset.load_data_list": changes,
    "NYUDataset.load_data_list": depths,
}
