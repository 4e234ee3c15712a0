"""Rows of the oracle that are trained: of each library, and with state in Python."""

from __future__ import annotations

from typing import Any

import torch

#: Few layers, predictions and regions, so that a row takes some seconds; batch
#: statistics, which mmdet freezes.
_SHALLOW = {"backbone.depth": 18}
_DETECTOR = {
    **_SHALLOW,
    "backbone.norm_eval": False,
    "neck.in_channels": [64, 128, 256, 512],
}
_TWO_STAGES = {
    **_DETECTOR,
    "train_cfg.rcnn.sampler.num": 32,
    "test_cfg.rcnn.max_per_img": 3,
    "roi_head.bbox_head.fc_out_channels": 64,
}
_DYNAMIC = {**_TWO_STAGES, "train_cfg.rcnn.dynamic_rcnn.update_iter_interval": 4}
_ONE_STAGE = {**_DETECTOR, "bbox_head.stacked_convs": 1, "test_cfg.max_per_img": 3}
_DINO = {
    **_DETECTOR,
    "neck.in_channels": [128, 256, 512],
    "num_queries": 20,
    "test_cfg.max_per_img": 3,
    "encoder.num_layers": 1,
}
_MASKS = {**_TWO_STAGES, "roi_head.mask_head.num_convs": 1}
_EMA = {
    **_SHALLOW,
    "decode_head.in_channels": 512,
    "decode_head.ema_channels": 64,
    "auxiliary_head.in_channels": 256,
    "*.channels": 32,
}
_PILLARS = {
    "backbone.layer_nums": [1, 1, 1],
    "backbone.out_channels": [32, 32, 32],
    "neck.in_channels": [32, 32, 32],
}
_GATED = {"head.gau_cfg.dropout_rate": 0.1, "head.gau_cfg.drop_path": 0.1}
_SEESAW = "mask-rcnn_r50_fpn_seesaw-loss-normed-mask_random-ms-2x_lvis-v1"
_TSN = "tsn_imagenet-pretrained-r50_8xb32-1x1x3-100e_kinetics400-rgb"
#: Library, title of the row of the oracle, further changes.
ROWS = (
    ("mmpretrain", "mobilenet-v3-small_8xb128_in1k", {}),  # dropout
    ("mmpretrain", "resnet50_8xb32-mixup_in1k", {}),  # mixes batches at random
    ("mmpretrain", "tinyvit-5m_8xb256_in1k", {"backbone.drop_path_rate": 0.1}),
    ("mmpretrain", "resnet18_8xb32_in1k", {"head.type": "HeadWithQueue"}),
    ("mmdet", "dynamic-rcnn_r50_fpn_1x_coco", _DYNAMIC),  # keeps lists
    ("mmdet", _SEESAW, _MASKS),  # counts classes
    ("mmdet", "retinanet_r50_fpn_ghm-1x_coco", _ONE_STAGE),  # counts gradients
    ("mmdet", "dino-4scale_r50_8xb2-12e_coco", _DINO),  # draws queries
    ("mmseg", "emanet_r50-d8_4xb2-80k_cityscapes-769x769", _EMA),  # moves its bases
    ("mmseg", "segformer_mit-b0_8xb2-160k_ade20k-512x512", {}),  # drop path
    ("mmpose", "rtmpose-t_8xb256-420e_coco-256x192", _GATED),
    ("mmaction", _TSN, {**_SHALLOW, "cls_head.in_channels": 512}),
    ("mmocr", "svtr-tiny_20e_st_mj", {}),
    ("mmyolo", "ppyoloe_s_fast_8xb32-300e_coco", {}),
    ("mmdet3d", "pointpillars_hv_secfpn_8xb6-160e_kitti-3d-car", _PILLARS),
)


def register_head_with_queue() -> None:
    """Register ``HeadWithQueue`` with mmpretrain."""
    from mmpretrain.models import LinearClsHead
    from mmpretrain.registry import MODELS

    @MODELS.register_module(name="HeadWithQueue", force=True)
    class HeadWithQueue(LinearClsHead):
        """Keeps away from features that it remembers, as MoCo does."""

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.register_buffer("queue", torch.ones(3, self.in_channels))
            self.at, self.labels = 0, []

        def loss(self, feats: Any, data_samples: Any, **options: Any) -> Any:
            feature = self.pre_logits(feats).mean(0)
            losses = super().loss(feats, data_samples, **options)
            losses["loss_queue"] = (self.queue.clone() @ feature).logsumexp(0) / 1e3
            self.queue[self.at] = feature.detach()
            self.at = (self.at + 1) % len(self.queue)
            self.labels.append([int(sample.gt_label) for sample in data_samples])
            return losses
