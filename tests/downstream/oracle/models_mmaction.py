"""Models of mmaction2 1.2.0."""

from __future__ import annotations

from typing import Any

from downstream.oracle.table import GONE, Model


def _frames(config: str, number: int = 8, side: int = 64, **changes: Any) -> Model:
    shape = (number, 3, side, side)
    return Model("mmaction", f"recognition/{config}", changes, {"shape": shape})


def _clip(config: str, length: int = 8, side: int = 64, **changes: Any) -> Model:
    shape = (1, 3, length, side, side)
    return Model("mmaction", f"recognition/{config}", changes, {"shape": shape})


#: Weights of a 2D network would be loaded.
_DRAWN = {"backbone.pretrained2d": False}
_FEATURE = {"kind": "feature"}

MODELS = (
    _frames("tsn/tsn_imagenet-pretrained-r50_8xb32-1x1x3-100e_kinetics400-rgb.py", 3),
    _frames(
        "tsm/tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb.py", **_DRAWN
    ),
    _frames("tanet/tanet_imagenet-pretrained-r50_8xb8-1x1x8-50e_sthv1-rgb.py"),
    _frames("trn/trn_imagenet-pretrained-r50_8xb16-1x1x8-50e_sthv1-rgb.py"),
    _frames(
        "tpn/tpn-tsm_imagenet-pretrained-r50_8xb8-1x1x8-150e_sthv1-rgb.py", **_DRAWN
    ),
    _clip("tpn/tpn-slowonly_r50_8xb8-8x8x1-150e_kinetics400-rgb.py"),
    _clip("c2d/c2d_r50-in1k-pre_8xb32-8x8x1-100e_kinetics400-rgb.py"),
    _clip("c3d/c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb.py", 16, 112),
    _clip(
        "csn/ircsn_ig65m-pretrained-r50-bnfrozen_8xb12-32x2x1-58e_kinetics400-rgb.py",
        **{"test_cfg.max_testing_views": GONE},
    ),
    _clip("i3d/i3d_imagenet-pretrained-r50_8xb8-32x2x1-100e_kinetics400-rgb.py", 16),
    _clip("mvit/mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb.py", 16, 224),
    _clip(
        "r2plus1d/r2plus1d_r34_8xb8-8x8x1-180e_kinetics400-rgb.py",
        **{"backbone.norm_cfg.type": "BN3d"},
    ),
    _clip("slowfast/slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb.py", 32),
    _clip("slowonly/slowonly_r50_8xb16-4x16x1-256e_kinetics400-rgb.py", 4),
    _clip(
        "swin/swin-tiny-p244-w877_in1k-pre_8xb8-amp-32x2x1-30e_kinetics400-rgb.py",
        8,
        112,
    ),
    _clip(
        "timesformer/timesformer_divST_8xb8-8x32x1-15e_kinetics400-rgb.py",
        8,
        64,
        **{"backbone.img_size": 64, "backbone.num_frames": 8},
    ),
    _clip("uniformer/uniformer-small_imagenet1k-pre_16x4x1_kinetics400-rgb.py", 8, 112),
    _clip(
        "uniformerv2/uniformerv2-base-p16-res224_clip_8xb32-u8_kinetics400-rgb.py",
        8,
        64,
        **{"backbone.input_resolution": 64, "backbone.clip_pretrained": False},
    ),
    _clip(
        "videomae/vit-base-p16_videomae-k400-pre_16x4x1_kinetics-400.py",
        4,
        64,
        **{"backbone.img_size": 64, "backbone.num_frames": 4},
    ),
    _clip("x3d/x3d_s_13x6x1_facebook-kinetics400-rgb.py"),
    Model(
        "mmaction",
        "recognition/omnisource/slowonly_r50_8xb16-8x8x1-256e_imagenet-kinetics400-rgb.py",
        {},
        {"shape": (1, 3, 8, 64, 64), "classes": 400},
    ),
    Model(
        "mmaction",
        "skeleton/posec3d/slowonly_r50_8xb16-u48-240e_ntu60-xsub-keypoint.py",
        {},
        {"shape": (1, 17, 8, 56, 56)},
    ),
    Model(
        "mmaction",
        "skeleton/stgcn/stgcn_8xb16-joint-u100-80e_ntu60-xsub-keypoint-2d.py",
        {},
        {"shape": (1, 2, 20, 17, 3)},
    ),
    Model(
        "mmaction",
        "skeleton/stgcnpp/stgcnpp_8xb16-joint-u100-80e_ntu60-xsub-keypoint-2d.py",
        {},
        {"shape": (1, 2, 20, 17, 3)},
    ),
    Model(
        "mmaction",
        "skeleton/2s-agcn/2s-agcn_8xb16-joint-u100-80e_ntu60-xsub-keypoint-2d.py",
        {},
        {"shape": (1, 2, 20, 17, 3)},
    ),
    Model(
        "mmaction",
        "recognition_audio/resnet/tsn_r18_8xb320-64x1x1-100e_kinetics400-audio-feature.py",
        {},
        {"shape": (1, 1, 80, 80)},
    ),
    Model(
        "mmaction",
        "localization/bmn/bmn_2xb8-400x100-9e_activitynet-feature.py",
        {},
        {**_FEATURE, "shape": (400, 100)},
    ),
    Model(
        "mmaction",
        "localization/bsn/bsn_tem_1xb16-400x100-20e_activitynet-feature.py",
        {},
        {**_FEATURE, "shape": (400, 100)},
    ),
    Model(
        "mmaction",
        "detection/slowonly/slowonly_k400-pre-r50_8xb8-8x8x1-10e_ava-kinetics-rgb.py",
        {},
        {"kind": "persons", "shape": (3, 8, 96, 96)},
        1,
    ),
    Model(
        "mmaction",
        "detection/acrn/slowfast-acrn_kinetics400-pretrained-r50_8xb8-8x8x1-cosine-10e_ava21-rgb.py",
        {},
        {"kind": "persons", "shape": (3, 32, 96, 96)},
        1,
    ),
)
