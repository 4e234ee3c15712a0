"""Running means of named losses over one epoch.

Each update costs O(1) time and memory. On the CPU a loss is added to a Python
float (double precision). On an accelerator the sum stays on the device until
the epoch ends, so that recording a loss never waits for the device.
"""

from __future__ import annotations

import numbers
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

import torch


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


def merge_ranks(sums_by_rank: List[Dict[str, LossSum]]) -> Dict[str, LossSum]:
    """Add up what several ranks know.

    Args:
        sums_by_rank (list[dict]): One dict of :meth:`EpochAccumulators.sums` a rank.
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
                first_index(before.nan_at, nan_at),
            )
    return merged


def means_with_total(sums: Mapping[str, LossSum], stage: str) -> Dict[str, float]:
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


def first_index(one: Optional[int], other: Optional[int]) -> Optional[int]:
    """The smaller index, where there is one."""
    known = [index for index in (one, other) if index is not None]
    return min(known) if known else None


# Apple's MPS has no float64 (https://pytorch.org/docs/stable/notes/mps.html).
_WITHOUT_FLOAT64 = ("mps",)


class DeviceSum:
    """Sum of losses on one device, without a wait for the device per update.

    The sum is kept in float64. On a device without float64 it is kept as two
    float32 numbers, the sum and what rounding lost of it (Neumaier 1974),
    which is close to double precision.

    Args:
        device (torch.device): Where the losses live.
    """

    __slots__ = ("_dtype", "_lost", "_nan_at", "_total")

    def __init__(self, device: torch.device) -> None:
        lacks = device.type in _WITHOUT_FLOAT64
        self._dtype = torch.float32 if lacks else torch.float64
        self._total = torch.zeros((), dtype=self._dtype, device=device)
        self._lost = torch.zeros((), dtype=self._dtype, device=device)
        self._nan_at = torch.full((), -1, dtype=torch.int64, device=device)

    def add(self, value: torch.Tensor, count: float, batch_idx: int) -> None:
        """Add the mean of a tensor.

        Args:
            value (Tensor): Of any shape, on this device, without a graph.
            count (float): The weight of this mean.
            batch_idx (int): Index of the batch in its epoch.
        """
        number = value.to(self._dtype).mean() * count
        total = self._total + number
        larger_total = self._total.abs() >= number.abs()
        lost = torch.where(
            larger_total, (self._total - total) + number, (number - total) + self._total
        )
        # inf - inf is NaN: an infinite sum has lost nothing.
        self._lost += torch.where(torch.isfinite(lost), lost, torch.zeros_like(lost))
        self._total = total
        first = torch.isnan(number) & (self._nan_at < 0)
        self._nan_at = torch.where(
            first, torch.full_like(self._nan_at, batch_idx), self._nan_at
        )

    def read(self) -> Tuple[float, Optional[int]]:
        """Wait for the device.

        Returns:
            tuple: The sum, and the index of the first batch that was NaN.
        """
        nan_at = int(self._nan_at.item())
        total = float(self._total.item()) + float(self._lost.item())
        return total, nan_at if nan_at >= 0 else None


#: The device whose tensors are read at once.
_HOST = torch.device("cpu")
_Tensor = torch.Tensor
_INFINITY = float("inf")
_HAS_IS_CPU = hasattr(torch.Tensor, "is_cpu")  # not before torch 1.9; half the price


class LossAccumulator:
    """Running mean of one named loss.

    The counterpart of the ``HistoryBuffer`` that native mmengine keeps per
    name: ``update`` and ``mean`` are called the same, the history is not kept.

    Attributes:
        is_scalar (bool): Whether the latest tensor had no dimension.
    """

    __slots__ = ("_count", "_devices", "_nan_at", "_total", "is_scalar")

    def __init__(self) -> None:
        self._total = 0.0
        self._count: float = 0
        self._nan_at: Optional[int] = None
        self._devices: Dict[torch.device, DeviceSum] = {}
        self.is_scalar = False

    def update(self, value: float, count: float = 1, batch_idx: int = 0) -> None:
        """Add a number to the mean.

        Args:
            value (float): The loss of one batch, in the unit of the loss.
            count (float): Its weight: for how many updates (or samples) it
                stands. Defaults to 1.
            batch_idx (int): Index of the batch in its epoch, for messages.
        """
        self._total += value * count
        self._count += count
        if value != value and self._nan_at is None:
            self._nan_at = batch_idx

    def update_tensor(
        self, value: torch.Tensor, count: float = 1, batch_idx: int = 0
    ) -> None:
        """Add a tensor to the mean, as one update.

        Args:
            value (Tensor): Of any shape, real dtype and device. Several
                elements count as their mean, as in the ``parse_losses`` of
                mmengine's training.
            count (float): Its weight, as of :meth:`update`. Defaults to 1.
            batch_idx (int): Index of the batch in its epoch, for messages.
        """
        value = value.detach()
        self.is_scalar = value.dim() == 0
        if value.device.type == _HOST.type:
            scalar = value if value.numel() == 1 else value.double().mean()
            self.update(float(scalar.item()), count, batch_idx)
            return
        if value.device not in self._devices:
            self._devices[value.device] = DeviceSum(value.device)
        self._devices[value.device].add(value, count, batch_idx)
        self._count += count

    def mean(self) -> float:
        """Mean of the updates so far; NaN before the first one."""
        total, weight, _ = self.sum()
        return total / weight if weight else float("nan")

    def sum(self) -> LossSum:
        """What was added so far; waits for the device if one is in use."""
        total, nan_at = self._total, self._nan_at
        for device_sum in self._devices.values():
            device_total, device_nan_at = device_sum.read()
            total += device_total
            nan_at = first_index(nan_at, device_nan_at)
        return LossSum(total, self._count, nan_at)

    def load(self, known: LossSum) -> None:
        """Replace what was added so far, by the sum over all ranks."""
        self._total, self._count, self._nan_at = known
        self._devices = {}


class LoopLosses(Dict[str, Any]):
    """What this package sets as ``loop.val_loss``: name -> object with ``mean()``."""


class EpochAccumulators(LoopLosses):
    """The meters of one epoch by loss name; ``loop.val_loss`` is one of these.

    Attributes:
        reported (bool): Whether these losses are in the metrics already.
    """

    reported = False

    def clear(self) -> None:
        """Forget all losses, at the start of an epoch."""
        super().clear()
        self.reported = False

    def record(
        self,
        losses: Mapping[str, Any],
        batch_idx: int = 0,
        batch_size: Optional[int] = None,
    ) -> None:
        """Add the named losses of one batch.

        Args:
            losses (Mapping): Loss name -> tensor, number, or list or tuple of
                tensors.
            batch_idx (int): Index of the batch in its epoch, for messages.
            batch_size (int, optional): Number of samples in the batch, where
                it is to count by that. Defaults to None: each value, and each
                item of a list, counts as one update.

        Raises:
            TypeError: If a name is no string or a value of another type.
        """
        for name in losses:
            value = losses[name]
            # Most losses are this, each time: no call more than it takes.
            try:
                meter = self[name]
                if (
                    meter.is_scalar
                    and type(value) is _Tensor
                    and (value.is_cpu if _HAS_IS_CPU else value.device == _HOST)
                ):
                    number = value.tolist()  # of a scalar its number, and the fastest
                    if number <= _INFINITY:
                        if batch_size is None:
                            meter._total += number
                            meter._count += 1.0
                        else:
                            meter._total += number * batch_size
                            meter._count += batch_size
                        continue
            except (KeyError, AttributeError, TypeError):
                pass  # its first one, a meter of another kind, a complex number
            self._record(name, value, batch_idx, batch_size)

    def _record(
        self, name: Any, value: Any, batch_idx: int, batch_size: Optional[int]
    ) -> None:
        if not isinstance(name, str):
            raise TypeError(
                f"a loss is named {name!r} of type {type(name).__name__}, but a "
                "name must be a str: rename the key in the loss dict"
            )
        count: float = 1 if batch_size is None else batch_size
        if _is_real_tensor(value):
            self._of(name).update_tensor(value, count, batch_idx)
        elif isinstance(value, numbers.Real):  # numpy's scalars register there
            self._of(name).update(float(value), count, batch_idx)
        elif isinstance(value, (list, tuple)):
            if batch_size is not None and value:
                count = batch_size / len(value)  # the batch counts once in all
            for item in value:
                if not _is_real_tensor(item):
                    raise _wrong_type(name, item, " item")
                self._of(name).update_tensor(item, count, batch_idx)
        else:
            raise _wrong_type(name, value)

    def _of(self, name: str) -> LossAccumulator:
        known = self.get(name)
        if isinstance(known, LossAccumulator):
            return known
        meter = self[name] = LossAccumulator()
        if known is not None:
            # Native mmengine's HistoryBuffer, of batches while we were reverted.
            values, counts = known.data
            meter.load(LossSum(float(values.sum()), float(counts.sum()), None))
        return meter

    def sums(self) -> Dict[str, LossSum]:
        """The sum of each loss that had an update, in order."""
        known = {
            # A loop may add its own, as HistoryBuffer of native mmengine.
            name: meter.sum()
            if isinstance(meter, LossAccumulator)
            else LossSum(float(meter.mean()), 1, None)
            for name, meter in self.items()
        }
        return {name: added for name, added in known.items() if added.weight}

    def load(self, sums: Mapping[str, LossSum]) -> None:
        """Replace the meters by the given sums, those of all ranks."""
        super().clear()
        for name, known in sums.items():
            self[name] = LossAccumulator()
            self[name].load(known)


def _is_real_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and not value.is_complex()


def _wrong_type(name: str, value: Any, where: str = "") -> TypeError:
    kind = type(value).__name__
    if isinstance(value, torch.Tensor):
        kind = f"Tensor of {value.dtype}"
    return TypeError(
        f"loss {name!r} has a value{where} of type {kind}, but a real tensor, a "
        "number, or a list or tuple of tensors is expected: convert it with "
        "torch.as_tensor() before it goes into the loss element"
    )
