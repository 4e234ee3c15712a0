"""Images and maps in a temporary folder, of which records name the paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Optional, Sequence, Tuple

import cv2
import numpy as np

from downstream.oracle.model import classes_of
from downstream.oracle.pictures import Picture, pictures

#: Height and width of the images: the second has no object where that is accepted.
SIZES = ((96, 128), (80, 112), (120, 80))


class Files:
    """The files of the made data of one config.

    Args:
        folder (Path): Where they are. What is there already is left.
        model (dict): The config of the model: labels are below its number of classes.
        empty (bool): Whether the last image has no object. Defaults to True.
        sizes (Sequence[tuple], optional): Height and width of each image. Defaults to
            ``SIZES``.
    """

    def __init__(
        self,
        folder: Path,
        model: Any,
        empty: bool = True,
        sizes: Optional[Sequence[Tuple[int, int]]] = None,
    ) -> None:
        self.folder = folder
        self.model = model
        self.classes = classes_of(model, 10)
        self.empty = empty
        self.sizes = tuple(sizes or SIZES)

    def resized(self, sizes: Sequence[Tuple[int, int]]) -> Files:
        """The same with images of other sizes."""
        return Files(self.folder, self.model, self.empty, sizes)

    def labels(self, named: int) -> int:
        """How many labels both the model and a dataset of named classes know."""
        return min(self.classes, named or self.classes)

    def pictures(self, classes: int, **options: Any) -> List[Picture]:
        """The drawn pictures; the last has no object if that is accepted."""
        drawn = pictures(self.sizes, classes=classes, empty=False, **options)
        if self.empty:
            last = drawn[-1]
            drawn[-1] = last._replace(
                masks=last.masks[:0], boxes=last.boxes[:0], labels=last.labels[:0]
            )
        return drawn

    def image(self, picture: Picture, ending: str = ".png") -> str:
        """The path of a picture, which is written once."""
        height, width = picture.shape
        return self.write(
            f"image-{picture.index}-{height}x{width}{ending}", picture.image
        )

    def label_map(self, picture: Picture, name: str) -> str:
        """The path of the map of a picture's areas."""
        labels = sorted(set(np.unique(picture.segments)))
        key = f"{name}-{picture.index}-{picture.shape}-{len(labels)}-{labels[-2:]}"
        return self.write(f"{key}.png", picture.segments)

    def write(self, name: str, image: Any) -> str:
        """Write an image, unless it is there, and return its path."""
        path = self.folder / name
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), image)
        return str(path)
