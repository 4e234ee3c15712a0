"""A top-down pose estimator of mmpose that reports its validation loss.

The recipe of mmengine's pull request 1503 for mmpose: ``predict`` of a subclass of
``TopdownPoseEstimator`` appends the loss element. The loss compares with targets, so
the validation pipeline needs ``GenerateTarget``, with the codec of the training, and
annotated boxes (``bbox_file=None``).

Run it with ``python examples/mmpose_val_loss.py`` where mmpose is installed: it
trains on some drawn figures until early stopping on ``val_loss`` ends it.
"""

# First, so that the loops are ready before a Runner is built.
import valloss_compat

# isort: split
import argparse
import json
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from mmpose.models import TopdownPoseEstimator
from mmpose.registry import MODELS
from mmpose.utils import register_all_modules
from torch import Tensor


@MODELS.register_module()
class PoseEstimatorWithValLoss(TopdownPoseEstimator):
    """A ``TopdownPoseEstimator`` that returns its validation loss."""

    def predict(self, inputs: Tensor, data_samples: List[Any]) -> List[Any]:
        """Predicts poses, and appends the losses of the batch.

        Args:
            inputs (Tensor): Images of shape (N, 3, H, W).
            data_samples (list[PoseDataSample]): N samples with the targets
                that ``GenerateTarget`` made.

        Returns:
            list: The N samples with predictions, and the loss element.
        """
        # Before the predictions, which write into the data samples. With flip_test
        # it is the loss of the image that is not flipped.
        losses = self.loss(inputs, data_samples)
        losses.pop("acc_pose", None)  # an accuracy, not a loss
        return [*super().predict(inputs, data_samples), BaseDataElement(loss=losses)]


def draw(root: Path, count: int = 16) -> Path:
    """Draws stick figures with 17 keypoints, annotated as in COCO.

    Args:
        root (Path): A folder for the images and the annotation file.
        count (int): How many images. Defaults to 16.

    Returns:
        Path: The annotation file.
    """
    rng = np.random.RandomState(0)
    shape = rng.rand(17, 2)  # all figures are the same, but moved and scaled
    images, annotations = [], []
    root.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        size, (left, top) = rng.randint(40, 60), rng.randint(5, 30, 2)
        points = shape * size + (left, top)
        image = np.full((100, 100, 3), 40, np.uint8)
        for number, (x, y) in enumerate(points):
            colour = (15 * number, 255 - 15 * number, 128)
            cv2.circle(image, (int(x), int(y)), 3, colour, -1)
        name = f"{index}.png"
        cv2.imwrite(str(root / name), image)
        images.append({"id": index, "file_name": name, "width": 100, "height": 100})
        visible = np.concatenate([points, np.full((17, 1), 2.0)], axis=1)
        annotations.append(
            {
                "id": index,
                "image_id": index,
                "category_id": 1,
                "iscrowd": 0,
                "bbox": [float(left), float(top), float(size), float(size)],
                "area": float(size * size),
                "num_keypoints": 17,
                "keypoints": visible.ravel().tolist(),
            }
        )
    categories = [{"id": 1, "name": "person"}]
    path = root / "annotations.json"
    path.write_text(
        json.dumps(
            {"images": images, "annotations": annotations, "categories": categories}
        )
    )
    return path


def config_of(annotations: Path, flip_test: bool) -> Config:
    """The config: what a shipped one has, with the two changes named above.

    Args:
        annotations (Path): The annotation file, next to its images.
        flip_test (bool): Whether predictions are averaged with those of the
            flipped image.
    """
    codec: Dict[str, Any] = {
        "type": "MSRAHeatmap",
        "input_size": (64, 64),
        "heatmap_size": (16, 16),
        "sigma": 1,
    }
    pipeline = [
        {"type": "LoadImage"},
        {"type": "GetBBoxCenterScale"},
        {"type": "TopdownAffine", "input_size": codec["input_size"]},
        {"type": "GenerateTarget", "encoder": codec},
        {"type": "PackPoseInputs"},
    ]
    dataset = {
        "type": "CocoDataset",
        "data_root": str(annotations.parent),
        "data_mode": "topdown",
        "ann_file": annotations.name,
        "data_prefix": {"img": ""},
        "bbox_file": None,
        "pipeline": pipeline,
    }
    model = {
        "type": "PoseEstimatorWithValLoss",
        "data_preprocessor": {
            "type": "PoseDataPreprocessor",
            "mean": [123.675, 116.28, 103.53],
            "std": [58.395, 57.12, 57.375],
            "bgr_to_rgb": True,
        },
        "backbone": {"type": "ResNet", "depth": 18},
        "head": {
            "type": "HeatmapHead",
            "in_channels": 512,
            "out_channels": 17,
            "deconv_out_channels": (32, 32, 32),
            "deconv_kernel_sizes": (4, 4, 4),
            "loss": {"type": "KeypointMSELoss", "use_target_weight": True},
            "decoder": codec,
        },
        "test_cfg": {"flip_test": flip_test, "flip_mode": "heatmap"},
    }
    sampler = {"type": "DefaultSampler", "shuffle": True}
    loader = {"batch_size": 8, "num_workers": 0, "dataset": dataset}
    return Config(
        {
            "default_scope": "mmpose",
            "model": model,
            "train_dataloader": {**loader, "sampler": sampler},
            "val_dataloader": {
                **loader,
                "dataset": {**dataset, "test_mode": True},
                "sampler": {**sampler, "shuffle": False, "round_up": False},
            },
            "val_evaluator": {"type": "CocoMetric", "ann_file": str(annotations)},
            "val_cfg": {},
            "env_cfg": {},  # older releases of mmengine take no config without
            "default_hooks": {
                "checkpoint": {"type": "CheckpointHook", "save_best": "val_loss"}
            },
        }
    )


def main(argv: Optional[Sequence[str]] = None) -> Runner:
    """Trains until early stopping, and prints what the last validation reported.

    Args:
        argv (Sequence[str], optional): Arguments instead of ``sys.argv``.

    Returns:
        Runner: After training.
    """
    parser = argparse.ArgumentParser(description="mmpose with a validation loss")
    parser.add_argument("--work-dir", default="work_dirs/mmpose_val_loss")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--patience", type=int, default=3)
    parser.add_argument("--lr", type=float, default=0.002)
    parser.add_argument("--flip-test", action="store_true")
    args = parser.parse_args(argv)

    register_all_modules()
    config = config_of(draw(Path(args.work_dir) / "figures"), args.flip_test)
    config.work_dir = args.work_dir
    config.optim_wrapper = {"optimizer": {"type": "Adam", "lr": args.lr}}
    config.train_cfg = {"by_epoch": True, "max_epochs": args.epochs}
    config.custom_hooks = [
        {
            "type": "EarlyStoppingHook",
            "monitor": "val_loss",
            "min_delta": 0.0,
            "patience": args.patience,
        }
    ]
    config.randomness = {"seed": 0}
    runner = Runner.from_cfg(config)
    runner.train()
    best = runner.message_hub.get_info("best_ckpt")
    print(f"valloss_compat {valloss_compat.__version__}: best by val_loss is {best}")
    return runner


if __name__ == "__main__":
    main()
