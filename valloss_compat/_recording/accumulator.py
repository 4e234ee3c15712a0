"""Running means of named losses over one epoch.

Each update costs constant time and memory. On the CPU a loss is added as a Python
float. On an accelerator the sum stays on the device until the epoch ends, so that
recording a loss never waits for the device. Both sums are compensated: signed
losses that cancel keep their mean.
"""

from __future__ import annotations

import math
import numbers
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

import torch

# Apple's MPS has no float64 (https://pytorch.org/docs/stable/notes/mps.html).
_WITHOUT_FLOAT64 = ("mps",)
#: How many numbers are kept until they are added up.
_CHUNK = 64
_HOST = "cpu"  # the type of device whose tensors are read at once
_Tensor = torch.Tensor
_HAS_IS_CPU = hasattr(torch.Tensor, "is_cpu")  # not before torch 1.9


class LossSum(NamedTuple):
    """What one rank knows of one named loss at the end of an epoch.

    Attributes:
        total (float): Sum of the updates, each times its weight.
        weight (float): Sum of the weights: the number of updates, or of samples.
        nan_at (int, optional): Index of the first batch whose value was NaN.
    """

    total: float
    weight: float
    nan_at: Optional[int] = None


class LossAccumulator:
    """Running mean of one named loss.

    The counterpart of the ``HistoryBuffer`` that native mmengine keeps for each
    name: ``mean`` is called the same, the history is not kept.

    Args:
        name (str): Of the loss, for messages.

    Attributes:
        weight (float): Number of updates so far, or of samples.
    """

    __slots__ = (
        "_devices",
        "_dtype",
        "_lost",
        "_name",
        "_nan_at",
        "_total",
        "_values",
        "weight",
    )

    def __init__(self, name: str) -> None:
        self._name = name
        self._values: List[float] = []  # not yet in the total
        self._total = self._lost = 0.0
        self.weight: float = 0
        self._nan_at: Optional[int] = None
        self._dtype: Any = None  # of the last real scalar on the CPU
        self._devices: Dict[torch.device, DeviceSum] = {}

    def add(self, value: Any, weight: float = 1, batch_idx: int = 0) -> None:
        """Add the loss of one batch, as one update.

        Args:
            value (Tensor, number, LossSum, or list or tuple of tensors): A tensor of
                several elements counts as their mean, a list as the sum of the means
                of its tensors, as in the ``parse_losses`` of mmengine's training.
            weight (float): For how many updates (or samples) it stands.
            batch_idx (int): Index of the batch in its epoch, for messages.

        Raises:
            TypeError: If the value is of another type, or a tensor that has no
                real mean (complex, sparse, quantized, without data).
        """
        # Most losses are such a tensor: _add_number is inlined to save a call a loss.
        if (
            _HAS_IS_CPU
            and type(value) is _Tensor
            and value.dtype is self._dtype
            and value.is_cpu
            and not value.dim()
        ):
            number = value.item()
            self._values.append(number if weight == 1 else number * weight)
            self.weight += weight
            if number != number and self._nan_at is None:
                self._nan_at = batch_idx
            if len(self._values) >= _CHUNK:
                self._fold()
        elif isinstance(value, _Tensor):
            self._add_tensor(self._mean(value), weight, batch_idx)
            if value.is_floating_point():
                self._dtype = value.dtype
        elif isinstance(value, numbers.Real):  # numpy's scalars are registered there
            try:
                self._add_number(float(value), weight, batch_idx)
            except OverflowError:
                raise self._wrong_type("an int beyond the range of float") from None
        elif isinstance(value, LossSum):
            self.add_sum(value)
        elif isinstance(value, (list, tuple)):
            means = [self._mean(item, " item") for item in value]
            if means:
                total = sum(mean.to(means[0].device) for mean in means)
                self._add_tensor(total, weight, batch_idx)
        else:
            raise self._wrong_type(type(value).__name__)

    def update(self, value: float, count: float = 1) -> None:
        """Add a number: native mmengine does, while the patches are reverted."""
        self._add_number(float(value), count, 0)

    def add_sum(self, known: LossSum) -> None:
        """Add what was summed up elsewhere."""
        self._values.append(known.total)
        self.weight += known.weight
        self._nan_at = first_index(self._nan_at, known.nan_at)

    def mean(self) -> float:
        """Mean of the updates so far; NaN before the first one."""
        known = self.sum()
        return known.total / known.weight if known.weight else math.nan

    def sum(self) -> LossSum:
        """Sum of the updates so far; waits for the device if one is in use."""
        self._fold()
        total, nan_at = self._total + self._lost, self._nan_at
        for device_sum in self._devices.values():
            device_total, device_nan_at = device_sum.read()
            total += device_total
            nan_at = first_index(nan_at, device_nan_at)
        return LossSum(total, self.weight, nan_at)

    def _add_number(self, number: float, weight: float, batch_idx: int) -> None:
        self._values.append(number if weight == 1 else number * weight)
        self.weight += weight
        if number != number and self._nan_at is None:
            self._nan_at = batch_idx
        if len(self._values) >= _CHUNK:
            self._fold()

    def _add_tensor(self, mean: torch.Tensor, weight: float, batch_idx: int) -> None:
        if mean.device.type == _HOST:
            self._add_number(mean.item(), weight, batch_idx)
            return
        if mean.device not in self._devices:
            self._devices[mean.device] = DeviceSum(mean.device)
        self._devices[mean.device].add(mean, weight, batch_idx)
        self.weight += weight

    def _mean(self, value: Any, where: str = "") -> torch.Tensor:
        if not isinstance(value, _Tensor):
            raise self._wrong_type(type(value).__name__, where)
        kind = f"Tensor of {value.dtype}"
        if value.layout != torch.strided:
            kind = f"Tensor of {value.layout}"
        elif value.device.type == "meta":
            kind = "Tensor without data (device 'meta')"
        elif not (value.is_complex() or value.is_quantized):
            return value.detach().to(_precision(value.device)).mean()
        raise self._wrong_type(kind, where)

    def _fold(self) -> None:
        """Add up the numbers that are kept (Neumaier 1974)."""
        try:
            number = math.fsum(self._values)
        except (OverflowError, ValueError):  # beyond the range of float, or inf - inf
            number = sum(self._values)
        self._values = []
        total = self._total + number
        larger, smaller = self._total, number
        if abs(larger) < abs(smaller):
            larger, smaller = smaller, larger
        lost = (larger - total) + smaller
        if math.isfinite(lost):  # an infinite sum has lost nothing
            self._lost += lost
        self._total = total

    def _wrong_type(self, kind: str, where: str = "") -> TypeError:
        return TypeError(
            f"loss {self._name!r} has a value{where} of type {kind}, but a real "
            "tensor, a number, or a list or tuple of tensors is expected: convert it "
            "with torch.as_tensor() before it goes into the loss element"
        )


class DeviceSum:
    """Sum of losses on one device, without a wait for the device at each update.

    The sum is kept in float64. On a device without float64 it is kept as two
    float32 numbers, the sum and what rounding lost of it (Neumaier 1974),
    which is close to double precision.

    Args:
        device (torch.device): Where the losses are.
    """

    __slots__ = ("_dtype", "_lost", "_nan_at", "_total")

    def __init__(self, device: torch.device) -> None:
        self._dtype = _precision(device)
        self._total = torch.zeros((), dtype=self._dtype, device=device)
        self._lost = torch.zeros((), dtype=self._dtype, device=device)
        self._nan_at = torch.full((), -1, dtype=torch.int64, device=device)

    def add(self, value: torch.Tensor, weight: float, batch_idx: int) -> None:
        """Add a number.

        Args:
            value (Tensor): Without dimensions, on this device, without a graph.
            weight (float): Its weight.
            batch_idx (int): Index of the batch in its epoch.
        """
        number = value.to(self._dtype) * weight
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


class LoopLosses(Dict[str, Any]):
    """What this package sets as ``loop.val_loss``: name -> object with ``mean()``."""


class EpochAccumulators(LoopLosses):
    """The accumulators of one epoch by loss name."""

    def record(
        self, losses: Mapping[Any, Any], weight: float = 1, batch_idx: int = 0
    ) -> None:
        """Add the named losses of one batch.

        Args:
            losses (Mapping): Loss name -> value, as of :meth:`LossAccumulator.add`.
            weight (float): For how many updates (or samples) the batch counts.
            batch_idx (int): Index of the batch in its epoch, for messages.

        Raises:
            TypeError: If a name is no string or a value of another type.
        """
        for name in losses:
            accumulator = self.get(name)
            if type(accumulator) is not LossAccumulator:
                if not isinstance(name, str):
                    raise TypeError(
                        f"a loss is named {name!r} of type {type(name).__name__}, but "
                        "a name must be a str: rename the key in the loss dict"
                    )
                accumulator = LossAccumulator(name)
                accumulator.add(losses[name], weight, batch_idx)
                if accumulator.weight:  # an empty list is no update
                    self[name] = accumulator
                continue
            accumulator.add(losses[name], weight, batch_idx)

    def sums(self) -> Dict[str, LossSum]:
        """The sum of each loss that had an update, in order."""
        known = {
            # Native mmengine adds a HistoryBuffer while the patches are reverted.
            name: value.sum()
            if isinstance(value, LossAccumulator)
            else LossSum(float(value.mean()), 1)
            for name, value in self.items()
        }
        return {name: value for name, value in known.items() if value.weight}

    def load(self, sums: Mapping[str, LossSum]) -> None:
        """Replace the accumulators by the given sums, those of all ranks."""
        super().clear()
        for name, known in sums.items():
            self[name] = LossAccumulator(name)
            self[name].add_sum(known)


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
            before = merged.get(name, LossSum(0.0, 0))
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


def _precision(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type in _WITHOUT_FLOAT64 else torch.float64
