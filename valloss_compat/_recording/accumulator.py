"""Running means of named losses over one epoch.

Each update costs O(1) time and memory. On the CPU a loss is added to a Python
float (double precision). On an accelerator the sum stays on the device until
the epoch ends, so that recording a loss never waits for the device.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any, Dict, Optional

import torch

from valloss_compat._recording.device_sum import DeviceSum
from valloss_compat._recording.sums import LossSum, first_of

#: The device whose tensors are read at once.
_HOST = torch.device("cpu")
_Tensor = torch.Tensor
_INFINITY = float("inf")
_HAS_IS_CPU = hasattr(torch.Tensor, "is_cpu")  # not before torch 1.9; half the price


class LossMeter:
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
            nan_at = first_of(nan_at, device_nan_at)
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

    def _of(self, name: str) -> LossMeter:
        known = self.get(name)
        if isinstance(known, LossMeter):
            return known
        meter = self[name] = LossMeter()
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
            if isinstance(meter, LossMeter)
            else LossSum(float(meter.mean()), 1, None)
            for name, meter in self.items()
        }
        return {name: added for name, added in known.items() if added.weight}

    def load(self, sums: Mapping[str, LossSum]) -> None:
        """Replace the meters by the given sums, those of all ranks."""
        super().clear()
        for name, known in sums.items():
            self[name] = LossMeter()
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
