"""Records of mmdet3d: clouds of points, cameras, boxes in space, labels of points.

They are raw infos in the format of the library, which its datasets parse.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping

import numpy as np

from downstream.oracle.model import dicts
from downstream.oracle.samples_mmdet3d import CENTER, FOCAL
from downstream.sweep.files import Files

Record = Dict[str, Any]
#: Height and width of the images, and number of points.
SIZE, POINTS = (96, 128), 3000
#: What scenes outdoors and indoors cover, where a model does not say it.
OUTDOOR, INDOOR = (0, -20, -3, 40, 20, 1), (-3, -3, 0, 3, 3, 2.5)
#: Indoors, where points have labels: predictions slide over it in steps of 0.5 m.
LABELLED = (-1, -1, 0, 1, 1, 2.5)
#: Cameras of a dataset, by the start of the name of its class.
CAMERAS = {
    "Waymo": (
        "CAM_FRONT",
        "CAM_FRONT_LEFT",
        "CAM_FRONT_RIGHT",
        "CAM_SIDE_LEFT",
        "CAM_SIDE_RIGHT",
    ),
    "NuScenes": ("CAM_FRONT",),
    "SUNRGBD": ("CAM0",),
}
_INDOOR = ("SUNRGBD", "ScanNet", "S3DIS", "_S3DIS")
#: From a lidar, which looks along x, to a camera, which looks along z.
_TO_CAMERA = np.array(
    [[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], np.float32
)


def boxes(dataset: Any, made: Files) -> List[Record]:
    """Scenes with three objects each."""
    name = type(dataset).__name__
    indoor = name.startswith(_INDOOR)
    area = _area(made, indoor)
    cameras = next((c for key, c in CAMERAS.items() if name.startswith(key)), ("CAM2",))
    records: List[Record] = []
    for index in range(len(made.sizes)):
        draw = np.random.RandomState(index)
        low, high = np.array(area[:3]), np.array(area[3:])
        centers = low + (0.3 + 0.4 * draw.rand(3, 3)) * (high - low)
        info = _scene(dataset, made, index, area, centers)
        labels = [
            int(n) for n in draw.randint(0, made.labels(len(dataset.label_mapping)), 3)
        ]
        known = [k for k, v in dataset.label_mapping.items() if v >= 0]
        labels = [known[label % len(known)] for label in labels]
        matrix = _camera_matrix()
        picture = made.pictures(1)[0]
        info["images"] = {
            camera: {
                "img_path": made.write(f"camera-{index}.png", _view(made, index)),
                "height": SIZE[0],
                "width": SIZE[1],
                "cam2img": matrix.tolist(),
                "lidar2cam": _TO_CAMERA.tolist(),
                "lidar2img": (matrix @ _TO_CAMERA).tolist(),
                "cam2ego": np.eye(4).tolist(),
                "depth2img": (matrix @ _TO_CAMERA)[:3, :3].tolist(),
                "timestamp": 1.0,
            }
            for camera in cameras
        }
        in_view = [_seen(picture, n, labels[n], matrix) for n in range(3)]
        in_space = [_in_space(centers[n], labels[n], indoor, name) for n in range(3)]
        if name.startswith("Kitti"):  # in the frame of the camera
            info["instances"] = in_view
        else:
            info["instances"] = in_space
            if name == "SUNRGBDDataset":  # has the boxes in its images too
                for inside, seen in zip(in_space, in_view):
                    inside.update({k: seen[k] for k in ("bbox", "bbox_label")})
        for key in ("cam_instances", "cam_sync_instances"):
            info[key] = dict.fromkeys(cameras, in_view)
        parsed = dataset.parse_data_info(info)
        records.extend(parsed if isinstance(parsed, list) else [parsed])
    return records


def labels_of_points(dataset: Any, made: Files) -> List[Record]:
    """Scenes of which each point has a label."""
    indoor = type(dataset).__name__.startswith(_INDOOR)
    area = LABELLED if indoor else _area(made, indoor)
    records = []
    for index in range(len(made.sizes)):
        info = _scene(dataset, made, index, area, np.zeros((0, 3)))
        records.append(dataset.parse_data_info(info))
    return records


def _area(made: Files, indoor: bool) -> Any:
    for inner in dicts(made.model):
        found = inner.get("point_cloud_range")
        if found and len(found) == 6:
            return found
    return INDOOR if indoor else OUTDOOR


def _scene(dataset: Any, made: Files, index: int, area: Any, centers: Any) -> Record:
    """A cloud with more points around some centers, its sweeps, and its labels."""
    features = _features(dataset)
    draw = np.random.RandomState(index)
    low, high = np.array(area[:3]), np.array(area[3:])
    points = draw.rand(POINTS, features).astype(np.float32)
    points[:, :3] = low + points[:, :3] * (high - low)
    for number, center in enumerate(centers):
        some = slice(200 * number, 200 * number + 200)
        points[some, :3] = center + (draw.rand(200, 3) - 0.5)
    path = made.folder / f"points-{index}.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    points.tofile(str(path))
    kind = np.int32 if "SemanticKitti" in type(dataset).__name__ else np.int64
    masks = {}
    for name in ("instance", "semantic"):
        masks[name] = made.folder / f"{name}-{index}.label"
        draw.randint(1, 10, POINTS).astype(kind).tofile(str(masks[name]))
    info: Record = {
        "sample_idx": index,
        "token": str(index),
        "timestamp": 1.0,
        "context_name": "made",
        "ego2global": np.eye(4).tolist(),
        "axis_align_matrix": np.eye(4).tolist(),
        "lidar_points": {
            "lidar_path": str(path.resolve()),
            "num_pts_feats": features,
            "lidar2ego": np.eye(4).tolist(),
        },
        "pts_instance_mask_path": str(masks["instance"].resolve()),
        "pts_semantic_mask_path": str(masks["semantic"].resolve()),
    }
    if dataset.data_prefix.get("sweeps"):
        sweep = Path(dataset.data_prefix["sweeps"], path.name)
        points.tofile(str(sweep))
        lidar = {"lidar_path": path.name, "lidar2sensor": np.eye(4).tolist()}
        info["lidar_sweeps"] = [{"lidar_points": lidar, "timestamp": 0.9}] * 2
    return info


def _features(dataset: Any) -> int:
    """Numbers of a point in a file."""
    for step in dataset.pipeline.transforms:
        if hasattr(step, "load_dim"):
            return int(step.load_dim)
    return 4


def _in_space(center: Any, label: int, indoor: bool, name: str) -> Record:
    size = [0.8, 0.6, 1.0] if indoor else [3.9, 1.6, 1.56]
    turn = [] if name.startswith(("ScanNet", "S3DIS")) else [0.3]
    return {
        "bbox_3d": [*map(float, center), *size, *turn],
        "bbox_label_3d": label,
        "velocity": [0.5, 0.1],
        "num_lidar_pts": 200,
        "num_radar_pts": 0,
        "bbox_3d_isvalid": True,
    }


def _seen(picture: Any, number: int, label: int, matrix: Any) -> Record:
    """An object before a camera, and its box in the image."""
    left, top, right, bottom = map(float, picture.boxes[number])
    center = np.array([(left + right) / 2, (top + bottom) / 2])
    depth = 10.0 + 4 * number
    flat = (center - matrix[:2, 2]) * depth / FOCAL
    return {
        "bbox": [left, top, right, bottom],
        "bbox_label": label,
        "bbox_3d": [*map(float, flat), depth, 3.9, 1.56, 1.6, 0.3],
        "bbox_label_3d": label,
        "center_2d": [float(v) for v in center],
        "depth": depth,
        "attr_label": number,
        "velocity": [0.5, 0.1],
        "num_lidar_pts": 200,
        "num_radar_pts": 0,
        "bbox_3d_isvalid": True,
        "truncated": 0.0,
        "occluded": 0,
        "alpha": 0.1,
        "score": 0.0,
        "index": number,
        "group_id": number,
        "difficulty": 0,
    }


def _camera_matrix() -> Any:
    matrix = np.eye(4, dtype=np.float32)
    matrix[0, 0] = matrix[1, 1] = FOCAL
    matrix[:2, 2] = CENTER
    return matrix


def _view(made: Files, index: int) -> Any:
    return np.random.RandomState(index).randint(0, 255, (*SIZE, 3)).astype(np.uint8)


#: Method that loads a list of records -> what makes one in its place.
DATASETS: Mapping[str, Callable[[Any, Files], List[Record]]] = {
    "WaymoDataset.load_data_list": boxes,  # it has one of its own
    "Det3DDataset.load_data_list": boxes,
    "Seg3DDataset.load_data_list": labels_of_points,
}
