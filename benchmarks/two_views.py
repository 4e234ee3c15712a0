"""What the second view of a validation sample costs a worker.

    python benchmarks/two_views.py

needs mmdet and mmseg (tox's ``downstream-full``). Shipped pipelines run on one image of
the size of COCO's or Cityscapes', from a JPEG file: as they are, and with a second view
behind the loading of the image.
"""

from __future__ import annotations

import importlib
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, Callable, Dict

ROUNDS = 30


def boxes(folder: Path) -> Dict[str, Any]:
    """Return a sample of mmdet: 20 boxes with a polygon of 40 corners each."""
    import numpy as np

    draw = np.random.RandomState(0)
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    instances = []
    for _ in range(20):
        centre, radius = draw.rand(2) * (560, 400) + 40, draw.randint(10, 80)
        corners = centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        low, high = corners.min(axis=0), corners.max(axis=0)
        instances.append(
            {
                "bbox": [*low, *high],
                "bbox_label": 1,
                "ignore_flag": 0,
                "mask": [corners.ravel().tolist()],
            }
        )
    path = image(folder / "boxes.jpg", 640, 480)
    size = {"height": 480, "width": 640}
    return {"img_path": path, "img_id": 1, **size, "instances": instances}


def label_map(folder: Path) -> Dict[str, Any]:
    """Return a sample of mmseg: an image and a label map."""
    import cv2
    import numpy as np

    path = image(folder / "map.jpg", 2048, 1024)
    coarse = np.random.RandomState(0).randint(0, 19, (16, 32)).astype(np.uint8)
    whole = cv2.resize(coarse, (2048, 1024), interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(folder / "map.png"), whole)
    return {
        "img_path": path,
        "seg_map_path": str(folder / "map.png"),
        "label_map": None,
        "reduce_zero_label": False,
        "seg_fields": [],
    }


def image(path: Path, width: int, height: int) -> str:
    """Write an image of as many bytes as a photograph, and return its path."""
    import cv2
    import numpy as np

    draw = np.random.RandomState(0)
    coarse = draw.randint(0, 255, (height // 16, width // 16, 3)).astype(np.float32)
    noisy = cv2.resize(coarse, (width, height)) + draw.randn(height, width, 1) * 8
    cv2.imwrite(str(path), noisy.clip(0, 255).astype(np.uint8))
    return str(path)


ROWS = (
    ("20 boxes", "mmdet", "retinanet/retinanet_r50_fpn_1x_coco.py", boxes),
    ("20 boxes and masks", "mmdet", "mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py", boxes),
    (
        "label map",
        "mmseg",
        "pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py",
        label_map,
    ),
)


def milliseconds(pipeline: Callable[[Any], Any], data: Dict[str, Any]) -> float:
    """Return the median CPU time of a pipeline."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        pipeline(dict(data))
        times.append(time.process_time() - start)
    return statistics.median(times) * 1e3


def main() -> int:
    """Print the table."""
    warnings.simplefilter("ignore")
    import cv2
    import torch
    from mmengine.config import Config
    from mmengine.dataset import Compose
    from mmengine.registry import TRANSFORMS, DefaultScope

    from valloss_compat._libraries.pipelines import training_transforms
    from valloss_compat._loss_forward.two_views import TwoViews, loss_pipeline, split

    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    print("| ground truth | one view, ms | two views, ms | added |")
    print("|---|--:|--:|--:|")
    for name, library, path, make in ROWS:
        package = Path(importlib.import_module(library).__file__ or "").parent
        config = Config.fromfile(str(package / ".mim" / "configs" / path))
        utils = importlib.import_module(f"{library}.utils")
        utils.register_all_modules(init_default_scope=False)
        with DefaultScope.overwrite_default_scope(
            library
        ), tempfile.TemporaryDirectory() as folder:
            data = make(Path(folder))
            steps = config.val_dataloader.dataset.pipeline
            validation = [TRANSFORMS.build(step) for step in steps]
            training = training_transforms(config.train_dataloader.dataset)
            one = Compose(validation)
            two = TwoViews(validation, loss_pipeline(validation, training))
            (view,) = split(two(dict(data)))[1]
            assert view.keys(), view  # a rejection otherwise
            plain, both = milliseconds(one, data), milliseconds(two, data)
        added = both / plain - 1
        print(f"| {name} | {plain:.1f} | {both:.1f} | {added:.0%} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
