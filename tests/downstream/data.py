"""Small data sets in the formats of the libraries, with cases that make losses wrong.

Images differ in size and aspect ratio, so that a batch is padded and a ground truth in
the wrong frame is noticed. Boxes reach over the border, masks are polygons and run
lengths, some boxes are crowds, one image has no object. All of it is drawn from a
fixed seed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import cv2
import numpy as np
from pycocotools import mask as coco_mask

#: Width and height of each image.
SIZES = ((120, 90), (80, 128), (101, 67), (64, 64), (150, 51), (77, 103), (133, 98))
#: Index of the image without objects.
EMPTY = 3
#: Classes of the segmentation maps; losses ignore 255.
SEGMENTS = 19


def images(folder: Path, sizes: Any = SIZES) -> List[str]:
    """Write one PNG of coloured shapes for each size, and return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.RandomState(0)
    names = []
    for index, (width, height) in enumerate(sizes):
        image = draw.randint(0, 80, (height, width, 3)).astype(np.uint8)
        for _ in range(4):
            corner = (int(draw.randint(width)), int(draw.randint(height)))
            colour = tuple(int(c) for c in draw.randint(80, 255, 3))
            cv2.circle(image, corner, int(draw.randint(5, 30)), colour, -1)
        names.append(f"{index:012d}.png")
        cv2.imwrite(str(folder / names[-1]), image)
    return names


def coco(root: Path, classes: Sequence[str]) -> Path:
    """A COCO data set of boxes and masks; returns its annotation file."""
    draw = np.random.RandomState(1)
    annotations: List[Dict[str, Any]] = []
    for index, (width, height) in enumerate(SIZES):
        for number in range(0 if index == EMPTY else 5):
            mask = _mask(draw, width, height)
            x, y, w, h = (float(v) for v in coco_mask.toBbox(_packed(mask)))
            if number == 1:  # annotated beyond the border, as some are in COCO
                x, w = x - 7.5, w + 21.25
            crowd = number == 4
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index + 1,
                    "category_id": 1 + int(draw.randint(len(classes))),
                    "bbox": [x, y, w, h],
                    "area": float(mask.sum()),
                    "iscrowd": int(crowd),
                    "segmentation": _runs(mask) if crowd else _polygons(mask),
                }
            )
    categories = [{"id": index + 1, "name": name} for index, name in enumerate(classes)]
    return _write(root, annotations, categories)


def keypoints(root: Path) -> Path:
    """A COCO data set of persons with 17 keypoints; returns its annotation file."""
    draw = np.random.RandomState(2)
    annotations = []
    for index, (width, height) in enumerate(SIZES):
        for _ in range(0 if index == EMPTY else 2):
            left, top = draw.rand(2) * (width * 0.3, height * 0.3)
            w, h = (0.4 + draw.rand(2) * 0.3) * (width, height)
            spots = np.stack(
                [
                    left + draw.rand(17) * w,
                    top + draw.rand(17) * h,
                    draw.randint(0, 3, 17),  # not annotated, hidden, visible
                ],
                axis=1,
            )
            spots[0, 2] = 2
            spots[spots[:, 2] == 0] = 0
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index + 1,
                    "category_id": 1,
                    "bbox": [float(v) for v in (left, top, w, h)],
                    "area": float(w * h),
                    "iscrowd": 0,
                    "num_keypoints": int((spots[:, 2] > 0).sum()),
                    "keypoints": [float(v) for v in spots.ravel()],
                }
            )
    return _write(root, annotations, [{"id": 1, "name": "person"}])


def segmentation(root: Path, sizes: Any = SIZES) -> Path:
    """Images and maps of ``SEGMENTS`` classes as pairs of PNG; returns the root."""
    maps = root / "maps"
    maps.mkdir(parents=True, exist_ok=True)
    draw = np.random.RandomState(3)
    for name, (width, height) in zip(images(root / "images", sizes), sizes):
        coarse = draw.randint(0, SEGMENTS, (4, 5)).astype(np.uint8)
        coarse[draw.rand(4, 5) < 0.1] = 255
        whole = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(maps / name), whole)
    return root


def _mask(draw: Any, width: int, height: int) -> Any:
    mask = np.zeros((height, width), np.uint8)
    center = (int(draw.randint(width)), int(draw.randint(height)))
    axes = (int(draw.randint(8, width // 2)), int(draw.randint(8, height // 2)))
    cv2.ellipse(mask, center, axes, float(draw.randint(180)), 0, 360, 1, -1)
    return mask


def _packed(mask: Any) -> Dict[str, Any]:
    packed: Dict[str, Any] = coco_mask.encode(np.asfortranarray(mask))
    return packed


def _runs(mask: Any) -> Dict[str, Any]:
    """COCO's uncompressed run lengths: column by column, zeros first."""
    flat = np.concatenate([[0], mask.ravel(order="F"), [2]])
    ends = np.flatnonzero(np.diff(flat))
    counts = np.diff(np.concatenate([[0], ends])).tolist()
    return {"size": list(mask.shape), "counts": counts}


def _polygons(mask: Any) -> List[List[float]]:
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [
        [float(v) for v in outline.ravel()] for outline in outlines if len(outline) > 2
    ]


def _write(root: Path, annotations: Any, categories: Any) -> Path:
    names = images(root / "images")
    pictures = [
        {"id": index + 1, "file_name": name, "width": width, "height": height}
        for index, (name, (width, height)) in enumerate(zip(names, SIZES))
    ]
    path = root / "annotations.json"
    path.write_text(
        json.dumps(
            {"images": pictures, "annotations": annotations, "categories": categories}
        )
    )
    return path


def boxes_of(path: Path) -> List[Tuple[int, List[float]]]:
    """Image and box (x, y, width, height) of each annotation, in the original image."""
    return [
        (annotation["image_id"], annotation["bbox"])
        for annotation in json.loads(path.read_text())["annotations"]
    ]
