"""Shipped models without a loss on validation data are rejected by name, others not.

The result has to be the same for a config and for the model that is built from it.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

pytest.importorskip("mmcv.ops", reason="mmcv has no ops: tox -m downstream-full has")

from mmengine.config import Config

from downstream import frozen, shipped
from downstream.rows import runner_of
from valloss_compat._config import names_of
from valloss_compat._libraries.models import check_config, check_model
from valloss_compat._loss_forward.validation_pass import LossSource
from valloss_compat.errors import UnsupportedError

pytestmark = pytest.mark.filterwarnings("ignore")

DENIED = (
    (
        "mmdet",
        "soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py",
        "SoftTeacher",
    ),
    (
        "mmdet",
        "qdtrack/qdtrack_faster-rcnn_r50_fpn_8xb2-4e_mot17halftrain_test-mot17halfval"
        ".py",
        "QDTrack",
    ),
    (
        "mmdet",
        "bytetrack/bytetrack_yolox_x_8xb4-amp-80e_crowdhuman-mot17halftrain_"
        "test-mot17halfval.py",
        "ByteTrack",
    ),
    (
        "mmpose",
        "wholebody_2d_keypoint/dwpose/ubody/s1_dis/"
        "dwpose_l_dis_m_coco-ubody-256x192.py",
        "DWPoseDistiller",
    ),
)
#: What earlier lists of known classes left out.
ACCEPTED = (
    ("mmdet", "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py"),
    ("mmdet", "condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py"),
    ("mmdet", "centernet/centernet-update_r50-caffe_fpn_ms-1x_coco.py"),
    ("mmdet", "guided_anchoring/ga-retinanet_r50_fpn_1x_coco.py"),
    ("mmdet", "deformable_detr/deformable-detr_r50_16xb2-50e_coco.py"),
    ("mmdet", "dino/dino-4scale_r50_8xb2-12e_coco.py"),
    ("mmdet", "vfnet/vfnet_r50_fpn_1x_coco.py"),
    ("mmdet", "reppoints/reppoints-moment_r50_fpn_1x_coco.py"),
    ("mmdet", "dynamic_rcnn/dynamic-rcnn_r50_fpn_1x_coco.py"),
    ("mmdet", "ghm/retinanet_r50_fpn_ghm-1x_coco.py"),
    ("mmdet", "paa/paa_r50_fpn_1x_coco.py"),
    ("mmdet", "ld/ld_r18-gflv1-r101_fpn_1x_coco.py"),
    ("mmdet", "sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py"),
    ("mmseg", "ddrnet/ddrnet_23-slim_in1k-pre_2xb6-120k_cityscapes-1024x1024.py"),
    ("mmseg", "pidnet/pidnet-s_2xb6-120k_1024x1024-cityscapes.py"),
    ("mmseg", "knet/knet-s3_r50-d8_fcn_8xb2-adamw-80k_ade20k-512x512.py"),
    ("mmseg", "segnext/segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512.py"),
    ("mmseg", "mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py"),
    ("mmseg", "emanet/emanet_r50-d8_4xb2-80k_cityscapes-512x1024.py"),
)


def shipped_config(library: str, path: str) -> Config:
    pytest.importorskip(library)
    package = Path(importlib.import_module(library).__file__).parent
    file = package / ".mim" / "configs" / path
    if not file.exists():
        pytest.skip(f"this release of {library} ships no {path}")
    config = Config.fromfile(str(file))
    config.default_scope = library
    return config


@pytest.mark.parametrize(("library", "path", "named"), DENIED, ids=lambda value: value)
def test_shipped_config_is_rejected_by_the_name_of_its_model(library, path, named):
    rejection = check_config(shipped_config(library, path))
    assert rejection.component == f"{library}.{named}"
    assert rejection.fix


@pytest.mark.parametrize("named", ["SoftTeacher", "QDTrack"])
def test_built_model_is_rejected_as_its_config_is(named):
    (row,) = (row for row in DENIED if row[2] == named)
    config = shipped_config(*row[:2])
    shipped.without_weights(config.model)
    shipped.without_sync(config.model)
    model = names_of(shipped.registered(config).build(config.model))
    assert check_model(model) == check_config(config) is not None


@pytest.mark.parametrize("library", ["mmdet", "mmseg", "mmpose", "mmpretrain"])
def test_class_that_derives_from_a_denied_one_is_denied_by_its_own_name(library):
    """A config has no bases: the doctor would accept what the hook rejects."""
    pytest.importorskip(library)
    config = Config({"default_scope": library})
    classes = {
        name: cls
        for name, cls in shipped.registered(config).module_dict.items()
        if isinstance(cls, type) and cls.__module__.startswith(f"{library}.")
    }
    assert len(classes) > 50
    differ = []
    for name, cls in classes.items():
        built = names_of({"type": cls})
        named = names_of({"type": name}, library)
        if check_model(built) and not check_model(named):
            differ.append(name)
    assert differ == []


@pytest.mark.parametrize(("library", "path"), ACCEPTED, ids=lambda value: value)
def test_model_of_any_class_is_accepted(library, path):
    config = shipped_config(library, path)
    assert check_config(config) is None


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


_SEESAW = {"type": "SeesawLoss", "num_classes": 80, "use_sigmoid": False}
#: Name, config, changes of the model, and what the self-check finds.
NUMBERS = (
    ("FCOS", "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py", {}, "FCOS: deterministic"),
    (
        "SeesawLoss",
        "faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py",
        {
            **shipped.FEW,
            "roi_head": {
                "bbox_head": {
                    "loss_cls": {"_delete_": True, "loss_weight": 1.0, **_SEESAW},
                    "cls_predictor_cfg": {"type": "NormedLinear", "tempearture": 20},
                }
            },
        },
        "loss_cls.cum_samples",
    ),
    (
        "GHM",
        "ghm/retinanet_r50_fpn_ghm-1x_coco.py",
        {},
        "(restored before each batch)",
    ),
    ("VFNet", "vfnet/vfnet_r50_fpn_1x_coco.py", {}, "VFNet: deterministic"),
)


@pytest.mark.parametrize(
    ("name", "path", "changes", "line"), NUMBERS, ids=[row[0] for row in NUMBERS]
)
def test_loss_of_a_model_that_reads_its_mode_is_that_of_frozen_training(
    name, path, changes, line, data_root, tmp_path, monkeypatch
):
    """Stateful and drawing losses too: no batch sees the state of another one."""
    pytest.importorskip("mmdet")
    config = shipped.config_of(shipped.Shipped(name, "mmdet", path, changes), data_root)
    model = shipped.build(config)
    expected = frozen.of_config(config, model)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = []
    learn = LossSource.learn
    monkeypatch.setattr(
        LossSource, "learn", lambda *args: found.append(args[2]) or learn(*args)
    )
    metrics = runner_of(config, tmp_path, model=model, strategy="auto").val()
    losses = {key: metrics[key] for key in expected}
    assert losses == pytest.approx(expected, rel=1e-5)
    assert line in found[0]
    assert all(value.equal(before[key]) for key, value in model.state_dict().items())


def test_denied_model_is_rejected_before_a_validation(data_root, tmp_path):
    pytest.importorskip("mmdet")
    row = shipped.DETECTORS[3]
    config = shipped.config_of(row, data_root)
    model = shipped.build(config)
    from mmdet.models import SoftTeacher

    model.__class__ = type("Own", (SoftTeacher,), {})
    runner = runner_of(config, tmp_path, model=model, strategy="auto")
    with pytest.raises(
        UnsupportedError, match="Own: its loss needs batches of several"
    ):
        runner.val()
