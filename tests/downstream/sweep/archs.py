"""Smaller ones of the backbones that mmpretrain builds from the name of a size."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

from downstream.oracle.model import change, dicts


class Arch(NamedTuple):
    """A small backbone.

    Attributes:
        changes (dict): ``path in the model -> value``.
        channels (int): What a head gets, in the place of what it got; 0 leaves it.
    """

    changes: Mapping[str, Any]
    channels: Any = 0


_WIDTH = 192
_VIT = {
    "embed_dims": _WIDTH,
    "num_layers": 2,
    "num_heads": 3,
    "feedforward_channels": 4 * _WIDTH,
}
_SWIN = {"embed_dims": 48, "depths": [1, 1, 1, 1], "num_heads": [3, 3, 6, 6]}


def _named(name: Any, channels: Any = 0) -> Arch:
    return Arch({"backbone.arch": name}, channels)


_TRANSFORMER = _named(_VIT, _WIDTH)
#: Type of a backbone -> what is built.
ARCHS: Mapping[str, Arch] = {
    "BEiTViT": _TRANSFORMER,
    "DeiT3": _TRANSFORMER,
    "DistilledVisionTransformer": _TRANSFORMER,
    "MoCoV3ViT": _TRANSFORMER,
    "VisionTransformer": _TRANSFORMER,
    "ConvNeXt": _named(
        {"depths": [1, 1, 1, 1], "channels": [40, 80, 160, 320]}, channels=320
    ),
    "ConvMixer": _named(
        {"embed_dims": 256, "depth": 4, "patch_size": 7, "kernel_size": 7}, channels=256
    ),
    "DaViT": _named("t", 768),
    "DenseNet": _named("121", 1024),
    "EdgeNeXt": _named("xxsmall", 168),
    "EfficientNet": _named("b0", 1280),
    "EfficientNetV2": _named("b0", 1280),
    "HiViT": _named("tiny", 384),
    "HorNet": _named("tiny", 512),
    "LeViT": _named("128s", 384),
    "MlpMixer": _named("b", 768),
    "MobileOne": _named("s0", 1024),
    "MobileViT": _named("xx_small", 320),
    "MViT": _named("tiny", 768),
    "PCPVT": _named("small", 512),
    "PoolFormer": _named("s12", 512),
    "PyramidVig": _named("tiny", 384),
    "RegNet": _named("regnetx_400mf", 384),
    "RepVGG": _named("A0", 1280),
    "RIFormer": _named("s12", 512),
    "SVT": _named("small", 512),
    "SwinTransformer": _named(_SWIN, 384),
    "SwinTransformerV2": _named({**_SWIN, "extra_norm_every_n_blocks": 0}, 384),
    "TinyViT": _named("5m", 320),
    "VAN": _named("tiny", 256),
    "Vig": _named("tiny", 192),
    "ViTEVA02": _named("t", 192),
    "HRNet": Arch(
        {"backbone.arch": "w18", "neck.0.in_channels": (18, 36, 72, 144)},
    ),
    "VGG": Arch({"backbone.depth": 11}),
    "XCiT": Arch(
        {
            "backbone.embed_dims": 128,
            "backbone.depth": 2,
            "backbone.num_heads": 4,
        },
        channels=128,
    ),
}
#: Keys of a head or neck that are the channels of a backbone.
_CHANNELS = ("in_channels", "input_features")


def shrink(model: Any) -> None:
    """Build a smaller backbone, and give the head its channels."""
    backbone = model.get("backbone")
    if not isinstance(backbone, dict):
        return
    arch = ARCHS.get(str(backbone.get("type")))
    if arch is None or not set(_keys(arch)) <= set(backbone):
        return
    for path, value in arch.changes.items():
        change(model, path, value)
    if arch.channels:
        for part in dicts([model.get("head"), model.get("neck")]):
            for name in _CHANNELS:
                if isinstance(part.get(name), int):
                    part[name] = arch.channels


def _keys(arch: Arch) -> Any:
    return [path.split(".")[1] for path in arch.changes if path.startswith("backbone")]
