"""Models of mmpose 1.3.2."""

from __future__ import annotations

from downstream.oracle.table import Model

_BODY = "body_2d_keypoint"
_TOPDOWN = f"{_BODY}/topdown_heatmap/coco/td-hm_"
_SQUARE = {"size": (256, 256)}
_PERSONS = {"persons": 3}

#: For pictures of 256 x 256, where 512 x 512 is shipped.
_DECODER = {
    "head.decoder.input_size": (256, 256),
    "head.decoder.heatmap_size": (64, 64),
}

MODELS = (
    Model("mmpose", _TOPDOWN + "res50_8xb64-210e_coco-256x192.py"),
    Model("mmpose", _TOPDOWN + "hrnet-w32_udp-8xb64-210e_coco-256x192.py"),
    Model("mmpose", _TOPDOWN + "rsn18_8xb32-210e_coco-256x192.py"),
    Model(
        "mmpose",
        _TOPDOWN + "cpm_8xb64-210e_coco-256x192.py",
        {"backbone.num_stages": 2, "head.num_stages": 2},
    ),
    Model("mmpose", _TOPDOWN + "pvt-s_8xb64-210e_coco-256x192.py"),
    Model("mmpose", _TOPDOWN + "vipnas-mbv3_8xb64-210e_coco-256x192.py"),
    Model("mmpose", _TOPDOWN + "hourglass52_8xb32-210e_coco-256x256.py", {}, _SQUARE),
    Model("mmpose", _TOPDOWN + "ViTPose-small-simple_8xb64-210e_coco-256x192.py"),
    Model(
        "mmpose",
        _TOPDOWN.replace("td-hm_", "")
        + "td-hm-vis_res50_8xb64-210e_coco-aic-256x192-merge.py",
    ),
    Model("mmpose", f"{_BODY}/simcc/coco/simcc_res50_8xb64-210e_coco-256x192.py"),
    Model("mmpose", f"{_BODY}/rtmpose/coco/rtmpose-t_8xb256-420e_coco-256x192.py"),
    Model(
        "mmpose",
        f"{_BODY}/integral_regression/coco/ipr_res50_8xb64-210e_coco-256x256.py",
        {},
        _SQUARE,
    ),
    Model(
        "mmpose",
        f"{_BODY}/topdown_regression/coco/td-reg_res50_8xb64-210e_coco-256x192.py",
    ),
    Model(
        "mmpose",
        f"{_BODY}/topdown_regression/coco/td-reg_res50_rle-8xb64-210e_coco-256x192.py",
    ),
    Model(
        "mmpose",
        f"{_BODY}/cid/coco/cid_hrnet-w32_8xb20-140e_coco-512x512.py",
        _DECODER,
        {"corners": True, **_PERSONS, "size": (256, 256)},
        1,
    ),
    Model(
        "mmpose",
        f"{_BODY}/dekr/coco/dekr_hrnet-w32_8xb10-140e_coco-512x512.py",
        _DECODER,
        {**_PERSONS, "size": (256, 256)},
        1,
    ),
    Model(
        "mmpose",
        f"{_BODY}/rtmo/coco/rtmo-s_8xb32-600e_coco-640x640.py",
        {},
        {**_PERSONS, "size": (320, 320)},
    ),
    Model(
        "mmpose",
        f"{_BODY}/yoloxpose/coco/yoloxpose_tiny_4xb64-300e_coco-416.py",
        {},
        {**_PERSONS, "size": (416, 416)},
    ),
    Model(
        "mmpose",
        "wholebody_2d_keypoint/rtmpose/cocktail14/rtmw-m_8xb1024-270e_cocktail14-256x192.py",
        {},
        {"keypoints": 133},
    ),
    Model(
        "mmpose",
        "body_3d_keypoint/image_pose_lift/h36m/image-pose-lift_tcn_8xb64-200e_h36m.py",
        {},
        {"lifting": {}},
    ),
    Model(
        "mmpose",
        "body_3d_keypoint/video_pose_lift/h36m/video-pose-lift_tcn-27frm-supv_8xb128-160e_h36m.py",
        {},
        {"lifting": {"frames": 27}},
    ),
    Model(
        "mmpose",
        "body_3d_keypoint/motionbert/h36m/motionbert_dstformer-243frm_8xb32-240e_h36m.py",
        {"backbone.seq_len": 16},
        {"lifting": {"frames": 16, "targets": 16}},
    ),
)
