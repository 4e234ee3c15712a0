"""Models and transforms as mmdet's configs have them, small."""

from __future__ import annotations

RESIZE = {"type": "Resize", "scale": (1333, 800), "keep_ratio": True}
PACK = {
    "type": "PackDetInputs",
    "meta_keys": ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
}
LOAD = {"type": "LoadAnnotations", "with_bbox": True}
LOAD_MASKS = {**LOAD, "with_mask": True}
#: mmdet's own order, in which metrics rely on boxes of the original image.
DEFAULT = ("LoadImageFromFile", RESIZE, LOAD, PACK)
RETINA = {
    "type": "RetinaNet",
    "data_preprocessor": {"type": "DetDataPreprocessor"},
    "backbone": {"type": "ResNet", "norm_cfg": {"type": "BN"}},
    "bbox_head": {
        "type": "RetinaHead",
        "norm_cfg": {"type": "SomeNorm"},
        "loss_cls": {"type": "FocalLoss"},
    },
    "train_cfg": {"assigner": {"type": "MaxIoUAssigner"}},
    "test_cfg": {"nms": {"type": "nms"}},
}
MASK = {
    "type": "MaskRCNN",
    "roi_head": {"type": "StandardRoIHead", "mask_head": {"type": "FCNMaskHead"}},
}
