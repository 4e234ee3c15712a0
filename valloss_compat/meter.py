"""Running means of named losses over one epoch, on one rank or on many.

Each update costs O(1) time and memory. On the CPU a loss is added to a Python
float (double precision). On an accelerator the sum stays on the device until
the epoch ends, so that recording a loss never waits for the device.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any, Dict, List, NamedTuple, Optional

import torch

from valloss_compat.device_sum import DeviceSum

#: Type of the device whose tensors are read at once.
_HOST = "cpu"


class LossSum(NamedTuple):
    """What one rank knows of one named loss at the end of an epoch.

    Attributes:
        total (float): Sum of the updates.
        updates (int): Number of updates.
        nan_at (int, optional): Index of the first batch whose value was NaN.
    """

    total: float
    updates: int
    nan_at: Optional[int]


class LossMeter:
    """Running mean of one named loss.

    The counterpart of the ``HistoryBuffer`` that native mmengine keeps per
    name: ``update`` and ``mean`` are called the same, the history is not kept.
    """

    __slots__ = ("_count", "_devices", "_nan_at", "_total")

    def __init__(self) -> None:
        self._total = 0.0
        self._count = 0
        self._nan_at: Optional[int] = None
        self._devices: Dict[torch.device, DeviceSum] = {}

    def update(self, value: float, count: int = 1, batch_idx: int = 0) -> None:
        """Add a number to the mean.

        Args:
            value (float): The loss of one batch, in the unit of the loss.
            count (int): How many updates it stands for. Defaults to 1.
            batch_idx (int): Index of the batch in its epoch, for messages.
        """
        self._total += value * count
        self._count += count
        if value != value and self._nan_at is None:
            self._nan_at = batch_idx

    def update_tensor(self, value: torch.Tensor, batch_idx: int = 0) -> None:
        """Add a tensor to the mean, as one update.

        Args:
            value (Tensor): Of any shape, real dtype and device. Several
                elements count as their mean, as in the ``parse_losses`` of
                mmengine's training.
            batch_idx (int): Index of the batch in its epoch, for messages.
        """
        value = value.detach()
        if value.device.type == _HOST:
            scalar = value if value.numel() == 1 else value.double().mean()
            self.update(float(scalar.item()), 1, batch_idx)
            return
        if value.device not in self._devices:
            self._devices[value.device] = DeviceSum(value.device)
        self._devices[value.device].add(value, batch_idx)
        self._count += 1

    def mean(self) -> float:
        """Mean of the updates so far; NaN before the first one."""
        total, updates, _ = self.sum()
        return total / updates if updates else float("nan")

    def sum(self) -> LossSum:
        """What was added so far; waits for the device if one is in use."""
        total, nan_at = self._total, self._nan_at
        for device_sum in self._devices.values():
            device_total, device_nan_at = device_sum.read()
            total += device_total
            nan_at = _first(nan_at, device_nan_at)
        return LossSum(total, self._count, nan_at)

    def load(self, known: LossSum) -> None:
        """Replace what was added so far, by the sum over all ranks."""
        self._total, self._count, self._nan_at = known
        self._devices = {}


class LossMapping(Dict[str, Any]):
    """What this package sets as ``loop.val_loss``: name -> object with ``mean()``."""


class LossMeters(LossMapping):
    """The meters of one epoch by loss name; ``loop.val_loss`` is one of these.

    Attributes:
        reported (bool): Whether these losses are in the metrics already.
    """

    reported = False

    def clear(self) -> None:
        """Forget all losses, at the start of an epoch."""
        super().clear()
        self.reported = False

    def record(self, losses: Mapping[str, Any], batch_idx: int = 0) -> None:
        """Add the named losses of one batch.

        Args:
            losses (Mapping): Loss name -> tensor, number, or list or tuple of
                tensors (each of which is one update).
            batch_idx (int): Index of the batch in its epoch, for messages.

        Raises:
            TypeError: If a name is no string or a value of another type.
        """
        for name, value in losses.items():
            if not isinstance(name, str):
                raise TypeError(
                    f"a loss is named {name!r} of type {type(name).__name__}, but a "
                    "name must be a str: rename the key in the loss dict"
                )
            if _is_real_tensor(value):
                self._of(name).update_tensor(value, batch_idx)
            elif isinstance(value, numbers.Real):  # numpy's scalars register there
                self._of(name).update(float(value), 1, batch_idx)
            elif isinstance(value, (list, tuple)):
                for item in value:
                    if not _is_real_tensor(item):
                        raise _wrong_type(name, item, " item")
                    self._of(name).update_tensor(item, batch_idx)
            else:
                raise _wrong_type(name, value)

    def _of(self, name: str) -> LossMeter:
        meter = self.get(name)
        if meter is None:
            meter = self[name] = LossMeter()
        return meter

    def sums(self) -> Dict[str, LossSum]:
        """The sum of each loss, in order."""
        return {
            # A loop may add its own, as HistoryBuffer of native mmengine.
            name: meter.sum()
            if isinstance(meter, LossMeter)
            else LossSum(float(meter.mean()), 1, None)
            for name, meter in self.items()
        }

    def load(self, sums: Mapping[str, LossSum]) -> None:
        """Replace the meters by the given sums, those of all ranks."""
        super().clear()
        for name, known in sums.items():
            self[name] = LossMeter()
            self[name].load(known)


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
        for name, (total, updates, nan_at) in sums.items():
            before = merged.get(name, LossSum(0.0, 0, None))
            merged[name] = LossSum(
                before.total + total,
                before.updates + updates,
                _first(before.nan_at, nan_at),
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
    means = {name: known.total / known.updates for name, known in sums.items()}
    parts = [mean for name, mean in means.items() if "loss" in name]
    if parts:
        means[f"{stage}_loss"] = sum(parts)
    return means


def _is_real_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and not value.is_complex()


def _first(one: Optional[int], other: Optional[int]) -> Optional[int]:
    known = [index for index in (one, other) if index is not None]
    return min(known) if known else None


def _wrong_type(name: str, value: Any, where: str = "") -> TypeError:
    kind = type(value).__name__
    if isinstance(value, torch.Tensor):
        kind = f"Tensor of {value.dtype}"
    return TypeError(
        f"loss {name!r} has a value{where} of type {kind}, but a real tensor, a "
        "number, or a list or tuple of tensors is expected: convert it with "
        "torch.as_tensor() before it goes into the loss element"
    )
