"""Packed samples of mmpose: their targets are made by the config's own codec."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from downstream.oracle import samples_lifting
from downstream.oracle.pictures import pictures


def samples(
    config: Any,
    keypoints: int = 17,
    persons: int = 1,
    size: Sequence[int] = (192, 256),
    corners: bool = False,
    lifting: Optional[Dict[str, int]] = None,
) -> List[Dict[str, Any]]:
    """Pictures of persons.

    Args:
        config (Config): With the train pipeline.
        keypoints (int): Number of them. Defaults to 17.
        persons (int): In a picture; of more than one, the third picture has none, and
            else the third person's keypoints are not visible. Defaults to 1.
        size (Sequence[int]): Width and height of the inputs. Defaults to (192, 256).
        lifting (dict, optional): Frames without pictures: options of
            :func:`samples_lifting.samples`. Defaults to None.
        corners (bool): Boxes are given by their corners. Defaults to False.
    """
    from mmengine.registry import TRANSFORMS

    if lifting is not None:
        return samples_lifting.samples(config, **lifting)
    width, height = size
    pipeline = config.train_dataloader.dataset.pipeline
    targets = [step for step in pipeline if step["type"] == "GenerateTarget"]
    if persons > 1:  # whole pictures, which may be smaller than shipped
        masks = [s for s in pipeline if s["type"] == "BottomupGetHeatmapMask"]
        for step in targets:
            _resize(step["encoder"], size)
        targets += masks
    pack = pipeline[-1]
    pack.pop("extra_mapping_labels", None)  # of another release
    steps = [TRANSFORMS.build(step) for step in (*targets, pack)]
    packed = []
    for picture in pictures([(height, width)] * 4, objects=persons, empty=False):
        results = _results(picture, keypoints, tuple(size))
        if corners:
            results["bbox"] = _corners(results["bbox"])
        for step in steps:
            results = step(results)
        packed.append(results)
    return packed


def _resize(encoder: Any, size: Sequence[int]) -> None:
    for name in ("heatmap_size", "input_size"):
        if encoder.get(name):
            sides = zip(size, encoder[name], encoder["input_size"])
            encoder[name] = tuple(side * old // whole for side, old, whole in sides)


def _corners(boxes: Any) -> Any:
    left, top, right, bottom = boxes.T
    return np.stack([left, top, left, bottom, right, top, right, bottom], 1)


def _results(picture: Any, keypoints: int, size: Any) -> Dict[str, Any]:
    draw = np.random.RandomState(picture.index)
    boxes = picture.boxes
    persons = len(boxes)
    width, height = size
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    scales = boxes[:, 2:] - boxes[:, :2]
    if persons == 1:  # a crop is what is around its person
        centers, scales = np.array([[width, height]]) / 2, np.array([[width, height]])
        boxes = np.array([[0, 0, width, height]])
    spots = (
        centers[:, None] + (draw.rand(persons, keypoints, 2) - 0.5) * scales[:, None]
    )
    visible = (draw.rand(persons, keypoints) < 0.8).astype(np.float32)
    if picture.index == 2:
        visible[-1] = 0  # none that counts
    spots = spots.astype(np.float32)
    order = list(range(keypoints))
    return {
        "id": picture.index,
        "img_id": picture.index,
        "img_path": f"{picture.index}.png",
        "img": picture.image,
        "img_shape": picture.shape,
        "ori_shape": picture.shape,
        "input_size": size,
        "input_center": np.array([width, height], np.float32) / 2,
        "input_scale": np.array([width, height], np.float32),
        "flip": False,
        "flip_direction": None,
        "flip_indices": order,
        "flip_pairs": [],
        "category_id": np.ones(persons, np.int64),
        "bbox": boxes.astype(np.float32),
        "bbox_center": centers.astype(np.float32),
        "bbox_scale": scales.astype(np.float32),
        "bbox_rotation": np.zeros(persons, np.float32),
        "bbox_score": np.ones(persons, np.float32),
        "area": (scales[:, 0] * scales[:, 1]).astype(np.float32),
        "keypoints": spots.copy(),
        "transformed_keypoints": spots.copy(),
        "keypoints_visible": visible,
        "dataset_keypoint_weights": np.ones(keypoints, np.float32),
        "upper_body_ids": order[: keypoints // 2],
        "lower_body_ids": order[keypoints // 2 :],
        "dataset_name": "made",
        "invalid_segs": [],
        "warp_mat": np.array([[1, 0, 0], [0, 1, 0]], np.float32),
    }
