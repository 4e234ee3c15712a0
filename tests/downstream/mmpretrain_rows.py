"""Classifiers of mmpretrain, from the shipped configs.

The data are an image folder, or VOC's XML for several labels. The data set, the numbers
of classes and workers and the batch size are changed; ViT and ConvNeXt are the smallest
of their families.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any, Callable, Dict, List

import cv2
import numpy as np
from mmengine.config import Config

from downstream import frozen
from downstream.rows import Row

CLASSES = 3
#: Width and height: each image is cropped differently.
SIZES = ((80, 60), (64, 90), (70, 70), (101, 67), (60, 120), (90, 75), (77, 103))


def shipped(path: str) -> Any:
    """Return a config as mmpretrain installs it."""
    import mmpretrain

    root = os.path.join(os.path.dirname(mmpretrain.__file__), ".mim", "configs")
    return Config.fromfile(os.path.join(root, path))


def images(folder: Path) -> List[Path]:
    """Coloured noise of several sizes."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.RandomState(0)
    paths = []
    for index, (width, height) in enumerate(SIZES):
        image = draw.randint(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
        paths.append(folder / f"{index:06d}.jpg")
        cv2.imwrite(str(paths[-1]), cv2.resize(image, (width, height)))
    return paths


def image_folder(root: Path) -> Dict[str, Any]:
    """Write a folder a class, for mmpretrain's CustomDataset."""
    for index, path in enumerate(images(root / "all")):
        (root / f"class{index % CLASSES}").mkdir(exist_ok=True)
        path.rename(root / f"class{index % CLASSES}" / path.name)
    (root / "all").rmdir()
    return {"type": "CustomDataset", "data_root": str(root)}


def voc(root: Path) -> Dict[str, Any]:
    """VOC's own folders, XML and image set; one object of each image is difficult."""
    (root / "Annotations").mkdir(parents=True)
    (root / "ImageSets" / "Main").mkdir(parents=True)
    names = []
    for index, path in enumerate(images(root / "JPEGImages")):
        objects = "".join(
            f"<object><name>{name}</name><difficult>{difficult}</difficult></object>"
            for name, difficult in (
                ("cat", 0),
                (("dog", "car", "bus")[index % 3], 0),
                ("sheep", 1),
            )
        )
        annotation = root / "Annotations" / f"{path.stem}.xml"
        annotation.write_text(f"<annotation>{objects}</annotation>")
        names.append(path.stem)
    (root / "ImageSets" / "Main" / "test.txt").write_text("\n".join(names))
    return {"type": "VOC", "data_root": str(root), "split": "test"}


def configured(
    path: str,
    data: Callable[[Path], Dict[str, Any]],
    large: bool = False,
    **changes: Any,
) -> Callable[[Path], Any]:
    """A shipped config on generated data.

    Args:
        path (str): The config.
        data (Callable): Writes the data and gives the data set.
        large (bool): Two batches of up to 16, as far as the config has them.
        **changes: New values; nested keys are named with ``__``.
    """

    def config(folder: Path) -> Any:
        known = shipped(path)
        loader = known.val_dataloader
        loader.dataset = {**data(folder / "data"), "pipeline": loader.dataset.pipeline}
        if large:
            whole = {"type": "RepeatDataset", "times": 5, "dataset": loader.dataset}
            loader.dataset, loader.drop_last = whole, True
        loader.batch_size = min(loader.batch_size, 16) if large else 4
        loader.num_workers = 0
        loader.persistent_workers = False
        for name in ("backbone", "head"):
            known.model.get(name, {}).pop("init_cfg", None)
        for key, value in changes.items():
            # mmengine takes _delete_ out of what it merges.
            known.merge_from_dict({key.replace("__", "."): copy.deepcopy(value)})
        if data is image_folder:
            known.model.head.num_classes = CLASSES
            if "topk" in known.model.head:  # some have none
                known.model.head.topk = (1,)
            if known.model.head.get("loss", {}).get("num_classes"):
                known.model.head.loss.num_classes = CLASSES
            known.data_preprocessor.num_classes = CLASSES
            known.val_evaluator = {"type": "Accuracy", "topk": (1,)}
        else:  # VOC's average precision wants objects of each class
            known.val_evaluator = {"type": "VOCMultiLabelMetric"}
        for phase in ("train", "test"):
            for name in ("dataloader", "cfg", "evaluator"):
                known.pop(f"{phase}_{name}", None)
        known.pop("optim_wrapper", None)
        known.pop("param_scheduler", None)
        known.pop("auto_scale_lr", None)
        return known

    return config


def oracle(config: Any, model: Any) -> Dict[str, float]:
    """Return the losses of the model in frozen training mode."""
    return frozen.of_config(config, model, reorder=False)


def row(name: str, path: str, data: Any = image_folder, **changes: Any) -> Row:
    small, large = (configured(path, data, of, **changes) for of in (False, True))
    return Row("mmpretrain", name, small, oracle, large=large)


def replaced(kind: str, **settings: Any) -> Dict[str, Any]:
    """Return the config of a component that replaces the shipped one."""
    return {"_delete_": True, "type": kind, **settings}


_VGG_VOC = "vgg/vgg16_8xb16_voc.py"
#: It is shipped in a retriever only, which is rejected by name.
_ARCFACE = replaced(
    "ArcFaceClsHead",
    in_channels=2048,
    num_classes=CLASSES,
    loss={"type": "CrossEntropyLoss"},
)
ROWS = (
    row("ResNet-18", "resnet/resnet18_8xb32_in1k.py"),
    row("ResNet-50, mixup", "resnet/resnet50_8xb32-mixup_in1k.py"),
    row("ResNet-50, RSB (BCE)", "resnet/resnet50_8xb256-rsb-a3-100e_in1k.py"),
    row("MobileNetV2", "mobilenet_v2/mobilenet-v2_8xb32_in1k.py"),
    row("MobileNetV3-small", "mobilenet_v3/mobilenet-v3-small_8xb128_in1k.py"),
    row("ViT-B/32", "vision_transformer/vit-base-p32_64xb64_in1k.py"),
    row("DeiT-tiny, distilled", "deit/deit-tiny-distilled_4xb256_in1k.py"),
    row("Swin-T", "swin_transformer/swin-tiny_16xb64_in1k.py"),
    row("ConvNeXt-T", "convnext/convnext-tiny_32xb128_in1k.py"),
    row("Conformer-tiny", "conformer/conformer-tiny-p16_8xb128_in1k.py"),
    row("ResNet-50, ArcFace", "resnet/resnet50_8xb32_in1k.py", model__head=_ARCFACE),
    row("ViG-tiny", "vig/vig-tiny_8xb128_in1k.py"),
    row(
        "LeViT-128s, undistilled",
        "levit/levit-128s_8xb256_in1k.py",
        model__head__distillation=False,
    ),
    row(
        "EfficientFormer-L1, undistilled",
        "efficientformer/efficientformer-l1_8xb128_in1k.py",
        model__head__distillation=False,
    ),
    row("VGG-16, VOC", _VGG_VOC, voc),
    row("VGG-16, VOC, focal", _VGG_VOC, voc, model__head__loss=replaced("FocalLoss")),
    row(
        "VGG-16, VOC, asymmetric",
        _VGG_VOC,
        voc,
        model__head__loss=replaced("AsymmetricLoss"),
    ),
    row("ResNet-101 CSRA, VOC", "csra/resnet101-csra_1xb16_voc07-448px.py", voc),
)
