"""A model from its row: the shipped config, made small, with drawn weights."""

from __future__ import annotations

import copy
import random
from typing import Any, Callable, Iterable

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger

from downstream.oracle import language, libraries
from downstream.oracle.table import GONE, Model

#: Backbones of mmaction2 that take the weights of images by default.
INFLATED = ("ResNetTIN", "ResNetTSM", "MobileNetV2TSM", "MobileOneTSM")
#: What some losses read of the training, of an epoch and iteration in its middle.
PROGRESS = {"epoch": 5, "iter": 1000, "max_epochs": 12, "max_iters": 2400}


def config_of(row: Model) -> Any:
    """The config, its ``model`` small, for one process, without weights to download."""
    whole = Config.fromfile(str(libraries.configs(row.library) / row.config))
    localise(whole, row.library)
    config = whole.model
    for path, value in row.changes.items():
        value = language.small_bert() if value == language.PLACE else value
        change(config, path, value)
    return whole


def localise(whole: Any, library: str) -> None:
    """Make the model of a config one for one process, without weights to download.

    Args:
        whole (Config): Read from those that the library ships. It is changed.
        library (str): The package that ships it.
    """
    config = whole.model
    if "data_preprocessor" not in config and "data_preprocessor" in whole:
        config["data_preprocessor"] = whole.data_preprocessor
    for inner in dicts(config):
        other = inner.get("teacher_config")
        if isinstance(other, str):  # relative to where the library's sources are
            path = libraries.configs(library) / other.split("configs/")[-1]
            inner["teacher_config"] = {"model": Config.fromfile(str(path)).model}
    norm = "BN3d" if config.get("type") == "Recognizer3D" else "BN"
    for inner in dicts(config):
        init = inner.get("init_cfg")
        if isinstance(init, dict) and "checkpoint" in init:
            inner["init_cfg"] = None
        for name in ("pretrained", "checkpoint", "load_from", "teacher_ckpt"):
            if isinstance(inner.get(name), str):
                inner[name] = None
        if inner.get("pretrained") is True:  # of timm and torchvision
            inner["pretrained"] = False
        if inner.get("type") in INFLATED or inner.get("pretrained2d"):
            inner["pretrained2d"] = False
        if inner.get("type") in (
            "SyncBN",
            "MMSyncBN",
            "naiveSyncBN2d",
            "naiveSyncBN1d",
        ):
            inner["type"] = "BN1d" if inner["type"].endswith("1d") else norm
        if inner.get("clip_pretrained"):
            inner["clip_pretrained"] = False


def dicts(config: Any) -> Iterable[Any]:
    """Every dict in a config."""
    if isinstance(config, dict):
        yield config
        config = list(config.values())
    if isinstance(config, (list, tuple)):
        for value in config:
            yield from dicts(value)


def classes_of(config: Any, default: int) -> int:
    """The number of classes of a model: labels that all of its heads know."""
    numbers = [inner.get("num_classes") or 0 for inner in dicts(config)]
    return min([n for n in numbers if n > 1] or [max(numbers, default=0) or default])


def change(config: Any, path: str, value: Any) -> None:
    """Set what is at a path, or take it out."""
    *way, last = path.split(".")
    if way[:1] == ["*"]:
        places = [inner for inner in dicts(config) if last in inner]
        assert places, path
    else:
        place = config
        for step in way:
            place = (
                place[int(step)] if isinstance(place, (list, tuple)) else place[step]
            )
        places = [place]
    for place in places:
        if value is GONE:
            place.pop(last, None)
        elif isinstance(place, list):
            place[int(last)] = copy.deepcopy(value)
        else:
            place[last] = copy.deepcopy(value)


def built(config: Any, library: str) -> Any:
    """A model, always with the same weights."""
    seed(0)
    MMLogger.get_instance(
        "oracle", log_level="ERROR"
    )  # each weight is logged otherwise
    progress(MessageHub.get_current_instance())
    model = libraries.registry(library).build(copy.deepcopy(config))
    model.init_weights()
    for module in model.modules():
        if type(module).__name__ == "TridentConv":  # mmdet leaves it uninitialised
            torch.nn.init.normal_(module.weight, std=0.02)
    head = getattr(model, "head", None)
    if library == "mmpretrain" and head is not None:
        # With initial ones all samples have the same loss.
        for parameter in head.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.3)
    return model


def progress(hub: MessageHub) -> None:
    """Tell losses that look how far the training is."""
    for name, value in PROGRESS.items():
        hub.update_info(name, value)


def seed(number: int) -> None:
    """Seed all that draws."""
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def settle(model: Any, run: Callable[[Any], Any]) -> bool:
    """Set batch norms to the statistics of the data: deep networks diverge without.

    Args:
        model (nn.Module): The model. Nothing but buffers of batch norms changes.
        run (Callable): Runs a model on the data.

    Returns:
        bool: Whether the data were enough for statistics.
    """
    other = copy.deepcopy(model)
    names = [n for n, m in other.named_modules() if tracks(m)]
    other.train()
    for module in other.modules():
        if tracks(module):
            module.train()
            module.momentum = None  # a plain mean
    try:
        with torch.no_grad():
            run(other)
    except (ValueError, RuntimeError):
        return False  # of one value there is no variance
    trained, modules = dict(other.named_modules()), dict(model.named_modules())
    for name in names:
        for kind in ("running_mean", "running_var"):
            found = getattr(trained[name], kind)
            if torch.isfinite(found).all():
                getattr(modules[name], kind).copy_(found)
    return True


def tracks(module: Any) -> bool:
    """Whether a module normalises with running statistics."""
    return isinstance(getattr(module, "running_mean", None), torch.Tensor)
