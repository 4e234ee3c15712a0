"""Records of mmpose: persons, hands and faces with keypoints, boxes of a detector.

Lifters read arrays when they are built: those are written as files.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

import numpy as np

from downstream.oracle.pictures import Picture
from downstream.oracle.samples_lifting import CAMERA
from downstream.sweep.files import Files

Record = Dict[str, Any]
#: Frames of a made video of Human3.6M.
FRAMES = 260


def instances(dataset: Any, made: Files) -> Tuple[List[Record], List[Record]]:
    """Two persons an image, and a crowd without keypoints in the first."""
    number = dataset.metainfo["num_keypoints"]
    found, images = [], []
    for picture in made.pictures(1):
        height, width = picture.shape
        image = {
            "img_id": picture.index,
            "img_path": made.image(picture),
            "height": height,
            "width": width,
        }
        images.append(image)
        for index, box in enumerate(picture.boxes[:2]):
            one = _instance(picture, box, number, len(found))
            one["img_path"] = image["img_path"]
            one["category_id"] = np.array(1)
            if picture.index == 0 and index == 1:  # a crowd
                one["iscrowd"], one["num_keypoints"] = 1, 0
                one["keypoints_visible"][:] = 0
            found.append(one)
    dataset._metainfo["CLASSES"] = [{"id": 1, "name": "person"}]
    return found, images


def hands(dataset: Any, made: Files) -> Tuple[List[Record], List[Record]]:
    """Pairs of hands with depths."""
    found, images = instances(dataset, made)
    for one in found:
        shape = (*one["keypoints"].shape[:2], 1)
        depth = np.zeros(shape, np.float32)
        one["keypoints"] = np.concatenate([one["keypoints"], depth], 2)
        one.update(
            rotation=0,
            keypoints_cam=one["keypoints"].copy(),
            hand_type=np.array([[1.0, 0.0]], np.float32),
            hand_type_valid=np.array([1]),
            rel_root_depth=np.float32(10),
            rel_root_valid=np.float32(1),
            abs_depth=[1000.0, 1010.0],
            focal=np.array([1000.0, 1000.0], np.float32),
            principal_pt=np.array([50.0, 50.0], np.float32),
            dataset=dataset.metainfo["dataset_name"],
        )
    return found, images


def prepare(config: Any, cls: Any, made: Files) -> None:
    """Write what a dataset reads beside the instances: detections, or arrays."""
    root = Path(config.get("data_root") or "")
    bases = {base.__name__ for base in cls.__mro__}
    if "BaseMocapDataset" in bases:
        _lifting(config, root)
    elif "BaseCocoStyleDataset" in bases and config.get("bbox_file"):
        pictures = made.pictures(1)
        images = [
            {
                "id": picture.index,
                "file_name": Path(made.image(picture)).name,
                "height": picture.shape[0],
                "width": picture.shape[1],
            }
            for picture in pictures
        ]
        categories = [{"id": 1, "name": "person"}]
        (root / config["ann_file"]).write_text(
            json.dumps({"images": images, "annotations": [], "categories": categories})
        )
        boxes = [
            {"image_id": p.index, "category_id": 1, "bbox": _xywh(box), "score": 0.9}
            for p in pictures
            for box in p.boxes[:2] + 1.5
        ]
        Path(config["bbox_file"]).write_text(json.dumps(boxes))
        # The paths of the images are those of the folder that the config names.
        folder = root / (config.get("data_prefix") or {}).get("img", "")
        for picture in pictures:
            link = folder / Path(made.image(picture)).name
            if not link.exists():
                link.symlink_to(Path(made.image(picture)).resolve())


def _instance(picture: Picture, box: Any, number: int, index: int) -> Record:
    draw = np.random.RandomState(index)
    corner, size = box[:2], box[2:] - box[:2]
    spots = (corner + draw.rand(number, 2) * size).astype(np.float32)[None]
    visible = (draw.rand(1, number) < 0.8).astype(np.float32)
    visible[0, :2] = 1
    return {
        "img_id": picture.index,
        "bbox": box.astype(np.float32).reshape(1, 4),
        "bbox_score": np.ones(1, np.float32),
        "num_keypoints": int(visible.sum()),
        "keypoints": spots,
        "keypoints_visible": visible,
        "area": np.array(size.prod(), np.float32),
        "iscrowd": 0,
        "segmentation": None,
        "id": index,
        "raw_ann_info": {"id": index},
        "head_size": np.array([10.0], np.float32),
    }


def _xywh(box: Any) -> List[float]:
    left, top, right, bottom = map(float, box)
    return [left, top, right - left, bottom - top]


def _lifting(config: Any, root: Path) -> None:
    """Human3.6M: frames of one video, 2D and 3D keypoints, cameras, factors."""
    draw = np.random.RandomState(0)
    flat = np.ones((FRAMES, 17, 3), np.float32)
    flat[..., :2] = draw.rand(FRAMES, 17, 2) * 800 + 100
    space = np.ones((FRAMES, 17, 4), np.float32)
    space[..., :3] = draw.randn(FRAMES, 17, 3)
    names = np.array([f"S9_Act.54138969_{n:06d}.jpg" for n in range(FRAMES)])
    with (root / config["ann_file"]).open("wb") as file:
        np.savez(
            file,
            imgname=names,
            S=space,
            part=flat,
            center=np.full((FRAMES, 2), 500.0),
            scale=np.full(FRAMES, 4.0),
        )
    if config.get("camera_param_file"):
        content = pickle.dumps({("S9", "54138969"): CAMERA})
        (root / config["camera_param_file"]).write_bytes(content)
    for name, array in (
        ("keypoint_2d_det_file", flat),
        ("factor_file", np.full(FRAMES, 3.6, np.float32)),
    ):
        if config.get(name):
            with (root / config[name]).open("wb") as file:
                np.save(file, array)


#: Method that loads instances -> what makes some in its place.
DATASETS: Mapping[str, Optional[Callable[[Any, Files], Any]]] = {
    "BaseCocoStyleDataset._load_annotations": instances,
    "InterHand3DDataset._load_annotations": hands,
    "BaseMocapDataset": None,  # it reads the files that are written
}
