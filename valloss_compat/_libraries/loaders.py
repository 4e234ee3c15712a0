"""Judging a loss dataloader: it must neither draw nor mix up frames.

Support is a list here too: a transform that draws, and is on no list of those
that do, would give another loss in each validation without an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Collection, List, NamedTuple, Optional

from valloss_compat._libraries.base import Adapter, Refusal
from valloss_compat._libraries.facts import Part, Pipeline

#: Transforms that give the same for the same image, by library.
_DETERMINISTIC = {
    "mmcv": (
        "CenterCrop",
        "ImageToTensor",
        "LoadAnnotations",
        "LoadImageFromFile",
        "Normalize",
        "Pad",
        "Resize",
        "ToTensor",
    ),
    "mmdet": (
        "FixScaleResize",
        "LoadAnnotations",
        "LoadImageFromNDArray",
        "PackDetInputs",
        "Pad",
        "Resize",
    ),
    "mmpose": (
        "GenerateTarget",
        "GetBBoxCenterScale",
        "LoadImage",
        "PackPoseInputs",
        "TopdownAffine",
    ),
    "mmpretrain": ("CenterCrop", "PackInputs", "PackMultiTaskInputs", "ResizeEdge"),
    "mmseg": (
        "LoadAnnotations",
        "LoadImageFromNDArray",
        "PackSegInputs",
        "Resize",
        "ResizeToMultiple",
    ),
}
#: They draw whether to act; with prob=0 they never do.
_IDLE_WITH_PROB_0 = ("RandomFlip",)


class Verdict(NamedTuple):
    """What is said of a loss dataloader.

    Attributes:
        refusal (Refusal, optional): None if its losses are known to be right.
        prepare (bool): Whether its batches are as those of a validation, and
            :meth:`Adapter.prepare` brings their ground truth into the frame.
    """

    refusal: Optional[Refusal]
    prepare: bool = False


def refuse_sampler(config: Any) -> Optional[Refusal]:
    """Judge the order of a loss dataloader.

    Args:
        config (dict or DataLoader): As ``val_dataloader``.

    Returns:
        Refusal, optional: If it shuffles or never ends.
    """
    sampler = config.get("sampler") if isinstance(config, Mapping) else config.sampler
    if isinstance(sampler, Mapping):
        kind, shuffles = str(sampler.get("type")), sampler.get("shuffle", True)
    else:
        from torch.utils.data import RandomSampler  # a config needs no torch

        kind = type(sampler).__name__
        shuffles = isinstance(sampler, RandomSampler) or getattr(
            sampler, "shuffle", False
        )
    if "Infinite" in kind or shuffles:
        return Refusal(
            f"the sampler of the loss dataloader ({kind})",
            "it shuffles or never ends, so that no two validations are of the same "
            "batches",
            "sampler=dict(type='DefaultSampler', shuffle=False)",
        )
    return None


def judge_loader(
    adapter: Adapter, model: Part, pipelines: List[Pipeline], trust: Collection[str]
) -> Verdict:
    """Judge the data sets of a loss dataloader.

    Args:
        adapter (Adapter): That of the model's library.
        model (Part): The model.
        pipelines (list[Pipeline]): Of all its data sets.
        trust (Collection[str]): Full names of transforms that the user
            answers for, among others.
    """
    for pipeline in pipelines:
        refusal = _refuse_drawing(pipeline, trust)
        if refusal is not None:
            return Verdict(refusal)
    if adapter.refuse_data(model, pipelines) is None:
        return Verdict(None, prepare=True)
    return Verdict(adapter.refuse_loader(model, pipelines))


def _refuse_drawing(pipeline: Pipeline, trust: Collection[str]) -> Optional[Refusal]:
    for transform in pipeline:
        if transform.trusted(trust):
            continue
        name = f"{transform.kind} in the pipeline of the loss dataloader"
        if not _deterministic(transform):
            return Refusal(
                name,
                "it draws random numbers, so that no two validations are of the same "
                "images, or is not known not to",
                "leave it out, or give it a deterministic counterpart (RandomFlip: "
                "prob=0.0); if it does the same in each validation, say so: "
                f"ValLossHook(trust=[{transform.to_trust!r}])",
            )
        if transform.get("ignore_empty", False) and not _testing(pipeline.dataset):
            return Refusal(
                name,
                "with ignore_empty, another image is drawn for one that cannot be read",
                "ignore_empty=False, or test_mode=True of the dataset",
            )
    return None


def _deterministic(transform: Part) -> bool:
    # A config names a transform of mmcv by the scope of the library it is used in.
    libraries = [transform.library] if transform.built else [transform.library, "mmcv"]
    if transform.kind in _IDLE_WITH_PROB_0:
        known = transform.library in _DETERMINISTIC
        return known and transform.get("prob", 1) in (0, 0.0)
    return any(transform.kind in _DETERMINISTIC.get(one, ()) for one in libraries)


def _testing(dataset: Any) -> bool:
    test_mode = dataset.get if hasattr(dataset, "get") else vars(dataset).get
    return bool(test_mode("test_mode", False))


def ground_truth_first(
    pipelines: List[Pipeline], load: str, still: Collection[str], pack: str
) -> Optional[Refusal]:
    """Refuse pipelines that move an image whose ground truth is loaded later.

    Args:
        pipelines (list[Pipeline]): Of all data sets of the loader.
        load (str): Class name of the transform that loads the ground truth.
        still (Collection[str]): Class names of those that may come before it:
            they change neither size nor place.
        pack (str): Class name of the one that packs it, the last.
    """
    if not pipelines:
        return Refusal(
            "the dataset of the loss dataloader",
            "it shows no pipeline, so that nobody knows in which frame its ground "
            "truth is",
            "a dataset with a pipeline, as those of the library",
        )
    for pipeline in pipelines:
        kinds = [transform.kind for transform in pipeline]
        for kind in (load, pack):
            if kind not in kinds:
                return Refusal(
                    "the pipeline of the loss dataloader",
                    f"there is no {kind}, so there is no ground truth",
                    f"add {kind}, as in the train pipeline",
                )
        loaded = len(kinds) - kinds[::-1].index(load)  # with the last one
        if kinds.index(pack) < len(kinds) - 1:
            return Refusal(
                "the pipeline of the loss dataloader",
                f"{kinds[-1]} comes after {pack}, where it moves nothing",
                f"put {pack} last",
            )
        for kind in kinds[:loaded]:
            if kind not in still and kind != load:
                return Refusal(
                    "the pipeline of the loss dataloader",
                    f"{kind} comes before {load}, so that the ground truth is not in "
                    "the frame of the input",
                    f"put {load} right after the image is loaded, as in the train "
                    "pipeline",
                )
    return None


#: What loads an image, or changes its colours alone.
STILL = ("LoadImageFromFile", "LoadImageFromNDArray", "Normalize")
