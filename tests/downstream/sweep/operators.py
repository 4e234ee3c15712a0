"""Operators that mmcv compiles for CUDA alone, in plain torch.

With them a sweep on a CPU reaches models whose predictions or losses call one. They
compute what the operators compute, and gradients flow through them.
"""

from __future__ import annotations

import sys
from typing import Any, Callable

import torch
from torch.nn import functional
from torch.nn.modules.utils import _pair
from torchvision import ops

from downstream.sweep import operators_3d

#: Corners of two boxes are in front of the intersections of their edges.
_CORNERS = 8


def stand_in(replace: Callable[[Any, str, Any], None] = setattr) -> None:
    """Have the modules of mmcv call them, in this process."""
    modules = [m for name, m in sys.modules.items() if name.startswith("mmcv.ops")]
    for owner, name, function in (
        ("carafe", "carafe", carafe),
        ("deform_roi_pool", "deform_roi_pool", deform_roi_pool),
        ("diff_iou_rotated", "SortVertices", SortVertices),
        ("masked_conv", "masked_conv2d", masked_conv2d),
        ("tin_shift", "tin_shift", tin_shift),
        *operators_3d.OPERATORS,
    ):
        # Not an attribute of the package, where functions have the names of modules.
        found = vars(sys.modules[f"mmcv.ops.{owner}"])[name]
        for module in modules:
            if vars(module).get(name) is found:
                replace(module, name, function)


def masked_conv2d(
    features: Any, mask: Any, weight: Any, bias: Any, padding: Any = 0, stride: int = 1
) -> Any:
    """A convolution that is zero outside of a mask."""
    found = functional.conv2d(features, weight, bias, stride, padding)
    return found * (mask > 0).to(found.dtype)


def tin_shift(features: Any, shift: Any) -> Any:
    """Move groups of channels in time, each sample and group by a number of frames."""
    size = features.shape[2] // shift.shape[1]
    shifted = torch.zeros_like(features)
    frames = features.shape[1]
    for sample, row in enumerate(shift.tolist()):
        for group, step in enumerate(map(int, row)):
            channels = slice(group * size, (group + 1) * size)
            if abs(step) < frames:
                to = slice(max(step, 0), frames + min(step, 0))
                of = slice(max(-step, 0), frames + min(-step, 0))
                shifted[sample, to, channels] = features[sample, of, channels]
    return shifted


def carafe(
    features: Any, masks: Any, kernel_size: int, group_size: int, scale_factor: int
) -> Any:
    """Enlarge: each pixel is a weighted sum of those around the one it comes from."""
    number, channels, height, width = features.shape
    area = kernel_size**2
    around = functional.unfold(features, kernel_size, padding=kernel_size // 2)
    around = around.view(number, channels * area, height, width)
    around = functional.interpolate(around, scale_factor=float(scale_factor))
    size = around.shape[-2:]
    around = around.view(number, group_size, channels // group_size, area, *size)
    weights = masks.view(number, group_size, 1, area, *size)
    return (around * weights).sum(3).view(number, channels, *size)


def deform_roi_pool(
    features: Any,
    rois: Any,
    offset: Any,
    output_size: Any,
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    gamma: float = 0.1,
) -> Any:
    """Pool regions, each of their bins moved by an offset: each bin is a region."""
    rows, columns = _pair(output_size)
    number = len(rois)
    corner, size = rois[:, None, None, 1:3], rois[:, 3:] - rois[:, 1:3]
    across, down = torch.arange(columns).to(rois), torch.arange(rows).to(rois)
    cells = torch.stack(torch.meshgrid(across, down, indexing="xy"), -1)
    bins = (size / rois.new_tensor([columns, rows]))[:, None, None]
    begin = corner + cells * bins
    if offset is not None:
        moved = offset.view(number, 2, rows, columns).permute(0, 2, 3, 1)
        begin = begin + gamma * size[:, None, None] * moved
    index = rois[:, None, None, :1].expand(number, rows, columns, 1)
    regions = torch.cat([index, begin, begin + bins], -1).view(-1, 5)
    pooled = ops.roi_align(features, regions, 1, spatial_scale, sampling_ratio, True)
    return pooled.view(number, rows, columns, -1).permute(0, 3, 1, 2).contiguous()


class SortVertices:
    """The order of the valid vertices of a polygon around its centre."""

    @staticmethod
    def apply(vertices: Any, mask: Any, valid: Any) -> Any:
        """Indices of the vertices, the first once more, and of zeros in their place."""
        angles = torch.atan2(vertices[..., 1], vertices[..., 0])
        order = angles.masked_fill(~mask, float("inf")).argsort(-1)
        zero = _CORNERS + mask[..., _CORNERS:].to(torch.uint8).argmin(-1, keepdim=True)
        # More than the 9 of the operator: all, should equal boxes have equal vertices.
        order = torch.cat([order, zero], -1)
        place, count = torch.arange(order.shape[-1]).to(valid), valid[..., None]
        order = torch.where(place < count, order, zero)
        order = torch.where(place == count, order[..., :1], order)
        return torch.where(count < 3, zero, order)
