"""Shipped models with a wrong loss in validations are rejected by name.

The result has to be the same for a config and for the model that is built from it.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path

import pytest

pytest.importorskip("mmcv.ops", reason="mmcv has no ops: tox -m downstream-full has")

from mmengine.config import Config

from downstream import shipped
from valloss_compat._libraries import components, judge, look
from valloss_compat._libraries.mmdet import MMDet
from valloss_compat._libraries.mmpose import MMPose
from valloss_compat._libraries.mmseg import MMSeg

pytestmark = pytest.mark.filterwarnings("ignore")

WRONG = (
    ("mmdet", "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py", "FCOS"),
    ("mmdet", "condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py", "CondInst"),
    ("mmdet", "boxinst/boxinst_r50_fpn_ms-90k_coco.py", "BoxInst"),
    ("mmdet", "solo/solo_r50_fpn_1x_coco.py", "SOLO"),
    ("mmdet", "centernet/centernet-update_r50-caffe_fpn_ms-1x_coco.py", "CenterNet"),
    ("mmdet", "guided_anchoring/ga-retinanet_r50_fpn_1x_coco.py", "GARetinaHead"),
    # raising
    (
        "mmdet",
        "deformable_detr/deformable-detr_r50_16xb2-50e_coco.py",
        "DeformableDETR",
    ),
    ("mmdet", "dino/dino-4scale_r50_8xb2-12e_coco.py", "DINO"),
    ("mmdet", "ddq/ddq-detr-4scale_r50_8xb2-12e_coco.py", "DDQDETR"),
    ("mmdet", "vfnet/vfnet_r50_fpn_1x_coco.py", "VFNet"),
    ("mmdet", "reppoints/reppoints-moment_r50_fpn_1x_coco.py", "RepPointsDetector"),
    # stateful
    ("mmdet", "dynamic_rcnn/dynamic-rcnn_r50_fpn_1x_coco.py", "DynamicRoIHead"),
    (
        "mmdet",
        "seesaw_loss/mask-rcnn_r50_fpn_seesaw-loss_random-ms-2x_lvis-v1.py",
        "SeesawLoss",
    ),
    ("mmdet", "ghm/retinanet_r50_fpn_ghm-1x_coco.py", "GHMC"),
    # random, and writing into the ground truth
    ("mmdet", "mask2former/mask2former_r50_8xb2-lsj-50e_coco.py", "Mask2Former"),
    ("mmdet", "fast_rcnn/fast-rcnn_r50_fpn_1x_coco.py", "FastRCNN"),
    # not known, though it derives from what is
    ("mmdet", "paa/paa_r50_fpn_1x_coco.py", "PAA"),
    ("mmdet", "ld/ld_r18-gflv1-r101_fpn_1x_coco.py", "KnowledgeDistillation"),
    ("mmdet", "sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py", "SparseRCNN"),
    # mmseg
    (
        "mmseg",
        "ddrnet/ddrnet_23-slim_in1k-pre_2xb6-120k_cityscapes-1024x1024.py",
        "DDR",
    ),
    ("mmseg", "pidnet/pidnet-s_2xb6-120k_1024x1024-cityscapes.py", "PID"),
    (
        "mmseg",
        "knet/knet-s3_r50-d8_fcn_8xb2-adamw-80k_ade20k-512x512.py",
        "IterativeDecodeHead",
    ),
    ("mmseg", "san/san-vit-b16_coco-stuff164k-640x640.py", "Multimodal"),
    (
        "mmseg",
        "segnext/segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512.py",
        "pads the inputs",
    ),
    ("mmseg", "mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py", "pads"),
    (
        "mmseg",
        "emanet/emanet_r50-d8_4xb2-80k_cityscapes-512x1024.py",
        "EMAHead",
    ),
    # mmpose
    (
        "mmpose",
        "body_2d_keypoint/rtmo/coco/rtmo-s_8xb32-600e_coco-640x640.py",
        "Bottom",
    ),
    (
        "mmpose",
        "body_2d_keypoint/yoloxpose/coco/yoloxpose_tiny_4xb64-300e_coco-416.py",
        "BottomupPoseEstimator",
    ),
    (
        "mmpose",
        "body_2d_keypoint/dekr/coco/dekr_hrnet-w32_8xb10-140e_coco-512x512.py",
        "BottomupPoseEstimator",
    ),
    (
        "mmpose",
        "body_2d_keypoint/topdown_heatmap/coco/td-hm_4xmspn50_8xb32-210e_coco-256x192.py",
        "MSPNHead",
    ),
    (
        "mmpose",
        "body_2d_keypoint/rtmpose/coco/rtmpose-s_8xb256-420e_coco-256x192.py",
        "RTMCCHead",
    ),
)
#: These are also built, as a config may lack the reason.
BUILT = ("fcos", "vfnet", "ghm", "dynamic", "ddrnet", "segnext", "emanet")


def shipped_config(library: str, path: str) -> Config:
    package = Path(importlib.import_module(library).__file__).parent
    file = package / ".mim" / "configs" / path
    if not file.exists():
        pytest.skip(f"this release of {library} ships no {path}")
    return Config.fromfile(str(file))


@pytest.mark.parametrize(("library", "path", "named"), WRONG, ids=lambda value: value)
def test_shipped_config_is_refused_by_name(library, path, named):
    config = shipped_config(library, path)
    said = " | ".join(str(refusal) for refusal in look(config).refusals)
    assert named in said
    assert "Way out: " in said


@pytest.mark.parametrize(
    ("library", "path", "named"),
    [row for row in WRONG if row[1].startswith(BUILT)],
    ids=lambda value: value,
)
def test_the_model_that_is_built_is_refused_as_its_config_is(library, path, named):
    config = shipped_config(library, path)
    shipped.without_weights(config.model)
    shipped.without_sync(config.model)
    config.default_scope = library
    model = components.of_model(shipped.registered(config).build(config.model))
    said = "; ".join(map(str, judge(model, [], ()).refusals))
    assert named in said


def test_parts_that_are_known_do_not_look_at_the_mode():
    """Known heads behave the same in training, so the oracle may run in eval mode."""
    rooms = {
        MMDet: ("models",),
        MMSeg: ("models",),
        MMPose: ("models", "codecs"),
    }
    looked = 0
    for adapter, names in rooms.items():
        pytest.importorskip(adapter.library)
        for name in names:
            room = importlib.import_module(f"{adapter.library}.{name}")
            for kind in (*adapter.models, *adapter.known):
                cls = _class_in(room, kind)
                for base in cls.__mro__ if cls else ():
                    if base.__module__.startswith(f"{adapter.library}."):
                        looked += 1
                        assert "self.training" not in inspect.getsource(base), base
    assert looked > 100


def _class_in(room, kind):
    """Return a class by its name, from a package or the modules that it imported."""
    for name, module in list(sys.modules.items()):
        found = getattr(module, kind, None) if name.startswith(room.__name__) else None
        if isinstance(found, type):
            return found
    return None
