"""Reading a validation pipeline: which transforms there are, in which order.

Support is a list here too: a pipeline with a transform that is not on it is
refused, because it may move what the loss is compared with.
"""

from __future__ import annotations

from typing import Any, Collection, List, Mapping, Optional

from valloss_compat._libraries.base import LOADER, Refusal
from valloss_compat._libraries.facts import Part, Pipeline, pipelines_of

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
) -> Optional[Refusal]:
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
            return Refusal(_name(transform), why[kind], LOADER)
        if kind not in known or transform.library not in (library, *_SHARED):
            return Refusal(
                _name(transform),
                f"valloss_compat does not know what {transform.where} does to the "
                "ground truth",
                LOADER,
            )
        if kind in seen:
            return Refusal(
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


def missing(pipeline: Pipeline, kind: str, because: str, add: str) -> Optional[Refusal]:
    """Refuse a pipeline without a transform.

    Args:
        pipeline (tuple[Part]): The transforms in order.
        kind (str): Class name of the transform.
        because (str): What the loss lacks without it.
        add (str): What to add, and where.
    """
    if first(pipeline, kind) >= 0:
        return None
    return Refusal(WHERE, f"there is no {kind}, {because}", f"{add}; or {LOADER}")


def wrong_order(
    pipeline: Pipeline, before: str, after: str, because: str
) -> Optional[Refusal]:
    """Refuse a pipeline in which ``before`` comes after ``after``."""
    if first(pipeline, before) < first(pipeline, after):
        return None
    return Refusal(
        WHERE,
        f"{after} comes before {before}: {because}",
        f"put {after} right after {before}; or {LOADER}",
    )


def not_packed(pipeline: Pipeline, packer: str) -> Optional[Refusal]:
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


def several(pipelines: List[Pipeline], plans: Collection[object]) -> Optional[Refusal]:
    """Refuse data sets without a pipeline, or with several that differ.

    Args:
        pipelines (list[Pipeline]): Of all data sets of the validation.
        plans (Collection): What would have to be done for each; equal ones once.
    """
    if not pipelines:
        return Refusal(
            "val_dataloader.dataset",
            "it shows no pipeline, so that nobody knows in which frame its ground "
            "truth is",
            LOADER,
        )
    if len(plans) > 1:
        return Refusal(
            "val_dataloader.dataset",
            "it joins data sets whose pipelines bring the ground truth into "
            "different frames",
            f"give them one pipeline; or {LOADER}",
        )
    return None


def _name(transform: Part) -> str:
    return f"{transform.kind} ({WHERE})"
