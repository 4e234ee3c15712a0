"""Models from the shipped configs of the libraries, small enough for a CPU.

Images are small, no weights are downloaded, and data are those of :mod:`data`.
Architectures, losses, assigners, preprocessors and the order of the transforms are
unchanged.
"""

from __future__ import annotations

import copy
import importlib
from pathlib import Path
from types import MappingProxyType
from typing import Any, Mapping, NamedTuple, Sequence

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from downstream import data

#: Longer and shorter side of an image after Resize; what YOLOX and RTMDet pad to.
SCALE, SQUARE = (192, 128), (160, 160)
#: The largest of a map, longer and shorter side: Cityscapes' take a CPU half a minute.
LARGE = (1024, 512)


class Shipped(NamedTuple):
    """A row of the oracle table.

    Attributes:
        name (str): Its name in the table.
        library (str): ``'mmdet'``, ``'mmseg'`` or ``'mmpose'``.
        config (str): Its path in the configs of the library.
        model (dict): Changes of its ``model``.
    """

    name: str
    library: str
    config: str
    model: Mapping[str, Any] = MappingProxyType({})


#: Regions of a second stage: a thousand of them take a CPU a second.
_FEW = {"nms_pre": 300, "max_per_img": 100}
FEW = {"train_cfg": {"rpn_proposal": _FEW}, "test_cfg": {"rpn": _FEW}}
DETECTORS = (
    Shipped("RetinaNet", "mmdet", "retinanet/retinanet_r18_fpn_1x_coco.py"),
    Shipped("ATSS", "mmdet", "atss/atss_r50_fpn_1x_coco.py"),
    Shipped("GFL", "mmdet", "gfl/gfl_r50_fpn_1x_coco.py"),
    Shipped("Faster R-CNN", "mmdet", "faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py", FEW),
    Shipped("Mask R-CNN", "mmdet", "mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py", FEW),
    Shipped(
        "Mask R-CNN, polygons",
        "mmdet",
        "mask_rcnn/mask-rcnn_r50_fpn_poly-1x_coco.py",
        FEW,
    ),
    Shipped(
        "Cascade R-CNN", "mmdet", "cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py", FEW
    ),
    Shipped("DETR", "mmdet", "detr/detr_r50_8xb2-150e_coco.py"),
    Shipped("YOLOX", "mmdet", "yolox/yolox_tiny_8xb8-300e_coco.py"),
    Shipped("RTMDet", "mmdet", "rtmdet/rtmdet_tiny_8xb32-300e_coco.py"),
)
_SEGMENTORS = "4xb2-40k_cityscapes-512x1024.py"
SEGMENTORS = (
    Shipped("FCN", "mmseg", f"fcn/fcn_r50-d8_{_SEGMENTORS}"),
    Shipped("PSPNet", "mmseg", f"pspnet/pspnet_r50-d8_{_SEGMENTORS}"),
    Shipped("DeepLabV3+", "mmseg", f"deeplabv3plus/deeplabv3plus_r50-d8_{_SEGMENTORS}"),
    Shipped("UPerNet", "mmseg", f"upernet/upernet_r50_{_SEGMENTORS}"),
    Shipped(
        "SegFormer", "mmseg", "segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py"
    ),
    Shipped("OCRNet (cascade)", "mmseg", f"ocrnet/ocrnet_hr18_{_SEGMENTORS}"),
    Shipped(
        "SegFormer, slide",
        "mmseg",
        "segformer/segformer_mit-b0_8xb1-160k_cityscapes-1024x1024.py",
        {"test_cfg": {"mode": "slide", "crop_size": (96, 96), "stride": (64, 64)}},
    ),
)
_TOPDOWN = (
    "body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py"
)
_UDP = (
    "body_2d_keypoint/topdown_heatmap/coco/"
    "td-hm_hrnet-w32_udp-8xb64-210e_coco-256x192.py"
)
_SIMCC = "body_2d_keypoint/simcc/coco/simcc_res50_8xb64-210e_coco-256x192.py"
ESTIMATORS = (
    Shipped("heat map", "mmpose", _TOPDOWN, {"test_cfg": {"flip_test": False}}),
    Shipped("heat map, flip_test", "mmpose", _TOPDOWN),
    Shipped("heat map, UDP", "mmpose", _UDP),
    Shipped("SimCC", "mmpose", _SIMCC, {"test_cfg": {"flip_test": False}}),
    Shipped("SimCC, flip_test", "mmpose", _SIMCC, {"test_cfg": {"flip_test": True}}),
    # Its decoder writes into what the head returned, by numpy.
    Shipped(
        "SimCC, use_dark",
        "mmpose",
        _SIMCC,
        {"head": {"decoder": {"use_dark": True}}, "test_cfg": {"flip_test": False}},
    ),
)
ALL = (*DETECTORS, *SEGMENTORS, *ESTIMATORS)


def config_of(row: Shipped, root: Path, large: bool = False) -> Config:
    """The config of a row, with the generated data as its validation set.

    Args:
        row (Shipped): The row.
        root (Path): Where data are written, or were written before.
        large (bool): Images and regions as many and as large as they are
            shipped, one image a batch, three in all; but no map is larger than
            ``LARGE``. For times; nothing is proven there.
    """
    package = Path(importlib.import_module(row.library).__file__ or "").parent
    config = Config.fromfile(str(package / ".mim" / "configs" / row.config))
    without_weights(config.model)
    if row.library == "mmseg" and not large:  # for a loss, all inputs are padded to it
        config.model.data_preprocessor.size = tuple(reversed(SCALE))
    if not (large and row.model is FEW):
        config.merge_from_dict({"model": dict(row.model)})
    pipeline = copy.deepcopy(config.val_dataloader.dataset.pipeline)
    _DATA[row.library](config, root / row.library, row)
    config.val_dataloader.update(batch_size=2, num_workers=0, persistent_workers=False)
    config.val_dataloader.pop("batch_sampler", None)
    if large and row.library != "mmpose":  # those are as they are shipped
        config.val_dataloader.batch_size = 1
        config.val_dataloader.dataset.update(pipeline=pipeline, indices=3)
        for step in pipeline if row.library == "mmseg" else ():
            if step["type"] == "Resize":  # to the crop of most, not below it
                step.update(scale=LARGE, keep_ratio=False)
    config.default_scope = row.library
    # Some of these draw pictures, and some need a training around the validation.
    config.default_hooks = {}
    for name in list(config):
        if name.startswith(("train_", "test_", "tta_", "optim_", "param_", "auto_")):
            config.pop(name)
    return config


def build(config: Config) -> Any:
    """The model of a config, with drawn weights and settled batch norms."""
    torch.manual_seed(0)
    model = registered(config).build(config.model)
    model.init_weights()
    settle(model.eval(), config)
    return model


def registered(config: Config) -> Any:
    """The registry of models of a config's library, with all of them in it."""
    registry = importlib.import_module(f"{config.default_scope}.registry")
    utils = importlib.import_module(f"{config.default_scope}.utils")
    utils.register_all_modules(init_default_scope=True)
    return registry.MODELS


def settle(model: Any, config: Config) -> None:
    """Set batch norms to the statistics of the data: deep nets diverge without."""
    norms = [m for m in model.modules() if hasattr(m, "running_mean")]
    for norm in norms:
        norm.train()
        norm.momentum = None  # a plain mean
    loader = Runner.build_dataloader({**config.val_dataloader, "batch_size": 2})
    with torch.no_grad():
        for batch in loader:
            if len(batch["inputs"]) > 1:  # of one pixel there is no variance
                model.val_step(batch)
    for norm in norms:
        norm.eval()
        norm.momentum = 0.1


def without_weights(model: Any) -> None:
    """Remove all settings that would download weights from a model's config."""
    if isinstance(model, dict):
        init = model.get("init_cfg")
        if isinstance(init, dict) and init.get("type") == "Pretrained":
            model["init_cfg"] = None
        if isinstance(model.get("pretrained"), str):
            model["pretrained"] = None
        for value in model.values():
            without_weights(value)
    elif isinstance(model, (list, tuple)):
        for value in model:
            without_weights(value)


def _boxes(config: Config, root: Path, row: Shipped) -> None:
    classes = importlib.import_module("mmdet.datasets").CocoDataset.METAINFO["classes"]
    file = _once(root, lambda folder: data.coco(folder, classes))
    _shrink(config.val_dataloader.dataset.pipeline)
    config.val_dataloader.dataset.update(
        data_root=str(root), ann_file=file.name, data_prefix={"img": "images/"}
    )
    evaluator = config.val_evaluator
    for one in evaluator if isinstance(evaluator, list) else [evaluator]:
        one.ann_file = str(file)


def _maps(config: Config, root: Path, row: Shipped) -> None:
    # All of one size, as a batch of mmseg has to be.
    sizes = [(140, 90)] * 5
    _once(root, lambda folder: data.segmentation(folder, sizes) / "maps")
    pipeline = config.val_dataloader.dataset.pipeline
    _shrink(pipeline)
    config.val_dataloader.dataset = {
        "type": "BaseSegDataset",
        "reduce_zero_label": any(step.get("reduce_zero_label") for step in pipeline),
        "data_root": str(root),
        "img_suffix": ".png",
        "seg_map_suffix": ".png",
        "metainfo": {"classes": [str(n) for n in range(data.SEGMENTS)]},
        "data_prefix": {"img_path": "images", "seg_map_path": "maps"},
        "pipeline": pipeline,
    }
    without_sync(config.model)


def _persons(config: Config, root: Path, row: Shipped) -> None:
    file = _once(root, data.keypoints)
    pipeline = config.val_dataloader.dataset.pipeline
    # The oracle reads this pipeline, too, and the config has no training left.
    pipeline.insert(
        -1, {"type": "GenerateTarget", "encoder": config.model.head.decoder}
    )
    config.val_dataloader.dataset.update(
        data_root=str(root), ann_file=file.name, data_prefix={"img": "images/"}
    )
    config.val_dataloader.dataset.bbox_file = None
    config.val_evaluator = {"type": "CocoMetric", "ann_file": str(file)}


_DATA = {"mmdet": _boxes, "mmseg": _maps, "mmpose": _persons}


def without_sync(model: Any) -> None:
    """Replace synchronised batch norms by those of one process."""
    if isinstance(model, dict):
        if model.get("type") == "SyncBN":
            model["type"] = "BN"
        for value in model.values():
            without_sync(value)
    elif isinstance(model, (list, tuple)):
        for value in model:
            without_sync(value)


def _once(root: Path, write: Any) -> Path:
    marker = root / ".written"
    if not marker.exists():
        path = write(root)
        marker.write_text(str(path))
    return Path(marker.read_text())


def _shrink(pipeline: Sequence[Any]) -> None:
    square = any(step["type"] == "Pad" for step in pipeline)
    for step in pipeline:
        if step["type"] == "Resize":
            step["scale"] = SQUARE if square else SCALE
        if step["type"] == "Pad" and "size" in step:
            step["size"] = SQUARE
