"""Models of mmyolo 0.6.0."""

from __future__ import annotations

from downstream.oracle.table import Model

#: This augmentation also stacks: it resizes to the size that the pictures have.
_STACK = {
    "type": "PPYOLOEBatchRandomResize",
    "random_size_range": (128, 128),
    "interval": 1,
    "size_divisor": 32,
    "random_interp": False,
    "interp_mode": "bilinear",
}

MODELS = (
    Model(
        "mmyolo",
        "ppyoloe/ppyoloe_s_fast_8xb32-300e_coco.py",
        {"data_preprocessor.batch_augments": [_STACK]},
    ),
    Model("mmyolo", "rtmdet/rtmdet_tiny_syncbn_fast_8xb32-300e_coco.py"),
    Model("mmyolo", "yolov5/yolov5_n-v61_syncbn_fast_8xb16-300e_coco.py"),
    Model(
        "mmyolo",
        "yolov5/ins_seg/yolov5_ins_n-v61_syncbn_fast_8xb16-300e_coco_instance.py",
        {},
        {"masks": True},
    ),
    Model("mmyolo", "yolov6/yolov6_n_syncbn_fast_8xb32-400e_coco.py"),
    Model("mmyolo", "yolov6/yolov6_v3_n_syncbn_fast_8xb32-300e_coco.py"),
    Model("mmyolo", "yolov6/yolov6_m_syncbn_fast_8xb32-300e_coco.py"),
    Model("mmyolo", "yolov7/yolov7_tiny_syncbn_fast_8x16b-300e_coco.py"),
    Model("mmyolo", "yolov7/yolov7_w-p6_syncbn_fast_8x16b-300e_coco.py"),
    Model("mmyolo", "yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py"),
    Model("mmyolo", "yolox/yolox_tiny_fast_8xb8-300e_coco.py"),
)
