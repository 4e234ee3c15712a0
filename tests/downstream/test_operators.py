"""The operators that stand in for those of CUDA, next to others that mmcv has."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("mmcv.ops")

import torch
from mmcv import ops
from torch.nn import functional

from downstream.sweep import operators


def test_masked_convolution_is_zero_outside_of_the_mask() -> None:
    features, weight = torch.randn(1, 3, 5, 6), torch.randn(4, 3, 3, 3)
    mask = torch.rand(1, 5, 6) > 0.5
    found = operators.masked_conv2d(features, mask, weight, torch.ones(4), padding=1)
    whole = functional.conv2d(features, weight, torch.ones(4), padding=1)
    assert torch.equal(found[0][:, mask[0]], whole[0][:, mask[0]])
    assert not found[0][:, ~mask[0]].any()


def test_shift_in_time_moves_each_group_by_its_frames() -> None:
    frames = torch.arange(1.0, 5.0).view(1, 4, 1, 1).repeat(1, 1, 4, 1)
    shift = torch.tensor([[1, -2, 0, 4]])
    found = operators.tin_shift(frames, shift)[0, :, :, 0].T
    expected = [[0, 1, 2, 3], [3, 4, 0, 0], [1, 2, 3, 4], [0, 0, 0, 0]]
    assert found.tolist() == expected


def test_reassembly_with_one_weight_enlarges_a_neighbour() -> None:
    features = torch.randn(2, 4, 3, 5)
    masks = torch.zeros(2, 2 * 9, 6, 10)
    masks[:, 4] = 1  # the first group: the pixel itself
    masks[:, 9 + 5] = 1  # the second group: its right neighbour
    found = operators.carafe(features, masks, 3, 2, 2)
    enlarged = functional.interpolate(features, scale_factor=2)
    assert torch.equal(found[:, :2], enlarged[:, :2])
    assert torch.equal(found[:, 2:, :, :-2], enlarged[:, 2:, :, 2:])
    assert not found[:, 2:, :, -2:].any()


@pytest.mark.parametrize("ratio", [0, 2])
def test_pooling_without_offsets_is_that_of_roi_align(ratio: int) -> None:
    features = torch.randn(2, 3, 16, 20)
    rois = torch.tensor([[0, 1.5, 2, 30, 40], [1, -5, 3, 61, 27.5]])
    found = operators.deform_roi_pool(features, rois, None, (3, 4), 0.5, ratio)
    expected = ops.roi_align(features, rois, (3, 4), 0.5, ratio, "avg", True)
    assert torch.allclose(found, expected, atol=1e-5)


def test_pooling_with_one_offset_is_that_of_a_moved_region() -> None:
    features = torch.randn(1, 3, 16, 20)
    rois = torch.tensor([[0, 4.0, 6, 24, 22]])
    offset = torch.tensor([0.5, -0.25]).view(1, 2, 1, 1).repeat(1, 1, 3, 4)
    found = operators.deform_roi_pool(features, rois, offset, (3, 4), 0.5, 2)
    moved = rois + torch.tensor([0, 1.0, -0.4, 1.0, -0.4])
    expected = ops.roi_align(features, moved, (3, 4), 0.5, 2, "avg", True)
    assert torch.allclose(found, expected, atol=1e-5)


def test_overlap_of_rotated_boxes_is_that_of_the_operator_without_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = sys.modules["mmcv.ops.diff_iou_rotated"]
    monkeypatch.setattr(module, "SortVertices", operators.SortVertices)
    boxes = torch.rand(2, 200, 5) * torch.tensor([10, 10, 20, 20, 3.0]) + 1
    found = ops.diff_iou_rotated_2d(boxes[:1], boxes[1:])[0]
    expected = ops.box_iou_rotated(boxes[0], boxes[1], aligned=True)
    assert torch.allclose(found, expected, atol=1e-4)
    boxes[..., 4] = 0  # the operator as well has corners twice then
    same = ops.diff_iou_rotated_2d(boxes[:1].round(), boxes[:1].round())[0]
    assert torch.allclose(same, torch.ones(200), atol=1e-4)
