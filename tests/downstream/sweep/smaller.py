"""Make a config small enough for a CPU; what is changed stands in tables.

Types, order and options of modules and transforms are those of the config. Smaller
are sizes of images, numbers of layers, and numbers of regions.
"""

from __future__ import annotations

import copy
import hashlib
import re
import sys
from typing import Any, Dict, Iterable, List, Mapping, Tuple

from downstream.oracle.language import PLACE, WORDS, small_bert
from downstream.oracle.model import dicts
from downstream.sweep import archs

#: Keys of transforms and preprocessors that are sizes of images.
SIZES = (
    "crop_size",
    "img_scale",
    "img_scales",
    "scale",
    "scales",
    "size",
    "random_size_range",
)
#: Library -> by what sizes are divided, and what stays a multiple if it was one.
FACTORS: Mapping[str, Tuple[int, int]] = {
    "mmdet": (4, 32),
    "mmseg": (4, 32),
    "mmyolo": (2, 32),
    "mmaction": (2, 32),
    "mmocr": (4, 32),
}
#: Sizes below are left.
LEAST = 128
#: Models whose sizes are those of their layers.
FIXED = (
    "BEiT",
    "C3D",
    "DDODHead",
    "LRASPPHead",
    "MAE",
    "SSDVGG",
    "SSDNeck",
    "MViT",
    "TimeSformer",
    "UniFormer",
    "UniFormerV2",
    "VisionTransformer",
    "timm.swin_base_patch4_window7_224",
)
#: Depth of a residual network -> the one that is built.
DEPTHS = {34: 18, 101: 50, 152: 50, 200: 50, 269: 50}
#: Residual networks of mmsegmentation that get a quarter of their channels.
RESIDUAL = ("ResNet", "ResNetV1c", "ResNetV1d")
#: What has channels of its own, which those are compared with.
WIDE = ("IterativeDecodeHead", "JPU", "MaskFormerHead")
OWN_CHANNELS = ("FCNHead", "UPerHead")
#: Keys of channels in heads behind them.
CHANNELS = ("in_channels", "c1_in_channels", "channels", "out_channels")
#: Libraries whose residual networks have one block a stage.
ONE_BLOCK = ("mmdet", "mmocr", "mmpose", "mmpretrain", "mmseg")
#: Keys of numbers -> the largest that is left.
LIMITS = {
    "nms_pre": 300,
    "max_per_img": 100,
    "num_proposals": 100,
    "max_num": 100,
}
#: Factors of numbers of channels and of blocks -> the largest that is left (mmyolo).
FACTORS_OF_LAYERS = {"widen_factor": 0.25, "deepen_factor": 0.33}
#: Keys that say nothing of a loss: what is frozen, recomputed, or loaded.
WITHOUT = ("frozen_stages", "with_cp", "use_checkpoint", "pretrained_type")
#: Keys of lists of numbers of blocks, by type of the backbone.
BLOCKS: Mapping[str, Tuple[str, ...]] = {
    "SwinTransformer": ("depths",),
    "PyramidVisionTransformer": ("num_layers",),
    "PyramidVisionTransformerV2": ("num_layers",),
    "MixVisionTransformer": ("num_layers",),
    "MSCAN": ("depths",),
    "HorNet": ("depths",),
}


def model(library: str, config: Any) -> None:
    """Shrink a model."""
    if library == "mmpretrain":
        archs.shrink(config)
    if library == "mmseg":
        _narrow(config)
    for inner in dicts(config):
        if inner.get("init_cfg") is None:
            inner.pop("init_cfg", None)
        for name in WITHOUT:
            inner.pop(name, None)
        if "Res" in str(inner.get("type")) and isinstance(inner.get("depth"), int):
            inner["depth"] = DEPTHS.get(inner["depth"], inner["depth"])
        for name, limit in LIMITS.items():
            value = inner.get(name)
            if isinstance(value, int) and value > limit:
                inner[name] = limit
        if library == "mmyolo" and str(inner.get("type")).endswith("HeadModule"):
            inner.setdefault("widen_factor", 1.0)  # a default that is smaller as well
        for name, factor in FACTORS_OF_LAYERS.items() if library == "mmyolo" else ():
            if name in inner:
                inner[name] = min(inner[name], factor)
        for name in BLOCKS.get(str(inner.get("type")).split(".")[-1], ()):
            if isinstance(inner.get(name), (list, tuple)):
                inner[name] = [1 for _ in inner[name]]
        taken = inner.get("out_indices")
        if (
            library == "mmseg"
            and isinstance(inner.get("num_layers"), int)
            and isinstance(taken, (list, tuple))
        ):
            inner["num_layers"] = len(taken)
            inner["out_indices"] = tuple(range(len(taken)))
        if inner.get("type") == "SECOND":
            inner["layer_nums"] = [1 for _ in inner["layer_nums"]]
        extra = inner.get("extra")
        if isinstance(extra, dict) and "stage2" in extra:
            for stage in extra.values():
                if isinstance(stage, dict) and "num_blocks" in stage:
                    stage["num_modules"] = 1
                    stage["num_blocks"] = [1 for _ in stage["num_blocks"]]


def _narrow(config: Any) -> None:
    """Give a residual network and the heads behind it a quarter of the channels.

    Of other networks, the two heads of which nothing else has the channels.
    """
    backbone = config.get("backbone") or {}
    if backbone.get("type") not in RESIDUAL:
        for name in ("decode_head", "auxiliary_head"):
            for head in dicts(config.get(name)):
                if head.get("type") in OWN_CHANNELS and "sampler" not in head:
                    head["channels"] //= 4
        return
    wide = any(inner.get("type") in WIDE for inner in dicts(config))
    if wide or "base_channels" in backbone:
        return
    backbone["base_channels"] = 16
    heads = [config.get(name) for name in ("neck", "decode_head", "auxiliary_head")]
    for inner in dicts([part for part in heads if part]):
        for name in CHANNELS:
            value = inner.get(name)
            if isinstance(value, int):
                inner[name] = value // 4
            elif isinstance(value, (list, tuple)):
                inner[name] = type(value)(one // 4 for one in value)


def sizes(library: str, whole: Any) -> None:
    """Shrink the images: in the pipelines, the preprocessor and slide mode."""
    library = whole.get("default_scope") or library
    types = {str(inner.get("type")) for inner in dicts(whole.model)}
    if library not in FACTORS or types & set(FIXED):
        return
    factor, step = FACTORS[library]
    parts = [whole.get("train_dataloader"), whole.get("val_dataloader")]
    parts.append(whole.model.get("data_preprocessor"))
    for inner in dicts([part for part in parts if part]):
        for name in SIZES:
            if name in inner:
                inner[name] = _divided(inner[name], factor, step)
    test = whole.model.get("test_cfg") or {}
    for name in ("crop_size", "stride"):
        if name in test:
            test[name] = _divided(test[name], factor, 1, least=0)


def name_language(config: Any) -> None:
    """Let a small language model have its place, where one would be downloaded."""
    for inner in dicts(config):
        for name, value in inner.items():
            if value == "bert-base-uncased":
                inner[name] = PLACE
        if "num_cp" in inner:  # recomputing layers needs fairscale
            inner["num_cp"] = 0


def write_language(config: Any, classes: Iterable[str]) -> None:
    """Put a small language model that knows the words of some classes there."""
    found = {word for name in classes for word in _WORD.findall(name.lower())}
    words = (*WORDS, *sorted(found - set(WORDS)))
    for inner in dicts(config):
        for name, value in inner.items():
            if value == PLACE:
                inner[name] = small_bert(words)


_WORD = re.compile("[a-z0-9]+")
_LOCAL = {"backend_args": "local", "file_client_args": "disk"}


def local(config: Any) -> None:
    """Read files of this machine where a config names a cluster."""
    for inner in dicts(config):
        for name in _LOCAL:
            if (inner.get(name) or {}).get("backend") == "petrel":
                inner[name] = {"backend": _LOCAL[name]}
        if inner.get("io_backend") == "petrel":
            inner["io_backend"] = "disk"
            inner.pop("path_mapping", None)


def blocks() -> None:
    """Let residual networks have one block a stage, in this process."""
    for library in ONE_BLOCK:
        module = sys.modules.get(f"{library}.registry")
        for cls in module.MODELS.module_dict.values() if module else ():
            settings = vars(cls).get("arch_settings")
            if not isinstance(settings, dict):
                continue
            for depth, setting in settings.items():
                numbers = setting[-1] if isinstance(setting, tuple) else ()
                # Others end with pairs of channels.
                if isinstance(numbers, tuple) and set(map(type, numbers)) == {int}:
                    settings[depth] = (*setting[:-1], (1,) * len(setting[-1]))


def _divided(value: Any, factor: int, step: int, least: int = LEAST) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_divided(one, factor, step, least) for one in value)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        return value
    step = step if value % step == 0 else 1
    return max(step, value // factor // step * step)


def signature(whole: Any, library: str, batch: int) -> str:
    """What a verdict depends on; configs with the same one share a verdict.

    Of the train pipeline, that are the steps that load, make or pack annotations.
    """
    val = _without_paths(_plain(whole.val_dataloader))
    for name in ("batch_size", "num_workers", "persistent_workers", "sampler"):
        val.pop(name, None)
    train = _plain(whole.train_dataloader.get("dataset", {}))
    parts = [
        library,
        batch,
        _plain(whole.model),
        val,
        [_steps(inner) for inner in dicts(train) if "pipeline" in inner],
        whole.get("custom_imports"),
        whole.get("default_scope"),
        whole.get("val_cfg"),
    ]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


_PATHS = ("data_root", "data_prefix", "backend_args", "indices")
_ANNOTATIONS = ("Annotation", "Generate", "Pack", "BBox", "Label", "Keypoint", "Load")


def _without_paths(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: bool(one) if key.endswith("_file") else _without_paths(one)
            for key, one in value.items()
            if key not in _PATHS
        }
    if isinstance(value, (list, tuple)):
        return [_without_paths(one) for one in value]
    return value


def _steps(dataset: Dict[str, Any]) -> List[Any]:
    steps = dicts(dataset["pipeline"])
    found: List[Any] = [str(dataset.get("type"))]
    for step in steps:
        if any(part in str(step.get("type")) for part in _ANNOTATIONS):
            found.append(_without_paths(step))
    return found


def _plain(value: Any) -> Any:
    """A copy in which the order of keys says nothing."""
    if isinstance(value, dict):
        return {str(k): _plain(value[k]) for k in sorted(value, key=str)}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return copy.copy(value)
