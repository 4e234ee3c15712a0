"""Reading a validation pipeline: which transforms there are, in which order.

Support is a list here too: a pipeline with a transform that is not on it is
refused, because it may move what the loss is compared with.
"""

from __future__ import annotations

from typing import Any, Collection, List, Mapping, NamedTuple, Optional

from valloss_compat._libraries.base import LOADER, Adapter
from valloss_compat._libraries.components import Part, Pipeline, pipelines_of
from valloss_compat.errors import Rejection

#: Where the transforms are configured.
WHERE = "val_dataloader.dataset.pipeline"
#: Transforms of a library that derive from these libraries' count as its own.
_SHARED = ("mmcv", "mmengine")


def of_validation(config: Mapping[str, Any], scope: str) -> List[Pipeline]:
    """The pipelines of a config's validation.

    Args:
        config (dict): A whole config. Its ``val_dataloader`` may be a list, as
            mmagic's ``MultiValLoop`` has one dataloader a dataset.
        scope (str): Its ``default_scope``.
    """
    entry = config.get("val_dataloader")
    loaders = entry if isinstance(entry, (list, tuple)) else [entry]
    datasets = [one.get("dataset") for one in loaders if isinstance(one, Mapping)]
    return [found for dataset in datasets for found in pipelines_of(dataset, scope)]


def only_known(
    pipeline: Pipeline, library: str, known: Collection[str], why: Mapping[str, str]
) -> Optional[Rejection]:
    """Refuse transforms that are not on the list, and those that come twice.

    Args:
        pipeline (tuple[Part]): The transforms in order.
        library (str): The library whose pipeline it is.
        known (Collection[str]): Class names of its transforms that are right.
        why (Mapping[str, str]): Class name -> what is wrong with it, for those
            that are known to be wrong.
    """
    seen: List[str] = []
    for transform in pipeline:
        kind = transform.kind
        if kind in why:
            return Rejection(_name(transform), why[kind], LOADER)
        if kind not in known or transform.library not in (library, *_SHARED):
            return Rejection(
                _name(transform),
                f"valloss_compat does not know what {transform.where} does to the "
                "ground truth",
                LOADER,
            )
        if kind in seen:
            return Rejection(
                _name(transform),
                f"{kind} comes twice, and the ground truth may be between the two",
                LOADER,
            )
        seen.append(kind)
    return None


def first(pipeline: Pipeline, *kinds: str) -> int:
    """Index of the first transform of one of these classes, or -1."""
    for index, transform in enumerate(pipeline):
        if transform.kind in kinds:
            return index
    return -1


def missing(
    pipeline: Pipeline, kind: str, because: str, add: str
) -> Optional[Rejection]:
    """Refuse a pipeline without a transform.

    Args:
        pipeline (tuple[Part]): The transforms in order.
        kind (str): Class name of the transform.
        because (str): What the loss lacks without it.
        add (str): What to add, and where.
    """
    if first(pipeline, kind) >= 0:
        return None
    return Rejection(WHERE, f"there is no {kind}, {because}", f"{add}; or {LOADER}")


def wrong_order(
    pipeline: Pipeline, before: str, after: str, because: str
) -> Optional[Rejection]:
    """Refuse a pipeline in which ``before`` comes after ``after``."""
    if first(pipeline, before) < first(pipeline, after):
        return None
    return Rejection(
        WHERE,
        f"{after} comes before {before}: {because}",
        f"put {after} right after {before}; or {LOADER}",
    )


def not_packed(pipeline: Pipeline, packer: str) -> Optional[Rejection]:
    """Refuse where annotations do not reach the data samples.

    Args:
        pipeline (Pipeline): The transforms.
        packer (str): The library's transform that makes data samples.
    """
    return missing(
        pipeline,
        packer,
        "so there are no data samples",
        f"end {WHERE} with dict(type={packer!r})",
    ) or wrong_order(pipeline, "LoadAnnotations", packer, "nothing is packed")


def several(
    pipelines: List[Pipeline], plans: Collection[object]
) -> Optional[Rejection]:
    """Refuse data sets without a pipeline, or with several that differ.

    Args:
        pipelines (list[Pipeline]): Of all data sets of the validation.
        plans (Collection): What would have to be done for each; equal ones once.
    """
    if not pipelines:
        return Rejection(
            "val_dataloader.dataset",
            "it shows no pipeline, so that nobody knows in which frame its ground "
            "truth is",
            LOADER,
        )
    if len(plans) > 1:
        return Rejection(
            "val_dataloader.dataset",
            "it joins data sets whose pipelines bring the ground truth into "
            "different frames",
            f"give them one pipeline; or {LOADER}",
        )
    return None


def _name(transform: Part) -> str:
    return f"{transform.kind} ({WHERE})"


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
        refusal (Rejection, optional): None if its losses are known to be right.
        prepare (bool): Whether its batches are as those of a validation, and
            :meth:`Adapter.prepare` brings their ground truth into the frame.
    """

    refusal: Optional[Rejection]
    prepare: bool = False


def refuse_sampler(config: Any) -> Optional[Rejection]:
    """Judge the order of a loss dataloader.

    Args:
        config (dict or DataLoader): As ``val_dataloader``.

    Returns:
        Rejection, optional: If it shuffles or never ends.
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
        return Rejection(
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


def _refuse_drawing(pipeline: Pipeline, trust: Collection[str]) -> Optional[Rejection]:
    for transform in pipeline:
        if transform.trusted(trust):
            continue
        name = f"{transform.kind} in the pipeline of the loss dataloader"
        if not _deterministic(transform):
            return Rejection(
                name,
                "it draws random numbers, so that no two validations are of the same "
                "images, or is not known not to",
                "leave it out, or give it a deterministic counterpart (RandomFlip: "
                "prob=0.0); if it does the same in each validation, say so: "
                f"ValLossHook(trust=[{transform.to_trust!r}])",
            )
        if transform.get("ignore_empty", False) and not _testing(pipeline.dataset):
            return Rejection(
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
) -> Optional[Rejection]:
    """Refuse pipelines that move an image whose ground truth is loaded later.

    Args:
        pipelines (list[Pipeline]): Of all data sets of the loader.
        load (str): Class name of the transform that loads the ground truth.
        still (Collection[str]): Class names of those that may come before it:
            they change neither size nor place.
        pack (str): Class name of the one that packs it, the last.
    """
    if not pipelines:
        return Rejection(
            "the dataset of the loss dataloader",
            "it shows no pipeline, so that nobody knows in which frame its ground "
            "truth is",
            "a dataset with a pipeline, as those of the library",
        )
    for pipeline in pipelines:
        kinds = [transform.kind for transform in pipeline]
        for kind in (load, pack):
            if kind not in kinds:
                return Rejection(
                    "the pipeline of the loss dataloader",
                    f"there is no {kind}, so there is no ground truth",
                    f"add {kind}, as in the train pipeline",
                )
        loaded = len(kinds) - kinds[::-1].index(load)  # with the last one
        if kinds.index(pack) < len(kinds) - 1:
            return Rejection(
                "the pipeline of the loss dataloader",
                f"{kinds[-1]} comes after {pack}, where it moves nothing",
                f"put {pack} last",
            )
        for kind in kinds[:loaded]:
            if kind not in still and kind != load:
                return Rejection(
                    "the pipeline of the loss dataloader",
                    f"{kind} comes before {load}, so that the ground truth is not in "
                    "the frame of the input",
                    f"put {load} right after the image is loaded, as in the train "
                    "pipeline",
                )
    return None


#: What loads an image, or changes its colours alone.
STILL = ("LoadImageFromFile", "LoadImageFromNDArray", "Normalize")
