"""Packed samples of lifters in mmpose: 2D keypoints, and where they are in space."""

from __future__ import annotations

from typing import Any, Dict, List

import numpy as np

#: A camera of Human3.6M.
CAMERA = {
    "w": 1000,
    "h": 1000,
    "K": np.array([[1145.0, 0, 512], [0, 1143.0, 515]], np.float32),
    "R": np.eye(3, dtype=np.float32),
    "T": np.array([[0], [0], [4.0]], np.float32),
    "f": np.array([[1145.0], [1143.0]], np.float32),
    "c": np.array([[512.0], [515.0]], np.float32),
}


def samples(config: Any, frames: int = 1, targets: int = 1) -> List[Dict[str, Any]]:
    """Four persons of 17 keypoints, with targets made by the config's own codec.

    Args:
        config (Config): With the train pipeline.
        frames (int): Of 2D keypoints. Defaults to 1.
        targets (int): Frames of which the 3D keypoints are wanted. Defaults to 1.
    """
    from mmengine.registry import TRANSFORMS

    pipeline = config.train_dataloader.dataset.pipeline
    steps = [
        TRANSFORMS.build(step)
        for step in pipeline
        if step["type"] in ("GenerateTarget", "PackPoseInputs")
    ]
    packed = []
    for index in range(4):
        draw = np.random.RandomState(index)
        flat = (draw.rand(frames, 17, 2) * 800 + 100).astype(np.float32)
        space = draw.randn(targets, 17, 3).astype(np.float32)
        results = {
            "id": index,
            "category_id": 1,
            "img_paths": [f"{index}.png"],
            "target_img_path": [f"{index}.png"],
            "flip_indices": list(range(17)),
            "keypoints": flat,
            "keypoints_visible": np.ones((frames, 17), np.float32),
            "lifting_target": space,
            "lifting_target_visible": np.ones((targets, 17), np.float32),
            "camera_param": dict(CAMERA),
            "factor": np.full((targets, 1), 3.6, np.float32),
        }
        for step in steps:
            results = step(results)
        packed.append(results)
    return packed
