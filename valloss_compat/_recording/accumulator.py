"""Running means of named losses over one epoch.

Each update costs constant time and memory. On the CPU a loss is added as a Python
float. On an accelerator the sum stays on the device until the epoch ends, so that
recording a loss never waits for the device. Both sums are compensated: signed
losses that cancel keep their mean.
"""

from __future__ import annotations

import math
import numbers
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple

import torch

from valloss_compat._config import type_name

# Apple's MPS has no float64 (https://pytorch.org/docs/stable/notes/mps.html).
_WITHOUT_FLOAT64 = ("mps",)
#: How many numbers are kept until they are added up.
_CHUNK = 64
_HOST = "cpu"  # the type of device whose tensors are read at once
_Tensor = torch.Tensor
_HAS_IS_CPU = hasattr(torch.Tensor, "is_cpu")  # not before torch 1.9


class LossSum(NamedTuple):
    """What one rank knows of one named loss at the end of an epoch."""

    total: float  #: Sum of the updates, each times its weight.
    weight: float  #: Sum of the weights: the number of updates, or of samples.
    nan_at: Optional[int] = None  #: Index of the first batch whose value was NaN.


class LossAccumulator:
    """Running mean of one named loss.

    The counterpart of the ``HistoryBuffer`` that native mmengine keeps for each
    name: ``mean`` is called the same, the history is not kept.
    """

    def __init__(self, name: str) -> None:
        self._name = name  # for messages
        self._values: List[float] = []  # not yet in the total
        self._total = self._lost = 0.0
        self.weight: float = 0  #: Number of updates so far, or of samples.
        self._nan_at = math.inf
        self._dtype: Any = None  # of the last real scalar on the CPU
        self._devices: Dict[torch.device, DeviceSum] = {}

    def add(self, value: Any, weight: float = 1, batch_idx: int = 0) -> None:
        """Add the loss of one batch, as one update, or as ``weight`` samples.

        A tensor of several elements counts as their mean, a list or tuple of tensors
        as the sum of their means, as in the ``parse_losses`` of mmengine's training.

        Raises:
            TypeError: If the value is of another type, a tensor that has no real mean
                (complex, sparse, quantized, without data), or an int beyond float.
        """
        if (  # Most losses are such a tensor.
            _HAS_IS_CPU
            and type(value) is _Tensor
            and value.dtype is self._dtype
            and value.is_cpu
            and not value.dim()
        ):
            number = value.item()
        elif isinstance(value, numbers.Real):  # numpy's scalars are registered there
            try:
                number = float(value)
            except OverflowError:
                kind = f"{type_name(value)} beyond the range of float"
                raise self._error(kind, "scale the loss down") from None
        elif isinstance(value, LossSum):
            self.add_sum(value)
            return
        else:
            mean = self._mean(value)
            if mean is None:  # an empty list is no update
                return
            if mean.device.type != _HOST:
                if mean.device not in self._devices:
                    self._devices[mean.device] = DeviceSum(mean.device)
                self._devices[mean.device].add(mean, weight, batch_idx)
                self.weight += weight
                return
            number = mean.item()
            if isinstance(value, _Tensor) and value.is_floating_point():
                self._dtype = value.dtype
        self._values.append(number if weight == 1 else number * weight)
        self.weight += weight
        if number != number and batch_idx < self._nan_at:
            self._nan_at = batch_idx
        if len(self._values) >= _CHUNK:
            self._fold()

    update = add  # what native mmengine calls, while the patches are reverted

    def add_sum(self, known: LossSum) -> None:
        """Add what was summed up elsewhere."""
        self._values.append(known.total)
        self.weight += known.weight
        if known.nan_at is not None:
            self._nan_at = min(self._nan_at, known.nan_at)

    def mean(self) -> float:
        """Mean of the updates so far; NaN before the first one."""
        known = self.sum()
        return known.total / known.weight if known.weight else math.nan

    def sum(self) -> LossSum:
        """Sum of the updates so far; waits for the device if one is in use."""
        self._fold()
        sums = [(self._total, self._lost, self._nan_at)]
        sums += [device_sum.read() for device_sum in self._devices.values()]
        # An infinite sum has lost nothing: inf - inf is NaN.
        total = sum(
            part + (lost if math.isfinite(lost) else 0) for part, lost, _ in sums
        )
        nan_at = min(index for _, _, index in sums)
        return LossSum(total, self.weight, None if nan_at == math.inf else int(nan_at))

    def _mean(self, value: Any, where: str = "") -> Any:
        """The mean of a tensor; of a list, the sum of those of its tensors."""
        if isinstance(value, (list, tuple)) and not where:
            means = [self._mean(item, " item") for item in value]
            return sum(mean.to(means[0].device) for mean in means) if means else None
        kind, fix = type_name(value), "put a tensor into the loss element"
        if isinstance(value, _Tensor):
            kind = f"Tensor of {value.dtype}"
            if value.layout != torch.strided:
                kind, fix = f"Tensor of {value.layout}", "convert it with to_dense()"
            elif value.device.type == "meta":
                kind = "Tensor without data (device 'meta')"
            elif value.is_complex():
                fix = "take its real part or abs()"
            elif value.is_quantized:
                fix = "convert it with dequantize()"
            else:
                return value.detach().to(_precision(value.device)).mean()
        elif hasattr(value, "__array__") or (where and isinstance(value, numbers.Real)):
            fix = "convert it with torch.as_tensor()"
        raise self._error(kind, fix, where)

    def _error(self, kind: str, fix: str, where: str = "") -> TypeError:
        return TypeError(
            f"loss {self._name!r} has a value{where} of type {kind}, but a real "
            f"tensor, a number, or a list or tuple of tensors is expected. Fix: {fix}"
        )

    def _fold(self) -> None:
        """Add up the kept numbers."""
        try:
            number = math.fsum(self._values)
        except (OverflowError, ValueError):  # beyond the range of float, or inf - inf
            number = sum(self._values)
        self._values = []
        self._total, lost = _two_sum(self._total, number)
        self._lost += lost


class DeviceSum:
    """Sum of losses on one device, without a wait for the device at each update.

    The sum is kept in float64. On a device without float64 it is kept as two
    float32 numbers, the sum and what rounding lost of it, which is close to double
    precision.
    """

    def __init__(self, device: torch.device) -> None:
        self._total = torch.zeros((), dtype=_precision(device), device=device)
        self._lost = torch.zeros_like(self._total)
        self._nan_at = torch.full_like(self._total, math.inf)

    def add(self, value: torch.Tensor, weight: float, batch_idx: int) -> None:
        """Add a tensor without dimensions, on this device, without a graph."""
        number = value.to(self._total.dtype) * weight
        self._total, lost = _two_sum(self._total, number)
        self._lost += lost
        here = torch.full_like(self._nan_at, batch_idx)
        first = torch.isnan(number) & (here < self._nan_at)
        self._nan_at = torch.where(first, here, self._nan_at)

    def read(self) -> Tuple[float, float, float]:
        """The sum, what it lost, and the first batch that was NaN, or inf; waits."""
        return self._total.item(), self._lost.item(), self._nan_at.item()


def _two_sum(total: Any, number: Any) -> Tuple[Any, Any]:
    """The sum of two numbers or tensors, and what rounding loses of it (Knuth)."""
    result = total + number
    added = result - total
    return result, (total - (result - added)) + (number - added)


class LoopLosses(Dict[str, Any]):
    """What this package sets as ``loop.val_loss``: name -> object with ``mean()``."""


class EpochAccumulators(LoopLosses):
    """The accumulators of one epoch by loss name."""

    def record(
        self, losses: Mapping[Any, Any], weight: float = 1, batch_idx: int = 0
    ) -> None:
        """Add the named losses of one batch, as by :meth:`LossAccumulator.add`."""
        errors = []  # all at once: a run may take hours to get here
        for name, value in losses.items():
            accumulator = self.get(name)
            try:
                if type(accumulator) is not LossAccumulator:
                    if not isinstance(name, str):
                        raise TypeError(
                            f"a loss is named {name!r} of type {type_name(name)}, but "
                            "a str is expected. Fix: rename the key in the loss dict"
                        )
                    accumulator = LossAccumulator(name)
                accumulator.add(value, weight, batch_idx)
                if accumulator.weight:
                    self[name] = accumulator
            except TypeError as error:
                errors.append(str(error))
        if errors:
            raise TypeError("; ".join(errors))

    def sums(self) -> Dict[str, LossSum]:
        """The sum of each loss that had an update, in order."""
        return {
            # A loop may add a HistoryBuffer, as native mmengine does.
            name: value.sum()
            if isinstance(value, LossAccumulator)
            else LossSum(float(value.mean()), 1)
            for name, value in self.items()
        }

    def merge(
        self, sums_by_rank: Iterable[Mapping[str, LossSum]]
    ) -> Dict[str, LossSum]:
        """Replace the losses by the sums of all ranks, and return these.

        Ranks may know different names, or none. The names are in the order of their
        first appearance, which is the same on all ranks.
        """
        self.clear()
        for sums in sums_by_rank:
            for name, known in sums.items():
                self.setdefault(name, LossAccumulator(name)).add_sum(known)
        return self.sums()


def means_with_total(sums: Mapping[str, LossSum], stage: str) -> Dict[str, float]:
    """Mean of each loss, and their total ``val_loss`` or ``test_loss``.

    As in mmengine, the total is the sum of the means whose name contains ``loss``.
    There is no total where no name does.
    """
    means = {name: known.total / known.weight for name, known in sums.items()}
    parts = [mean for name, mean in means.items() if "loss" in name]
    if parts:
        means[f"{stage}_loss"] = sum(parts)
    return means


def _precision(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type in _WITHOUT_FLOAT64 else torch.float64
