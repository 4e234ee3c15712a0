"""Writes scikit-learn's handwritten digits as an image folder: a folder a class.

Run it with ``python examples/digits_folder.py``; the configs and scripts for
mmpretrain beside it read what it writes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Dict, Optional, Sequence

import cv2
import numpy as np
from sklearn.datasets import load_digits

SIDE = 32


def write_digits(root: Path, sizes: Dict[str, int]) -> None:
    """Writes ``ROOT/SPLIT/DIGIT/INDEX.png``, images of 32x32 pixels.

    Args:
        root (Path): The folder to write to.
        sizes (dict): Split -> number of images; no image is in two splits.
    """
    digits = load_digits()
    order = iter(np.random.RandomState(0).permutation(len(digits.images)))
    for split, size in sizes.items():
        for _ in range(size):
            index = next(order)
            image = (digits.images[index] * 255 / 16).astype(np.uint8)
            folder = root / split / str(digits.target[index])
            folder.mkdir(parents=True, exist_ok=True)
            large = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(folder / f"{index:04d}.png"), large)


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Writes the digits for the examples.

    Args:
        argv (Sequence[str], optional): Arguments instead of ``sys.argv``.
    """
    parser = argparse.ArgumentParser(description="digits as an image folder")
    parser.add_argument("--root", type=Path, default=Path("data/digits"))
    parser.add_argument("--train", type=int, default=400)
    parser.add_argument("--val", type=int, default=200)
    args = parser.parse_args(argv)
    write_digits(args.root, {"train": args.train, "val": args.val})
    print(f"{args.train} + {args.val} images in {args.root}")


if __name__ == "__main__":
    main()
