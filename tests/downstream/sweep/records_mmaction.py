"""Records of mmaction2: videos, frames, persons in frames, skeletons, sound, features.

All have ``FRAMES`` frames: short ones are repeated by the samplers of the library.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping

import cv2
import numpy as np
import torch

from downstream.oracle.model import dicts
from downstream.sweep.files import Files

Record = Dict[str, Any]
FRAMES, FPS = 72, 30
#: Height and width of the videos.
SIZES = ((96, 128), (80, 112), (112, 80))


def videos(dataset: Any, made: Files) -> List[Record]:
    """Videos with a class each."""
    return [
        {"filename": _video(made, index), "label": _label(dataset, made, index)}
        for index in range(len(SIZES))
    ]


def frames(dataset: Any, made: Files) -> List[Record]:
    """Folders of frames, or of two components of optical flow, with a class each."""
    template = dataset.filename_tmpl
    return [
        {
            "frame_dir": _frames(made, index, template),
            "total_frames": FRAMES,
            "label": _label(dataset, made, index),
        }
        for index in range(len(SIZES))
    ]


def persons(dataset: Any, made: Files) -> List[Record]:
    """A second of a video with persons, each with several actions."""
    records = []
    for index in range(len(SIZES)):
        draw = np.random.RandomState(index)
        low = draw.rand(2, 2) * 0.4
        boxes = np.concatenate([low, low + 0.4], 1)
        labels = np.zeros((2, dataset.num_classes), np.float32)
        labels[:, 1 + index] = labels[0, 2] = 1
        if not getattr(dataset, "multilabel", True):
            labels = np.array([[1 + index], [2]])
        start = dataset.timestamp_start
        record = {
            "video_id": f"video_{index:05d}",
            "timestamp": start + 1,
            "img_key": f"video_{index:05d},{start + 1:04d}",
            "shot_info": (0, FRAMES),
            "fps": dataset._FPS,
            "ann": {
                "gt_bboxes": boxes,
                "gt_labels": labels,
                "entity_ids": np.arange(2),
            },
        }
        if getattr(dataset, "use_frames", True):
            record["frame_dir"] = _frames(made, index, dataset.filename_tmpl)
        else:
            record["filename"] = _video(made, index)
        records.append(record)
    return records


def skeletons(dataset: Any, made: Files) -> List[Record]:
    """Two persons with joints in each frame; with the video of them if it is read."""
    steps = [type(step).__name__ for step in dataset.pipeline.transforms]
    joints, axes = (25, 3) if "PreNormalize3D" in steps else (17, 2)
    packed = "DecompressPose" in steps
    records = []
    for index, (height, width) in enumerate(SIZES):
        draw = np.random.RandomState(index)
        spots = draw.rand(2, FRAMES, joints, axes).astype(np.float32)
        if axes == 2:
            spots = spots * 0.8 * [width, height] + 5
        record: Record = {
            "frame_dir": str(Path(_video(made, index)).with_suffix("")),
            "label": _label(dataset, made, index),
            "img_shape": (height, width),
            "original_shape": (height, width),
            "total_frames": FRAMES,
            "keypoint": spots.astype(np.float16),
        }
        if axes == 2:
            record["keypoint_score"] = np.ones((2, FRAMES, joints), np.float16)
        if packed:  # persons of all frames one after another, with scores
            flat = spots.transpose(1, 0, 2, 3).reshape(2 * FRAMES, joints, axes)
            scores = np.ones((*flat.shape[:2], 1))
            record["keypoint"] = np.concatenate([flat, scores], 2).astype(np.float16)
            record["frame_inds"] = np.arange(FRAMES).repeat(2)
            del record["keypoint_score"]
            _skeleton_file(dataset, record)
        record["valid"] = {dataset.box_thr: FRAMES}
        record["box_score"] = np.ones(len(record["keypoint"]), np.float32)
        records.append(record)
    return records


def sounds(dataset: Any, made: Files) -> List[Record]:
    """Spectrograms with a class each."""
    records = []
    for index in range(len(SIZES)):
        path = made.folder / f"sound-{index}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(str(path), np.random.RandomState(index).rand(640, 80))
        label = _label(dataset, made, index)
        records.append({"audio_path": str(path), "total_frames": 640, "label": label})
    return records


def features(dataset: Any, made: Files) -> List[Record]:
    """Features of whole videos, with the times of two actions and some proposals."""
    channels = next(
        (
            inner[name]
            for inner in dicts(made.model)
            for name in ("feat_dim", "tem_feat_dim")
            if name in inner
        ),
        400,
    )
    records = []
    for index in range(len(SIZES)):
        path = made.folder / f"features-{index}-{channels}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = np.random.RandomState(index).rand(100, channels)
        header = ",".join(map(str, range(channels)))
        np.savetxt(str(path), values, "%.3f", ",", header=header, comments="")
        records.append(
            {
                "video_name": f"v_{index}",
                "feature_path": str(path),
                "duration_second": 100.0,
                "duration_frame": 1000,
                "feature_frame": 1000,
                "fps": 10.0,
                "rfps": 10.0,
                "annotations": [
                    {"segment": [10.0, 40.0], "label": "a"},
                    {"segment": [55.0, 98.0 - index], "label": "b"},
                ],
                # From the first to the last moment of each, and its score.
                "proposals": np.sort(np.random.RandomState(index).rand(20, 3), 1),
            }
        )
    return records


def prepare(config: Any, cls: Any, made: Files) -> None:
    """Write what a dataset reads when it is built, and proposals of another model."""
    if config.get("proposal_file"):
        keys = [f"video_{index:05d}" for index in range(len(SIZES))]
        start = config.get("timestamp_start", 900) + 1
        boxes = np.array([[0.1, 0.1, 0.6, 0.7, 0.95], [0.3, 0.2, 0.8, 0.9, 0.92]])
        content = pickle.dumps({f"{key},{start:04d}": boxes for key in keys})
        Path(config["proposal_file"]).write_bytes(content)
    if config.get("label_file"):
        lines = [f'item {{\n  name: "{n}"\n  id: {n}\n}}\n' for n in range(1, 81)]
        Path(config["label_file"]).write_text("".join(lines))
    for step in config.get("pipeline") or ():
        if step.get("pgm_proposals_dir"):
            _proposals(step)


def bank(model: Any) -> None:
    """Write what a model reads when it is built: features of persons in other seconds.

    It reads them to the GPU, unless its config says another device.
    """
    for inner in dicts(model):
        if "lfb_prefix_path" in inner:
            inner["device"] = "cpu"
            folder = Path(inner["lfb_prefix_path"])
            folder.mkdir(parents=True, exist_ok=True)
            draw = torch.Generator().manual_seed(0)
            shape = (3, inner["lfb_channels"])
            content = {
                f"video_{index:05d}": {
                    second: torch.rand(shape, generator=draw)
                    for second in range(895, 910)
                }
                for index in range(len(SIZES))
            }
            for mode in inner["dataset_modes"]:
                torch.save(content, str(folder / f"lfb_{mode}.pkl"))


def _proposals(step: Any) -> None:
    """Proposals of a first stage, and their features."""
    tables, arrays = Path(step["pgm_proposals_dir"]), Path(step["pgm_features_dir"])
    for folder in (tables, arrays):
        folder.mkdir(parents=True, exist_ok=True)
    for index in range(len(SIZES)):
        draw = np.random.RandomState(index)
        values = np.sort(draw.rand(50, 6), 1)
        name = f"v_{index}"
        header = "tmin,tmax,tmin_score,tmax_score,score,match_iou"
        path = str(tables / f"{name}.csv")
        np.savetxt(path, values, "%.4f", ",", header=header, comments="")
        np.save(str(arrays / f"{name}.npy"), draw.rand(50, 32))


def _label(dataset: Any, made: Files, index: int) -> Any:
    classes = min(made.classes, getattr(dataset, "num_classes", None) or made.classes)
    label = (index * 7919 + 1) % classes
    return [label, (label + 1) % classes] if dataset.multi_class else label


def _drawn(index: int, number: int) -> Any:
    """A frame: areas that move."""
    height, width = SIZES[index]
    image = np.random.RandomState(index).randint(0, 80, (height, width, 3))
    image = image.astype(np.uint8)
    center = ((10 * index + number) % width, height // 2)
    cv2.circle(image, center, 15, (200, 90 * index, 60), -1)
    return image


def _video(made: Files, index: int) -> str:
    path = made.folder / f"video-{index}.mp4"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        height, width = SIZES[index]
        code = cv2.VideoWriter_fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(path), code, FPS, (width, height))
        for number in range(FRAMES):
            writer.write(_drawn(index, number))
        writer.release()
    return str(path)


def _frames(made: Files, index: int, template: str) -> str:
    """A folder of frames, numbered from 0: some samplers begin at 1."""
    folder = made.folder / f"frames-{index}-{abs(hash(template))}"
    if not folder.exists():
        folder.mkdir(parents=True)
        for number in range(FRAMES + 2):
            if template.count("{") == 1:
                names = [template.format(number)]
            else:
                names = [template.format(axis, number) for axis in "xy"]
            for name in names:
                cv2.imwrite(str(folder / name), _drawn(index, number))
    return str(folder)


def _skeleton_file(dataset: Any, record: Record) -> None:
    """Joints in a file of their own, if the dataset looks for one."""
    folder = dataset.data_prefix.get("skeleton")
    if folder:
        path = Path(folder, record["frame_dir"] + ".pkl")
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {name: record.pop(name) for name in ("frame_inds",)}
        path.write_bytes(pickle.dumps({**values, "keypoint": record["keypoint"]}))


#: Method that loads a list of records -> what makes one in its place.
DATASETS: Mapping[str, Callable[[Any, Files], List[Record]]] = {
    "VideoDataset.load_data_list": videos,
    "RawframeDataset.load_data_list": frames,
    "AVADataset.load_data_list": persons,
    "AVAKineticsDataset.load_data_list": persons,
    "PoseDataset.load_data_list": skeletons,
    "AudioDataset.load_data_list": sounds,
    "ActivityNetDataset.load_data_list": features,
}
