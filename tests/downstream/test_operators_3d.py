"""The operators in space that stand in for those of CUDA, next to dense ones."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("mmcv.ops")

import torch
from mmcv import ops
from torch.nn import functional

from downstream.sweep import operators, operators_3d

SHAPE = (5, 6, 7)


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    operators.stand_in(monkeypatch.setattr)


def voxels() -> ops.SparseConvTensor:
    places = (torch.rand(2, *SHAPE) > 0.7).nonzero().int()
    features = torch.randn(len(places), 3)
    return ops.SparseConvTensor(features, places, SHAPE, 2)


def dense_weight(layer: torch.nn.Module) -> torch.Tensor:
    return layer.weight.permute(4, 3, 0, 1, 2)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"),
    [(3, 2, 1, 1), ((3, 1, 1), (2, 1, 1), 0, 1), (2, 2, 0, 1), (3, 1, 2, 2)],
)
def test_sparse_convolution_is_a_dense_one(kernel, stride, padding, dilation) -> None:
    layer = ops.SparseConv3d(3, 4, kernel, stride, padding, dilation, bias=False)
    sparse = voxels()
    expected = functional.conv3d(
        sparse.dense(), dense_weight(layer), None, stride, padding, dilation
    )
    found = layer(sparse)
    assert torch.allclose(found.dense(), expected, atol=1e-5)
    found.features.sum().backward()
    assert layer.weight.grad.abs().sum() > 0


def test_submanifold_convolution_is_a_dense_one_where_the_inputs_are() -> None:
    layer = ops.SubMConv3d(3, 4, 3, bias=False)
    sparse = voxels()
    expected = functional.conv3d(sparse.dense(), dense_weight(layer), None, 1, 1)
    found = layer(sparse)
    assert torch.equal(found.indices, sparse.indices)
    sample, *place = sparse.indices.long().T
    there = expected[(sample, slice(None), *place)]
    assert torch.allclose(found.features, there, atol=1e-5)


def test_inverse_convolution_goes_back_to_the_inputs() -> None:
    sparse = voxels()
    down = ops.SparseConv3d(3, 4, 3, 2, 1, bias=False, indice_key="a")
    up = ops.SparseInverseConv3d(4, 2, 3, indice_key="a", bias=False)
    below = down(sparse)
    found = up(below)
    assert torch.equal(found.indices, sparse.indices)
    weight = up.weight.permute(3, 4, 0, 1, 2)
    expected = functional.conv_transpose3d(
        below.dense(), weight, stride=2, padding=1, output_padding=(0, 1, 0)
    )
    sample, *place = sparse.indices.long().T
    there = expected[(sample, slice(None), *place)]
    assert torch.allclose(found.features, there, atol=1e-5)


def test_sparse_maximum_is_a_dense_one() -> None:
    sparse = voxels()
    expected = functional.max_pool3d(sparse.dense(), 2, 2)
    found = ops.SparseMaxPool3d(2, 2)(sparse).dense()
    assert torch.equal(found, expected.clamp(min=0))


@pytest.mark.parametrize("mean", [True, False])
def test_points_of_a_voxel_are_reduced(mean: bool) -> None:
    points = torch.tensor([[1.0, 5], [3, 1], [7, 7], [-2, -4]])
    places = torch.tensor([[0, 2, 1], [0, 2, 1], [-1, -1, -1], [0, 0, 3]]).int()
    found, voxels = ops.DynamicScatter([1] * 3, [0] * 6, mean)(points, places)
    assert voxels.tolist() == [[0, 0, 3], [0, 2, 1]]
    assert found.tolist() == [[-2, -4], [2, 3] if mean else [3, 5]]
    reduce = "mean" if mean else "max"
    _, _, of = operators_3d.dynamic_scatter(points, places, reduce, return_map=True)
    assert of.tolist() == [1, 1, -1, 0]


def test_points_far_from_each_other() -> None:
    line = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [9, 0, 0], [4, 0, 0]]])
    assert operators_3d.furthest_point_sample(line, 3).tolist() == [[0, 2, 3]]
    table = torch.cdist(line, line)
    found = operators_3d.furthest_point_sample_with_dist(table, 3)
    assert found.tolist() == [[0, 2, 3]]


def test_points_around_a_center() -> None:
    line = torch.tensor([[[5.0, 0, 0], [1, 0, 0], [9, 0, 0], [1.5, 0, 0], [2, 0, 0]]])
    centers = torch.tensor([[[1.0, 0, 0], [20, 0, 0]]])
    found = operators_3d.ball_query(0, 4.5, 2, line, centers)
    assert found.tolist() == [[[0, 1], [0, 0]]]
    found = operators_3d.ball_query(0.7, 2, 3, line, centers)
    assert found.tolist() == [[[1, 4, 1], [0, 0, 0]]]
    assert operators_3d.knn(2, line, centers).tolist() == [[[1, 2], [3, 0]]]
    turned = line.transpose(1, 2), centers.transpose(1, 2)
    assert operators_3d.knn(2, *turned, True).tolist() == [[[1, 2], [3, 0]]]
    distance, index = operators_3d.three_nn(centers, line)
    assert index.tolist() == [[[1, 3, 4], [2, 0, 4]]]
    assert distance.tolist() == [[[0, 0.5, 1], [11, 15, 18]]]


def test_features_of_points_around_others() -> None:
    features = torch.randn(2, 3, 5)
    index = torch.randint(0, 5, (2, 4, 3)).int()
    found = operators_3d.grouping_operation(features, index)
    for sample, row, number in [(0, 3, 2), (1, 0, 1)]:
        own = features[sample, :, index[sample, row, number]]
        assert torch.equal(found[sample, :, row, number], own)
    weight = torch.rand(2, 4, 3)
    blended = operators_3d.three_interpolate(features, index, weight)
    expected = torch.einsum("bcns,bns->bcn", found, weight)
    assert torch.allclose(blended, expected)


def test_points_of_the_parts_of_a_box() -> None:
    # The second box is turned: its length of 4 goes along the second axis.
    turned = [10, 0, 0, 4, 2, 2, math.pi / 2]
    boxes = torch.tensor([[0, 0, 0, 4.0, 2, 2, 0], turned])
    points = torch.tensor(
        [[-1, 0, 0.5], [-1, 0.1, 0.6], [1, 0, 1.5], [10, 1, 0.5], [10, -1, 0.5]]
    )
    features = torch.tensor([[1.0], [5], [-2], [7], [9]], requires_grad=True)
    pool = ops.RoIAwarePool3d((2, 1, 2))
    found = pool(boxes, points, features)
    assert found.flatten(1).tolist() == [[5, 0, 0, -2], [9, 0, 7, 0]]
    found.sum().backward()
    assert features.grad.tolist() == [[0], [1], [1], [1], [1]]
    pool = ops.RoIAwarePool3d((2, 1, 2), mode="avg")
    assert pool(boxes, points, features)[0].flatten().tolist() == [3, 0, 0, -2]
    pool = ops.RoIAwarePool3d((2, 1, 2), max_pts_per_voxel=2)
    assert pool(boxes, points, features)[0].flatten().tolist() == [1, 0, 0, -2]
    assert not pool(boxes, points + 100, features).any()


def test_points_in_boxes_and_boxes_that_overlap() -> None:
    boxes = torch.tensor([[[0, 0, 0, 2, 2, 2, 0.0], [0.2, 0, 0, 2, 2, 2, 0]]])
    points = torch.tensor([[[0, 0, 1.0], [1.1, 0, 1], [5, 5, 5]]])
    assert operators_3d.points_in_boxes_part(points, boxes).tolist() == [[0, 1, -1]]
    none = operators_3d.points_in_boxes_part(points, boxes[:, :0])
    assert none.tolist() == [[-1, -1, -1]]
    scores = torch.tensor([0.3, 0.4])
    assert operators_3d.nms3d(boxes[0], scores, 0.5).tolist() == [1]
    assert operators_3d.nms3d(boxes[0], scores, 0.9).tolist() == [1, 0]
    assert operators_3d.nms3d(boxes[0, :0], scores[:0], 0.9).tolist() == []
