"""Models of mmocr 1.0.1."""

from __future__ import annotations

from downstream.oracle.table import Model

_FULL = {"empty": False}


def _texts(height: int, width: int, channels: int = 3) -> dict:
    return {"kind": "texts", "size": (height, width), "channels": channels}


MODELS = (
    Model("mmocr", "textdet/dbnet/dbnet_resnet18_fpnc_1200e_icdar2015.py"),
    Model("mmocr", "textdet/dbnetpp/dbnetpp_resnet50_fpnc_1200e_icdar2015.py"),
    Model(
        "mmocr",
        "textdet/drrg/drrg_resnet50_fpn-unet_1200e_ctw1500.py",
        {"det_head.text_region_thr": 0.9, "det_head.center_region_thr": 0.9},
        _FULL,
        1,
    ),
    Model("mmocr", "textdet/fcenet/fcenet_resnet50_fpn_1500e_icdar2015.py"),
    Model(
        "mmocr",
        "textdet/maskrcnn/mask-rcnn_resnet50_fpn_160e_icdar2015.py",
        {},
        {"kind": "masks"},
    ),
    Model("mmocr", "textdet/panet/panet_resnet18_fpem-ffm_600e_icdar2015.py"),
    Model("mmocr", "textdet/psenet/psenet_resnet50_fpnf_600e_icdar2015.py"),
    Model(
        "mmocr",
        "textdet/textsnake/textsnake_resnet50_fpn-unet_1200e_ctw1500.py",
        {
            "det_head.postprocessor.min_text_region_confidence": 0.9,
            "det_head.postprocessor.min_center_region_confidence": 0.9,
        },
    ),
    Model(
        "mmocr", "textrecog/abinet/abinet-vision_20e_st-an_mj.py", {}, _texts(32, 128)
    ),
    Model("mmocr", "textrecog/abinet/abinet_20e_st-an_mj.py", {}, _texts(32, 128)),
    Model("mmocr", "textrecog/aster/aster_resnet45_6e_st_mj.py", {}, _texts(64, 256)),
    Model("mmocr", "textrecog/crnn/crnn_mini-vgg_5e_mj.py", {}, _texts(32, 100, 1)),
    Model(
        "mmocr", "textrecog/master/master_resnet31_12e_st_mj_sa.py", {}, _texts(48, 160)
    ),
    Model(
        "mmocr",
        "textrecog/nrtr/nrtr_modality-transform_6e_st_mj.py",
        {},
        _texts(32, 100),
    ),
    Model(
        "mmocr",
        "textrecog/nrtr/nrtr_resnet31-1by8-1by4_6e_st_mj.py",
        {},
        _texts(32, 100),
    ),
    Model(
        "mmocr",
        "textrecog/robust_scanner/robustscanner_resnet31_5e_toy.py",
        {},
        _texts(48, 160),
    ),
    Model(
        "mmocr",
        "textrecog/sar/sar_resnet31_parallel-decoder_5e_toy.py",
        {},
        _texts(48, 160),
    ),
    Model(
        "mmocr",
        "textrecog/sar/sar_resnet31_sequential-decoder_5e_st-sub_mj-sub_sa_real.py",
        {},
        _texts(48, 160),
    ),
    Model("mmocr", "textrecog/satrn/satrn_shallow_5e_st_mj.py", {}, _texts(32, 100)),
    Model("mmocr", "textrecog/svtr/svtr-tiny_20e_st_mj.py", {}, _texts(32, 100)),
    Model(
        "mmocr",
        "kie/sdmgr/sdmgr_novisual_60e_wildreceipt.py",
        {},
        {"kind": "forms", "picture_of_form": False},
    ),
    Model("mmocr", "kie/sdmgr/sdmgr_unet16_60e_wildreceipt.py", {}, {"kind": "forms"}),
)
