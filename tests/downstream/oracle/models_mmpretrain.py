"""Models of mmpretrain 1.2.0: classifiers of each kind of backbone, neck and head."""

from __future__ import annotations

from downstream.oracle.table import Model

#: Transformers of one size of input.
_FIXED = {"sizes": 224}


def _fixed(config: str, side: int = 224) -> Model:
    return Model("mmpretrain", config, {}, {"sizes": side})


MODELS = (
    Model("mmpretrain", "resnet/resnet18_8xb32_in1k.py"),
    Model("mmpretrain", "resnet/resnet50_8xb32-mixup_in1k.py"),
    Model("mmpretrain", "resnet/resnet18_8xb16_cifar10.py"),
    Model("mmpretrain", "resnet/resnetv1c50_8xb32_in1k.py"),
    Model("mmpretrain", "resnet/resnetv1d50_8xb32_in1k.py"),
    Model(
        "mmpretrain",
        "csra/resnet101-csra_1xb16_voc07-448px.py",
        {"backbone.depth": 50},
        {"several": True},
    ),
    Model(
        "mmpretrain",
        "convmixer/convmixer-768-32_10xb64_in1k.py",
        {
            "backbone.arch": {
                "embed_dims": 256,
                "depth": 4,
                "patch_size": 7,
                "kernel_size": 7,
            },
            "head.in_channels": 256,
        },
    ),
    Model("mmpretrain", "convnext/convnext-tiny_32xb128_in1k.py"),
    Model("mmpretrain", "convnext_v2/convnext-v2-atto_32xb32_in1k.py"),
    Model("mmpretrain", "cspnet/cspdarknet50_8xb32_in1k.py"),
    Model("mmpretrain", "cspnet/cspresnet50_8xb32_in1k.py"),
    Model("mmpretrain", "cspnet/cspresnext50_8xb32_in1k.py"),
    Model("mmpretrain", "densenet/densenet121_4xb256_in1k.py"),
    Model("mmpretrain", "edgenext/edgenext-xxsmall_8xb256_in1k.py"),
    Model("mmpretrain", "efficientnet/efficientnet-b0_8xb32_in1k.py"),
    Model("mmpretrain", "efficientnet_v2/efficientnetv2-b0_8xb32_in1k.py"),
    _fixed("hrnet/hrnet-w18_4xb32_in1k.py", 96),
    Model("mmpretrain", "inception_v3/inception-v3_8xb32_in1k.py", {}, {"sizes": 299}),
    Model("mmpretrain", "lenet/lenet5_mnist.py", {}, {"sizes": 32, "channels": 1}),
    Model("mmpretrain", "mobilenet_v2/mobilenet-v2_8xb32_in1k.py"),
    Model("mmpretrain", "mobilenet_v3/mobilenet-v3-small_8xb128_in1k.py"),
    Model("mmpretrain", "mobileone/mobileone-s0_8xb32_in1k.py"),
    Model("mmpretrain", "poolformer/poolformer-s12_32xb128_in1k.py"),
    Model("mmpretrain", "regnet/regnetx-400mf_8xb128_in1k.py"),
    Model("mmpretrain", "repvgg/repvgg-A0_8xb32_in1k.py"),
    Model("mmpretrain", "res2net/res2net50-w14-s8_8xb32_in1k.py"),
    Model("mmpretrain", "resnest/resnest50_32xb64_in1k.py"),
    Model("mmpretrain", "resnext/resnext50-32x4d_8xb32_in1k.py"),
    Model("mmpretrain", "riformer/riformer-s12_8xb128_in1k.py"),
    Model("mmpretrain", "seresnet/seresnet50_8xb32_in1k.py"),
    Model("mmpretrain", "seresnet/seresnext50-32x4d_8xb32_in1k.py"),
    Model("mmpretrain", "shufflenet_v1/shufflenet-v1-1x_16xb64_in1k.py"),
    Model("mmpretrain", "shufflenet_v2/shufflenet-v2-1x_16xb64_in1k.py"),
    Model("mmpretrain", "van/van-tiny_8xb128_in1k.py"),
    Model("mmpretrain", "hornet/hornet-tiny_8xb128_in1k.py"),
    Model("mmpretrain", "vgg/vgg11_8xb32_in1k.py", {}, _FIXED),
    Model("mmpretrain", "vgg/vgg16_8xb16_voc.py", {}, {**_FIXED, "several": True}),
    _fixed("conformer/conformer-tiny-p16_8xb128_in1k.py"),
    _fixed("davit/davit-tiny_4xb256_in1k.py"),
    _fixed("deit/deit-tiny_4xb256_in1k.py"),
    _fixed("deit/deit-tiny-distilled_4xb256_in1k.py"),
    _fixed("deit3/deit3-small-p16_64xb64_in1k.py"),
    _fixed("beit/benchmarks/beit-base-p16_8xb128-coslr-100e_in1k.py"),
    _fixed("eva02/eva02-tiny-p14_in1k.py", 336),
    _fixed("hivit/hivit-tiny-p16_16xb64_in1k.py"),
    _fixed("mae/benchmarks/vit-base-p16_8xb2048-linear-coslr-90e_in1k.py"),
    _fixed("mixmim/benchmarks/mixmim-base_8xb64_in1k.py"),
    _fixed("mlp_mixer/mlp-mixer-base-p16_64xb64_in1k.py"),
    _fixed("mobilevit/mobilevit-xxsmall_8xb128_in1k.py", 256),
    _fixed("mvit/mvitv2-tiny_8xb256_in1k.py"),
    _fixed("repmlp/repmlp-base_8xb64_in1k.py"),
    _fixed("revvit/revvit-small_8xb256_in1k.py"),
    _fixed("swin_transformer/swin-tiny_16xb64_in1k.py"),
    _fixed("swin_transformer_v2/swinv2-tiny-w8_16xb64_in1k-256px.py", 256),
    _fixed("t2t_vit/t2t-vit-t-14_8xb64_in1k.py"),
    _fixed("tinyvit/tinyvit-5m_8xb256_in1k.py"),
    _fixed("tnt/tnt-s-p16_16xb64_in1k.py"),
    _fixed("twins/twins-pcpvt-small_8xb128_in1k.py"),
    _fixed("twins/twins-svt-small_8xb128_in1k.py"),
    _fixed("vig/pvig-tiny_8xb128_in1k.py"),
    _fixed("vig/vig-tiny_8xb128_in1k.py"),
    _fixed("vision_transformer/vit-base-p32_64xb64_in1k.py"),
    _fixed("xcit/xcit-nano-12-p16_8xb128_in1k.py"),
)
