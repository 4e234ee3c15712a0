"""Packed samples of mmdet3d: clouds of points or pictures, with 3D boxes."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

import numpy as np
import torch

from downstream.oracle.model import classes_of
from downstream.oracle.pictures import pictures

#: A pinhole camera of the made pictures.
FOCAL, CENTER = 120.0, (64.0, 48.0)


def samples(config: Any, kind: str = "points", **options: Any) -> List[Dict[str, Any]]:
    """Four samples of a kind: ``'points'``, ``'camera'`` or ``'voxels'``."""
    classes = classes_of(config.model, 1)
    make = {"points": _points, "camera": _camera, "voxels": _voxels}[kind]
    return [make(index, classes, **options) for index in range(4)]


def _points(
    index: int,
    classes: int,
    area: Sequence[float] = (0, -10.24, -3, 20.48, 10.24, 1),
    features: int = 4,
    code: int = 7,
    empty: bool = True,
) -> Dict[str, Any]:
    """A cloud; the third has no object, if the training accepts that."""
    from mmdet3d.structures import Box3DMode, Det3DDataSample, LiDARInstance3DBoxes
    from mmengine.structures import InstanceData

    draw = np.random.RandomState(index)
    low, high = np.array(area[:3]), np.array(area[3:])
    count = 0 if empty and index == 2 else 3
    boxes = np.zeros((count, code), np.float32)
    boxes[:, :3] = low + (0.2 + 0.6 * draw.rand(count, 3)) * (high - low)
    boxes[:, 2] = -1.5
    boxes[:, 3:6] = (3.9, 1.6, 1.56)
    boxes[:, 6:] = draw.rand(count, code - 6)
    points = draw.rand(2000, features).astype(np.float32)
    points[:, :3] = low + points[:, :3] * (high - low)
    for number, box in enumerate(boxes):  # some lie on each object
        some = slice(100 * number, 100 * number + 100)
        points[some, :3] = box[:3] + (draw.rand(100, 3) - 0.5) * 1.5
    sample = Det3DDataSample(
        metainfo={
            "sample_idx": index,
            "box_type_3d": LiDARInstance3DBoxes,
            "box_mode_3d": Box3DMode.LIDAR,
            "pcd_scale_factor": 1.0,
            "lidar_path": f"{index}.bin",
        }
    )
    sample.gt_instances_3d = InstanceData(
        bboxes_3d=LiDARInstance3DBoxes(torch.from_numpy(boxes), box_dim=code),
        labels_3d=torch.from_numpy(draw.randint(0, classes, count)),
    )
    inputs = {"points": torch.from_numpy(points.astype(np.float32))}
    return {"inputs": inputs, "data_samples": sample}


def _camera(
    index: int, classes: int, code: int = 9, scale: float = 1.0, empty: bool = True
) -> Dict[str, Any]:
    """A picture and the boxes before its camera."""
    from mmdet3d.structures import Box3DMode, CameraInstance3DBoxes, Det3DDataSample
    from mmengine.structures import InstanceData

    sizes = [(int(96 * scale), int(128 * scale))] * 4
    picture = pictures(sizes, classes=classes, empty=empty)[index]
    matrix = np.eye(4, dtype=np.float32)
    matrix[0, 0] = matrix[1, 1] = FOCAL * scale
    matrix[:2, 2] = np.array(CENTER) * scale
    draw = np.random.RandomState(index)
    flat = torch.from_numpy(picture.boxes)
    centers = (flat[:, :2] + flat[:, 2:]) / 2
    depths = torch.from_numpy(draw.rand(len(flat)).astype(np.float32)) * 20 + 8
    boxes = torch.zeros(len(flat), code)
    boxes[:, :2] = (centers - torch.from_numpy(matrix[:2, 2])) * depths[:, None]
    boxes[:, :2] /= FOCAL * scale
    boxes[:, 2] = depths
    boxes[:, 3:6] = torch.tensor([3.9, 1.56, 1.6])
    boxes[:, 6] = torch.from_numpy(draw.rand(len(flat)).astype(np.float32))
    labels = torch.from_numpy(picture.labels)
    attributes = torch.from_numpy(draw.randint(0, 9, len(flat)))
    sample = Det3DDataSample(
        metainfo={
            "sample_idx": index,
            "img_path": f"{index}.png",
            "box_type_3d": CameraInstance3DBoxes,
            "box_mode_3d": Box3DMode.CAM,
            "cam2img": matrix,
            "ori_cam2img": matrix,
            "ori_shape": picture.shape,
            "img_shape": picture.shape,
            "pad_shape": picture.shape,
            "scale_factor": (1.0, 1.0),
            "trans_mat": np.diag([0.25, 0.25, 1]).astype(np.float32),
            "affine_aug": False,
            "flip": False,
        }
    )
    sample.gt_instances = InstanceData(bboxes=flat, labels=labels)
    sample.gt_instances_3d = InstanceData(
        bboxes_3d=CameraInstance3DBoxes(boxes, box_dim=code, origin=(0.5, 0.5, 0.5)),
        labels_3d=labels,
        attr_labels=attributes,
        centers_2d=centers,
        depths=depths,
    )
    image = torch.from_numpy(picture.image.transpose(2, 0, 1).astype(np.float32))
    return {"inputs": {"img": image}, "data_samples": sample}


def _voxels(
    index: int, classes: int, area: Sequence[float] = (0, -8, -3, 16, 8, 1)
) -> Dict[str, Any]:
    """A picture whose features are put into a grid of LiDAR coordinates."""
    picture = pictures([(96, 128)] * 4)[index]
    packed = _points(index, classes, area)
    to_camera = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    camera = np.eye(4)
    camera[0, 0] = camera[1, 1] = FOCAL
    camera[:2, 2] = CENTER
    packed["data_samples"].set_metainfo(
        {
            "lidar2img": (camera @ to_camera).astype(np.float32),
            "img_shape": picture.shape,
            "ori_shape": picture.shape,
            "pad_shape": picture.shape,
            "scale_factor": np.ones(2, np.float32),
            "img_path": f"{index}.png",
        }
    )
    image = torch.from_numpy(picture.image.transpose(2, 0, 1).astype(np.float32))
    return {"inputs": {"img": image}, "data_samples": packed["data_samples"]}
