"""Records of mmocr: outlines of texts, words, forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping

import numpy as np

from downstream.oracle.pictures import outline
from downstream.sweep.files import Files

Record = Dict[str, Any]
#: Of different length, with characters that all dictionaries have.
TEXTS = ("hello", "x", "ab12cd34", "word")


def texts(dataset: Any, made: Files) -> List[Record]:
    """Images with texts: many, of which one cannot be read, or one to be recognised."""
    # The pipeline says it, too, but a dataset in a wrapper has none when it is built.
    recognised = "Recog" in str(made.model.get("data_preprocessor"))
    records = []
    for picture in made.pictures(1):
        height, width = picture.shape
        instances = []
        for number, (box, mask) in enumerate(zip(picture.boxes, picture.masks)):
            polygon = outline(mask)
            if number == 1:  # beyond the border
                polygon[0::2] -= box[0] + 3
                box = np.array([-3, box[1], box[2] - box[0] - 3, box[3]])
            instances.append(
                {
                    "bbox": [float(v) for v in box],
                    "bbox_label": 0,
                    "polygon": [float(v) for v in polygon],
                    "text": TEXTS[number],
                    "ignore": number == 3,
                }
            )
        if recognised:
            instances = [{"text": TEXTS[picture.index], "ignore": False}]
        records.append(
            {
                "img_path": made.image(picture),
                "height": height,
                "width": width,
                "instances": instances,
            }
        )
    # Transforms drop an image without a text, and some validations then raise.
    return [record for record in records if record["instances"]]


def forms(dataset: Any, made: Files) -> List[Record]:
    """Images of forms with texts in classes, some of which belong together."""
    records = []
    for picture in made.pictures(min(26, made.classes)):
        instances = [
            {
                "bbox": box.astype(np.int32),
                "text": TEXTS[number],
                "bbox_label": int(label),
                "edge_label": number % 2,
            }
            for number, (box, label) in enumerate(zip(picture.boxes, picture.labels))
        ]
        record = {"img_path": made.image(picture), "img_shape": picture.shape}
        records.append({**record, "instances": instances})
    return [record for record in records if record["instances"]]


def prepare(config: Any, cls: Any, made: Files) -> None:
    """Write the names of classes of forms."""
    if isinstance(config.get("metainfo"), str):
        path = Path(config["metainfo"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(f"{number} class_{number}" for number in range(26)))


#: Method that loads a list of records -> what makes one in its place.
DATASETS: Mapping[str, Callable[[Any, Files], List[Record]]] = {
    "OCRDataset.load_data_list": texts,
    "RecogLMDBDataset.load_data_list": texts,
    "RecogTextDataset.load_data_list": texts,
    "IcdarDataset.load_data_list": texts,
    "WildReceiptDataset.load_data_list": forms,
}
