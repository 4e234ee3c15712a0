"""Drawn pictures with objects: what the samples of all libraries are made of.

Sizes differ within a batch, so that a batch is padded, and one picture has no object.
All of it is drawn from a fixed seed.
"""

from __future__ import annotations

from typing import Any, List, NamedTuple, Sequence, Tuple

import cv2
import numpy as np

#: Height and width of each picture: two batches of two. Multiples of 4, so that the
#: size before resizing is whole.
SIZES = ((96, 128), (80, 112), (112, 80), (96, 96))
#: The picture without objects, if a model's training accepts one.
EMPTY = 2
#: By what the pictures were resized, and their objects with them.
SCALE = 0.8


class Picture(NamedTuple):
    """A picture and its objects, in its own frame.

    Attributes:
        index (int): Its number.
        image (ndarray): Height, width, channels; 8 bits.
        masks (ndarray): Objects, height, width; 0 or 1.
        boxes (ndarray): Objects, 4: left, top, right, bottom.
        labels (ndarray): Objects.
        segments (ndarray): Height, width: a label map of coarse areas, 255 in some.
    """

    index: int
    image: Any
    masks: Any
    boxes: Any
    labels: Any
    segments: Any

    @property
    def shape(self) -> Tuple[int, int]:
        """Height and width."""
        height, width = self.image.shape[:2]
        return height, width

    @property
    def original(self) -> Tuple[int, int]:
        """Height and width before resizing."""
        height, width = self.shape
        return round(height / SCALE), round(width / SCALE)


def pictures(
    sizes: Sequence[Tuple[int, int]] = SIZES,
    classes: int = 80,
    objects: int = 4,
    empty: bool = True,
    segments: int = 19,
    ignored: bool = True,
) -> List[Picture]:
    """Draw one picture for each size.

    Args:
        sizes (Sequence[tuple]): Height and width of each. Defaults to ``SIZES``.
        classes (int): Labels of objects are below. Defaults to 80.
        objects (int): Number of objects of a picture. Defaults to 4.
        empty (bool): Whether one picture has none. Defaults to True.
        segments (int): Labels of the map are below. Defaults to 19.
        ignored (bool): Whether some of the map is 255. Defaults to True.
    """
    draw = np.random.RandomState(7)
    drawn = []
    for index, (height, width) in enumerate(sizes):
        image = draw.randint(0, 60, (height, width, 3)).astype(np.uint8)
        masks = np.zeros((objects, height, width), np.uint8)
        for mask in masks:
            center = (
                int(draw.randint(width // 5, width - width // 5)),
                int(draw.randint(height // 5, height - height // 5)),
            )
            least = min(height, width)
            axes = [int(v) for v in draw.randint(least // 8, least // 3, 2)]
            angle = float(draw.randint(180))
            cv2.ellipse(mask, center, tuple(axes), angle, 0, 360, 1, -1)
            image[mask > 0] += draw.randint(40, 190, 3).astype(np.uint8)
        labels = draw.randint(0, classes, objects)
        coarse = draw.randint(0, segments, (4, 5)).astype(np.uint8)
        if ignored:
            coarse[draw.rand(4, 5) < 0.1] = 255
        areas = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)
        if empty and index == EMPTY:
            masks, labels = masks[:0], labels[:0]
        drawn.append(Picture(index, image, masks, around(masks), labels, areas))
    return drawn


def around(masks: Any) -> Any:
    """The boxes of masks."""
    boxes = np.zeros((len(masks), 4), np.float32)
    for box, mask in zip(boxes, masks):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes


def outline(mask: Any) -> Any:
    """The polygon around a mask: x, y, x, y ..."""
    found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1)
    longest = max(found, key=len)
    return longest.reshape(-1).astype(np.float32)
