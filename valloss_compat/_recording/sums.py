"""What the losses of an epoch add up to: over the ranks, and as named means."""

from __future__ import annotations

from typing import Dict, List, Mapping, NamedTuple, Optional


class LossSum(NamedTuple):
    """What one rank knows of one named loss at the end of an epoch.

    Attributes:
        total (float): Sum of the updates, each times its weight.
        weight (float): Sum of the weights: the number of updates, or of samples.
        nan_at (int, optional): Index of the first batch whose value was NaN.
    """

    total: float
    weight: float
    nan_at: Optional[int]


def merge(sums_by_rank: List[Dict[str, LossSum]]) -> Dict[str, LossSum]:
    """Add up what several ranks know.

    Args:
        sums_by_rank (list[dict]): One dict of :meth:`LossMeters.sums` a rank.
            Ranks may know different names, or none.

    Returns:
        dict: Loss name -> sum over the ranks that know it; names in the order
        in which they first appear, the same on every rank.
    """
    merged: Dict[str, LossSum] = {}
    for sums in sums_by_rank:
        for name, (total, weight, nan_at) in sums.items():
            before = merged.get(name, LossSum(0.0, 0, None))
            merged[name] = LossSum(
                before.total + total,
                before.weight + weight,
                first_of(before.nan_at, nan_at),
            )
    return merged


def with_total(sums: Mapping[str, LossSum], stage: str) -> Dict[str, float]:
    """Mean of each loss, and their total as mmengine names it.

    Args:
        sums (Mapping): Loss name -> sum.
        stage (str): ``'val'`` or ``'test'``.

    Returns:
        dict: Loss name -> mean, then ``{stage}_loss`` -> sum of the means
        whose name contains ``loss``. There is no total where no name does.
    """
    means = {name: known.total / known.weight for name, known in sums.items()}
    parts = [mean for name, mean in means.items() if "loss" in name]
    if parts:
        means[f"{stage}_loss"] = sum(parts)
    return means


def first_of(one: Optional[int], other: Optional[int]) -> Optional[int]:
    """The smaller index, where there is one."""
    known = [index for index in (one, other) if index is not None]
    return min(known) if known else None
