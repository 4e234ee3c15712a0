"""Models of mmdet 3.3.0."""

from __future__ import annotations

from downstream.oracle.language import PLACE, WORDS
from downstream.oracle.table import Model

#: Regions of a second stage: a thousand take a CPU a second.
FEW = {
    "train_cfg.rpn_proposal.nms_pre": 300,
    "train_cfg.rpn_proposal.max_per_img": 100,
    "test_cfg.rpn.nms_pre": 300,
    "test_cfg.rpn.max_per_img": 50,
}
#: Queries of a decoder, and layers of its transformers.
QUERIES = {"num_queries": 60, "encoder.num_layers": 2, "decoder.num_layers": 2}
PROPOSALS = {"rpn_head.num_proposals": 20, "test_cfg.rcnn.max_per_img": 20}
#: Masks that a prediction pastes.
FEW_MASKS = {"test_cfg.nms_pre": 20, "test_cfg.max_per_img": 5}
#: Regions that a loss samples.
FEW_SAMPLES = {**FEW, "train_cfg.rcnn.sampler.num": 48}
#: A network of two hourglasses has 200 million parameters.
THIN = {
    "backbone.stage_channels": [64, 64, 64, 64, 64, 64],
    "backbone.feat_channel": 64,
    "bbox_head.in_channels": 64,
}
#: A language model of few words.
LANGUAGE = {"*.name": PLACE}
NAMED = {"texts": WORDS, "classes": len(WORDS)}
#: Where the coarsest level needs some cells.
LARGE = {"sizes": ((256, 320), (256, 256), (320, 256), (288, 320))}
#: Where training takes pictures of one size.
SAME = {"sizes": ((128, 128),) * 4}
#: Where training needs an object in each picture.
FULL = {"empty": False}

_SINGLE = (
    Model("mmdet", "atss/atss_r50_fpn_1x_coco.py"),
    Model("mmdet", "autoassign/autoassign_r50-caffe_fpn_1x_coco.py"),
    Model("mmdet", "centernet/centernet-update_r50-caffe_fpn_ms-1x_coco.py"),
    Model("mmdet", "centernet/centernet_r18_8xb16-crop512-140e_coco.py"),
    Model(
        "mmdet",
        "ddod/ddod_r50_fpn_1x_coco.py",
        {"neck.num_outs": 4, "bbox_head.anchor_generator.strides": [8, 16, 32, 64]},
        LARGE,
    ),
    Model("mmdet", "dyhead/atss_r50_fpn_dyhead_1x_coco.py"),
    Model("mmdet", "efficientnet/retinanet_effb3_fpn_8xb4-crop896-1x_coco.py"),
    Model("mmdet", "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py"),
    Model(
        "mmdet",
        "fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py",
    ),
    Model("mmdet", "foveabox/fovea_r50_fpn_4xb4-1x_coco.py"),
    Model("mmdet", "fpg/retinanet_r50_fpg_crop640_50e_coco.py"),
    Model("mmdet", "free_anchor/freeanchor_r50_fpn_1x_coco.py"),
    Model("mmdet", "fsaf/fsaf_r50_fpn_1x_coco.py"),
    Model("mmdet", "gfl/gfl_r50_fpn_1x_coco.py"),
    Model("mmdet", "ghm/retinanet_r50_fpn_ghm-1x_coco.py"),
    Model(
        "mmdet",
        "lad/lad_r50-paa-r101_fpn_2xb8_coco_1x.py",
        {"teacher_backbone.depth": 18, "teacher_neck.in_channels": [64, 128, 256, 512]},
    ),
    Model("mmdet", "ld/ld_r18-gflv1-r101_fpn_1x_coco.py"),
    Model("mmdet", "libra_rcnn/libra-retinanet_r50_fpn_1x_coco.py"),
    Model("mmdet", "nas_fcos/nas-fcos_r50-caffe_fpn_fcoshead-gn-head_4xb4-1x_coco.py"),
    Model("mmdet", "nas_fcos/nas-fcos_r50-caffe_fpn_nashead-gn-head_4xb4-1x_coco.py"),
    Model("mmdet", "nas_fpn/retinanet_r50_nasfpn_crop640-50e_coco.py"),
    Model("mmdet", "paa/paa_r50_fpn_1x_coco.py"),
    Model("mmdet", "pisa/retinanet-r50_fpn_pisa_1x_coco.py"),
    Model("mmdet", "pisa/ssd300_pisa_coco.py", {}, {"sizes": ((300, 300),) * 4}),
    Model("mmdet", "pvt/retinanet_pvt-t_fpn_1x_coco.py"),
    Model("mmdet", "reppoints/reppoints-moment_r50_fpn_1x_coco.py"),
    Model("mmdet", "retinanet/retinanet_r18_fpn_1x_coco.py"),
    Model("mmdet", "rpn/rpn_r50_fpn_1x_coco.py"),
    Model(
        "mmdet", "rtmdet/rtmdet_tiny_8xb32-300e_coco.py", {}, {**SAME, "masks": False}
    ),
    Model("mmdet", "sabl/sabl-retinanet_r50_fpn_1x_coco.py"),
    Model("mmdet", "ssd/ssd300_coco.py", {}, {"sizes": ((300, 300),) * 4}),
    Model("mmdet", "ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py"),
    Model("mmdet", "tood/tood_r50_fpn_1x_coco.py"),
    Model("mmdet", "vfnet/vfnet_r50_fpn_1x_coco.py"),
    Model("mmdet", "yolo/yolov3_mobilenetv2_8xb24-320-300e_coco.py"),
    Model("mmdet", "yolof/yolof_r50-c5_8xb8-1x_coco.py"),
    Model("mmdet", "yolox/yolox_tiny_8xb8-300e_coco.py"),
    Model("mmdet", "cornernet/cornernet_hourglass104_8xb6-210e-mstest_coco.py", THIN),
    Model(
        "mmdet",
        "centripetalnet/centripetalnet_hourglass104_16xb6-crop511-210e-mstest_coco.py",
        THIN,
    ),
    Model(
        "mmdet",
        "v3det/fcos_r50_fpn_8x4_sample1e-3_mstrain_v3det_2x.py",
        {"*.num_classes": 20},
    ),
)
_MASKS = (
    Model("mmdet", "boxinst/boxinst_r50_fpn_ms-90k_coco.py"),
    Model("mmdet", "condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py"),
    Model("mmdet", "rtmdet/rtmdet-ins_tiny_8xb32-300e_coco.py", {}, SAME),
    Model("mmdet", "solo/solo_r50_fpn_1x_coco.py", FEW_MASKS),
    Model("mmdet", "solo/decoupled-solo_r50_fpn_1x_coco.py", FEW_MASKS),
    Model("mmdet", "solo/decoupled-solo-light_r50_fpn_3x_coco.py", FEW_MASKS),
    Model("mmdet", "solov2/solov2_r50_fpn_1x_coco.py", FEW_MASKS),
    Model("mmdet", "yolact/yolact_r50_1xb8-55e_coco.py", {}, SAME),
    Model("mmdet", "mask2former/mask2former_r50_8xb2-lsj-50e_coco.py"),
    Model("mmdet", "mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py"),
    Model("mmdet", "maskformer/maskformer_r50_ms-16xb1-75e_coco.py"),
)
_TWO_STAGES = (
    Model("mmdet", "faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py", FEW),
    Model("mmdet", "faster_rcnn/faster-rcnn_r50-caffe_c4-1x_coco.py", FEW_SAMPLES),
    Model("mmdet", "faster_rcnn/faster-rcnn_r50_fpn_fcos-rpn_1x_coco.py"),
    Model("mmdet", "fast_rcnn/fast-rcnn_r50_fpn_1x_coco.py", {}, {"proposals": 40}),
    Model("mmdet", "cascade_rpn/cascade-rpn_faster-rcnn_r50-caffe_fpn_1x_coco.py", FEW),
    Model("mmdet", "dcn/faster-rcnn_r50-dconv-c3-c5_fpn_1x_coco.py", FEW),
    Model("mmdet", "double_heads/dh-faster-rcnn_r50_fpn_1x_coco.py", FEW_SAMPLES),
    Model("mmdet", "dynamic_rcnn/dynamic-rcnn_r50_fpn_1x_coco.py", FEW),
    Model("mmdet", "groie/faste-rcnn_r50_fpn_groie_1x_coco.py", FEW),
    Model("mmdet", "libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco.py", FEW),
    Model("mmdet", "pafpn/faster-rcnn_r50_pafpn_1x_coco.py", FEW),
    Model("mmdet", "pisa/faster-rcnn_r50_fpn_pisa_1x_coco.py", FEW),
    Model("mmdet", "sabl/sabl-faster-rcnn_r50_fpn_1x_coco.py", FEW),
    Model("mmdet", "gn+ws/faster-rcnn_r50_fpn_gn-ws-all_1x_coco.py", FEW),
    Model("mmdet", "hrnet/faster-rcnn_hrnetv2p-w18-1x_coco.py", FEW),
    Model(
        "mmdet",
        "tridentnet/tridentnet_r50-caffe_1x_coco.py",
        {**FEW, "train_cfg.rcnn.sampler.num": 8},
        FULL,
    ),
    Model("mmdet", "cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py", FEW),
    Model("mmdet", "crowddet/crowddet-rcnn_r50_fpn_8xb2-30e_crowdhuman.py", FEW),
    Model("mmdet", "sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py", PROPOSALS),
    Model("mmdet", "grid_rcnn/grid-rcnn_r50_fpn_gn-head_1x_coco.py", FEW_SAMPLES),
    Model("mmdet", "mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py", FEW),
    Model("mmdet", "ms_rcnn/ms-rcnn_r50_fpn_1x_coco.py", FEW),
    Model("mmdet", "point_rend/point-rend_r50-caffe_fpn_ms-1x_coco.py", FEW),
    Model(
        "mmdet",
        "queryinst/queryinst_r50_fpn_1x_coco.py",
        {**PROPOSALS, "*.target_stds": [0.05, 0.05, 0.1, 0.1]},
    ),
    Model("mmdet", "detectors/cascade-rcnn_r50-rfp_1x_coco.py", FEW),
    Model("mmdet", "htc/htc_r50_fpn_1x_coco.py", FEW, {"semantic": "areas"}),
    Model("mmdet", "scnet/scnet_r50_fpn_1x_coco.py", FEW, {"semantic": "areas"}),
    Model(
        "mmdet",
        "panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py",
        FEW,
        {"semantic": "areas"},
    ),
    Model(
        "mmdet",
        "convnext/cascade-mask-rcnn_convnext-t-p4-w7_fpn_4conv1fc-giou_amp-ms-crop-3x_coco.py",
        FEW,
    ),
    Model("mmdet", "swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py", FEW),
    Model(
        "mmdet",
        "resnest/faster-rcnn_s50_fpn_syncbn-backbone+head_ms-range-1x_coco.py",
        FEW,
    ),
    Model(
        "mmdet",
        "seesaw_loss/mask-rcnn_r50_fpn_seesaw-loss-normed-mask_random-ms-2x_lvis-v1.py",
        {**FEW, "*.num_classes": 20},
    ),
)
_QUERIES = (
    Model("mmdet", "detr/detr_r18_8xb2-500e_coco.py"),
    Model("mmdet", "conditional_detr/conditional-detr_r50_8xb2-50e_coco.py"),
    Model("mmdet", "dab_detr/dab-detr_r50_8xb2-50e_coco.py"),
    Model("mmdet", "ddq/ddq-detr-4scale_r50_8xb2-12e_coco.py", QUERIES),
    Model(
        "mmdet",
        "deformable_detr/deformable-detr-refine-twostage_r50_16xb2-50e_coco.py",
        QUERIES,
    ),
    Model("mmdet", "deformable_detr/deformable-detr_r50_16xb2-50e_coco.py", QUERIES),
    Model("mmdet", "dino/dino-4scale_r50_8xb2-12e_coco.py", QUERIES),
    Model(
        "mmdet",
        "grounding_dino/grounding_dino_swin-t_finetune_16xb2_1x_coco.py",
        {**QUERIES, **LANGUAGE, "encoder.num_cp": 0, "test_cfg.max_per_img": 50},
        NAMED,
    ),
    Model(
        "mmdet",
        "glip/glip_atss_swin-t_a_fpn_dyhead_16xb2_ms-2x_funtune_coco.py",
        {**LANGUAGE, "bbox_head.lang_model_name": PLACE},
        NAMED,
    ),
)
MODELS = (*_SINGLE, *_MASKS, *_TWO_STAGES, *_QUERIES)
