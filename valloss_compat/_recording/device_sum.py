"""A sum that stays on its accelerator until somebody reads it."""

from __future__ import annotations

from typing import Optional, Tuple

import torch

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
