"""Models of mmsegmentation 1.2.2."""

from __future__ import annotations

from downstream.oracle.table import Model

#: What a training pads to.
SMALL = {"data_preprocessor.size": (96, 128)}
#: Four layers of a transformer that has 24.
SHALLOW = {**SMALL, "backbone.num_layers": 4, "backbone.out_indices": (0, 1, 2, 3)}
#: A CPU finds no class weight of an ignored label: no map has one, none is padded.
_SIZES = {"sizes": ((96, 128),) * 4}
WHOLE = {**_SIZES, "ignored": False}
#: Transformers that take pictures of one size, which is that of their window too.
ONE_SIZE = {
    **SMALL,
    "backbone.img_size": (96, 128),
    "test_cfg.crop_size": (96, 128),
    "test_cfg.stride": (64, 64),
}
_ADE = "4xb4-80k_ade20k-512x512.py"

MODELS = (
    Model("mmseg", f"ann/ann_r50-d8_{_ADE}", SMALL),
    Model("mmseg", f"apcnet/apcnet_r50-d8_{_ADE}", SMALL),
    Model(
        "mmseg", "beit/beit-base_upernet_8xb2-160k_ade20k-640x640.py", ONE_SIZE, _SIZES
    ),
    Model(
        "mmseg", "bisenetv1/bisenetv1_r18-d32_4xb4-160k_cityscapes-1024x1024.py", SMALL
    ),
    Model("mmseg", "bisenetv2/bisenetv2_fcn_4xb4-160k_cityscapes-1024x1024.py", SMALL),
    Model("mmseg", f"ccnet/ccnet_r50-d8_{_ADE}", SMALL),
    Model("mmseg", "cgnet/cgnet_fcn_4xb4-60k_cityscapes-680x680.py", SMALL, WHOLE),
    Model(
        "mmseg", "convnext/convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512.py", SMALL
    ),
    Model("mmseg", f"danet/danet_r50-d8_{_ADE}", SMALL),
    Model(
        "mmseg",
        "ddrnet/ddrnet_23-slim_in1k-pre_2xb6-120k_cityscapes-1024x1024.py",
        SMALL,
    ),
    Model("mmseg", f"deeplabv3/deeplabv3_r50-d8_{_ADE}", SMALL),
    Model(
        "mmseg",
        "deeplabv3plus/deeplabv3plus_r101-d16-mg124_4xb2-40k_cityscapes-512x1024.py",
        {**SMALL, "backbone.depth": 50},
    ),
    Model("mmseg", f"dmnet/dmnet_r50-d8_{_ADE}", SMALL),
    Model("mmseg", f"dnlnet/dnl_r50-d8_{_ADE}", SMALL),
    Model("mmseg", "dpt/dpt_vit-b16_8xb2-160k_ade20k-512x512.py", SMALL),
    Model("mmseg", "emanet/emanet_r50-d8_4xb2-80k_cityscapes-769x769.py", SMALL),
    Model("mmseg", f"encnet/encnet_r50-d8_{_ADE}", SMALL),
    Model("mmseg", "erfnet/erfnet_fcn_4xb4-160k_cityscapes-512x1024.py", SMALL),
    Model("mmseg", f"fastfcn/fastfcn_r50-d32_jpu_psp_{_ADE}", SMALL),
    Model("mmseg", "fastscnn/fast_scnn_8xb4-160k_cityscapes-512x1024.py", SMALL),
    Model("mmseg", f"fcn/fcn_r50-d8_{_ADE}", SMALL),
    Model("mmseg", f"gcnet/gcnet_r50-d8_{_ADE}", SMALL),
    Model("mmseg", f"hrnet/fcn_hr18_{_ADE}", SMALL),
    Model("mmseg", "icnet/icnet_r18-d8_4xb2-80k_cityscapes-832x832.py", SMALL),
    Model("mmseg", f"isanet/isanet_r50-d8_{_ADE}", SMALL),
    Model("mmseg", "knet/knet-s3_r50-d8_fcn_8xb2-adamw-80k_ade20k-512x512.py", SMALL),
    Model(
        "mmseg", "knet/knet-s3_r50-d8_upernet_8xb2-adamw-80k_ade20k-512x512.py", SMALL
    ),
    Model(
        "mmseg",
        "mae/mae-base_upernet_8xb2-amp-160k_ade20k-512x512.py",
        ONE_SIZE,
        _SIZES,
    ),
    Model("mmseg", "mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py", SMALL),
    Model("mmseg", "maskformer/maskformer_r50-d32_8xb2-160k_ade20k-512x512.py", SMALL),
    Model(
        "mmseg",
        "mobilenet_v3/mobilenet-v3-d8_lraspp_4xb4-320k_cityscapes-512x1024.py",
        {"data_preprocessor.size": (400, 448)},
        {"sizes": ((400, 448), (400, 448), (400, 400), (400, 400))},
    ),
    Model("mmseg", f"nonlocal_net/nonlocal_r50-d8_{_ADE}", SMALL),
    Model("mmseg", f"ocrnet/ocrnet_hr18_{_ADE}", SMALL),
    Model(
        "mmseg",
        "pidnet/pidnet-s_2xb6-120k_1024x1024-cityscapes.py",
        SMALL,
        {**WHOLE, "edges": True},
    ),
    Model("mmseg", "point_rend/pointrend_r50_4xb4-160k_ade20k-512x512.py", SMALL),
    Model("mmseg", "poolformer/fpn_poolformer_s12_8xb4-40k_ade20k-512x512.py", SMALL),
    Model("mmseg", f"psanet/psanet_r50-d8_{_ADE}", SMALL),
    Model("mmseg", f"pspnet/pspnet_r50-d8_{_ADE}", SMALL),
    Model("mmseg", "segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py", SMALL),
    Model("mmseg", "segmenter/segmenter_vit-t_mask_8xb1-160k_ade20k-512x512.py", SMALL),
    Model("mmseg", "segnext/segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512.py", SMALL),
    Model("mmseg", "sem_fpn/fpn_r50_4xb4-160k_ade20k-512x512.py", SMALL),
    Model("mmseg", "setr/setr_vit-l-mla_8xb1-160k_ade20k-512x512.py", SHALLOW),
    Model("mmseg", "setr/setr_vit-l_naive_8xb2-160k_ade20k-512x512.py", SHALLOW),
    Model("mmseg", "setr/setr_vit-l_pup_8xb2-160k_ade20k-512x512.py", SHALLOW),
    Model("mmseg", "stdc/stdc1_4xb12-80k_cityscapes-512x1024.py", SMALL),
    Model(
        "mmseg",
        "swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py",
        SMALL,
    ),
    Model("mmseg", "twins/twins_pcpvt-s_fpn_fpnhead_8xb4-80k_ade20k-512x512.py", SMALL),
    Model("mmseg", "unet/unet-s5-d16_fcn_4xb4-160k_cityscapes-512x1024.py", SMALL),
    Model("mmseg", f"upernet/upernet_r18_{_ADE}", SMALL),
    Model("mmseg", "vit/vit_deit-s16_mln_upernet_8xb2-160k_ade20k-512x512.py", SMALL),
)
