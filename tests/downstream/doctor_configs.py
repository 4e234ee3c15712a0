"""Shipped configs, broken in ways that users break them, and changed in ways that work.

A row is a name, a shipped config, and what a user writes below it.
"""

from __future__ import annotations

STOP = (
    "early_stopping=dict(type='EarlyStoppingHook', monitor='val_loss', min_delta=1e-4)"
)
BEST = "checkpoint=dict(save_best='val_loss', rule='less')"
HOOK = "val_loss=dict(type='ValLossHook')"
CLS = "mmpretrain::resnet/resnet18_8xb16_cifar10.py"
DET = "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py"
RTM = "mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py"
SEG = "mmseg::pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py"
POSE = (
    "mmpose::body_2d_keypoint/topdown_heatmap/coco/"
    "td-hm_res50_8xb64-210e_coco-256x192.py"
)
MOCO = "mmpretrain::mocov2/mocov2_resnet50_8xb32-coslr-200e_in1k.py"
SOFT = (
    "mmdet::soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py"
)
IMPORT = "custom_imports = dict(imports=['valloss_compat'{}])\n"


def hooks(*entries):
    return f"default_hooks = dict({', '.join(entries)})\n"


def stop(name, entry=STOP):
    """Monitor another name."""
    return entry.replace("'val_loss'", repr(name))


def plateau(arguments):
    entry = f"dict(_delete_=True, type='ReduceOnPlateauLR', {arguments})"
    return f"param_scheduler = {entry}\n"


FAILING = [
    ("val_los", CLS, hooks(HOOK, stop("val_los"))),
    ("valloss", CLS, hooks(HOOK, stop("valloss"))),
    ("Val_Loss", DET, hooks(HOOK, stop("Val_Loss"))),
    ("tag of a named loss", DET, hooks(HOOK, stop("val/loss_cls"))),
    ("tag of loss", SEG, hooks(HOOK, stop("val/loss"))),
    ("tag of a metric", CLS, hooks(stop("val/accuracy/top1", BEST))),
    ("valid_loss", POSE, hooks(HOOK, stop("valid_loss", BEST))),
    ("test_loss", SEG, hooks(HOOK, stop("test_loss", BEST))),
    ("no loss to stop by", CLS, hooks(STOP)),
    ("no loss for the best", DET, hooks(BEST)),
    ("no loss of a segmentor", SEG, hooks(STOP)),
    ("no loss of a pose estimator", POSE, hooks(BEST)),
    ("no loss for a scheduler", CLS, plateau("monitor='val_loss'")),
    ("scheduler by a tag", CLS, hooks(HOOK) + plateau("monitor='val/val_loss'")),
    (
        "scheduler by its default",
        DET,
        "param_scheduler = [dict(type='ReduceOnPlateauLR')]",
    ),
    (
        "scheduler, no rule",
        CLS,
        hooks(HOOK) + plateau("monitor='val_loss', rule='min'"),
    ),
    ("EarlyStopHook", CLS, hooks(HOOK, STOP.replace("Stopping", "Stop"))),
    ("EarlyStopping", DET, hooks(HOOK, STOP.replace("StoppingHook", "Stopping"))),
    ("ValLosHook", SEG, hooks(HOOK.replace("LossH", "LosH"), STOP)),
    ("workflow", CLS, hooks(HOOK) + "workflow = [('train', 1), ('val', 1)]"),
    ("rule greater", DET, hooks(HOOK, BEST.replace("less", "greater"))),
    ("rule of the base", POSE, hooks(HOOK, "checkpoint=dict(save_best='val_loss')")),
    ("no monitor", CLS, hooks(HOOK, "stop=dict(type='EarlyStoppingHook')")),
    ("no such rule", CLS, hooks(HOOK, STOP.replace("min_d", "rule='min', min_d"))),
    ("no type", CLS, hooks(HOOK, "stop=dict(monitor='val_loss')")),
    ("no such strategy", DET, hooks(HOOK.replace("')", "', strategy='fast')"))),
    ("no such option", DET, hooks(HOOK.replace("')", "', trust=True)"))),
    ("no evaluator", CLS, hooks(HOOK) + "val_evaluator = None"),
    (
        "no validation",
        CLS,
        hooks(STOP) + "val_evaluator = val_cfg = val_dataloader = None",
    ),
    ("too short", CLS, hooks(HOOK, STOP) + "train_cfg = dict(val_begin=300)"),
    ("self-supervised", MOCO, hooks(HOOK)),
    ("semi-supervised", SOFT, hooks(HOOK)),
    ("lost hooks", RTM, "custom_hooks = [dict(type='ValLossHook')]"),
    ("lost imports", RTM, hooks(HOOK) + IMPORT.format(", 'not_there'")),
]
WORKING = [
    *((f"shipped {name}", name, "") for name in (CLS, DET, SEG, POSE, RTM)),
    *(
        (f"with all hooks, {name}", name, hooks(HOOK, STOP, BEST))
        for name in (CLS, DET, SEG, POSE, RTM)
    ),
    *(
        (f"with hooks, {name}", name, hooks(HOOK, STOP))
        for name in (
            "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py",
            "mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py",
            "mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py",
            "mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py",
            "mmdet::yolox/yolox_tiny_8xb8-300e_coco.py",
            "mmdet::detr/detr_r50_8xb2-150e_coco.py",
            "mmseg::unet/unet-s5-d16_fcn_4xb4-160k_cityscapes-512x1024.py",
            "mmseg::segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py",
            "mmpretrain::vision_transformer/vit-base-p32_64xb64_in1k-384px.py",
            "mmpretrain::mobilenet_v2/mobilenet-v2_8xb32_in1k.py",
            "mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py",
        )
    ),
    ("scheduler", CLS, hooks(HOOK) + plateau("monitor='val_loss', rule='less'")),
    ("scheduler by a metric", CLS, plateau("monitor='accuracy/top1', rule='greater'")),
    ("best metric", CLS, hooks("checkpoint=dict(save_best='accuracy/top1')")),
    ("best auto", DET, hooks("checkpoint=dict(save_best='auto')")),
    ("best of COCO", DET, hooks("checkpoint=dict(save_best='coco/bbox_mAP')")),
    ("two bests", CLS, hooks(HOOK, "checkpoint=dict(save_best=['val_loss', 'top1'])")),
    ("named loss", DET, hooks(HOOK, stop("loss_cls"))),
    ("prefixed loss", DET, hooks(HOOK, stop("teacher/val_loss"))),
    ("full name", CLS, hooks(HOOK.replace("Val", "valloss_compat.hooks.Val"), STOP)),
    ("workflow of a training", CLS, hooks(HOOK) + "workflow = [('train', 1)]"),
    ("default min_delta", CLS, hooks(HOOK, STOP.replace(", min_delta=1e-4", ""))),
    ("hook of the script", CLS, hooks(HOOK, "mine=dict(type='HookOfTheScript')")),
]
