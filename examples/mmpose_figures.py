"""Draws stick figures with 17 keypoints, annotated as in COCO, and detects them.

Run it with ``python examples/mmpose_figures.py``; the config for mmpose beside it reads
what it writes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import cv2
import numpy as np

SIDE = 100


def draw_figures(root: Path, number: int) -> None:
    """Writes images, ``persons.json`` and, as of a detector, ``detections.json``.

    Args:
        root (Path): The folder to write to.
        number (int): How many images, with one figure each.
    """
    draw = np.random.RandomState(0)
    shape = draw.rand(17, 2)  # all figures are the same, but moved and scaled
    images: List[Dict[str, Any]] = []
    persons: List[Dict[str, Any]] = []
    detections: List[Dict[str, Any]] = []
    root.mkdir(parents=True, exist_ok=True)
    for index in range(number):
        size, (left, top) = draw.randint(40, 60), draw.randint(5, 30, 2)
        points = shape * size + (left, top)
        image = np.full((SIDE, SIDE, 3), 40, np.uint8)
        for keypoint, (x, y) in enumerate(points):
            colour = (15 * keypoint, 255 - 15 * keypoint, 128)
            cv2.circle(image, (int(x), int(y)), 3, colour, -1)
        name = f"{index}.png"
        cv2.imwrite(str(root / name), image)
        images.append({"id": index, "file_name": name, "width": SIDE, "height": SIDE})
        box = [float(left), float(top), float(size), float(size)]
        person = {"image_id": index, "category_id": 1}
        keypoints = np.concatenate([points, np.full((17, 1), 2.0)], axis=1)
        persons.append(
            {
                **person,
                "id": index,
                "iscrowd": 0,
                "bbox": box,
                "area": float(size * size),
                "num_keypoints": 17,
                "keypoints": keypoints.ravel().tolist(),
            }
        )
        moved = [value + float(draw.randint(-3, 4)) for value in box]
        detections.append({**person, "bbox": moved, "score": 0.9})
    categories = [{"id": 1, "name": "person"}]
    annotations = {"images": images, "annotations": persons, "categories": categories}
    (root / "persons.json").write_text(json.dumps(annotations))
    (root / "detections.json").write_text(json.dumps(detections))


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Draws the figures for the example.

    Args:
        argv (Sequence[str], optional): Arguments instead of ``sys.argv``.
    """
    parser = argparse.ArgumentParser(description="stick figures, annotated as in COCO")
    parser.add_argument("--root", type=Path, default=Path("data/figures"))
    parser.add_argument("--number", type=int, default=16)
    args = parser.parse_args(argv)
    draw_figures(args.root, args.number)
    print(f"{args.number} images in {args.root}")


if __name__ == "__main__":
    main()
