"""Operators of models in space that mmcv compiles for CUDA alone, in plain torch.

Those of clouds of points, and of convolutions on the voxels of which some are empty.
"""

from __future__ import annotations

import sys
from typing import Any, Callable

import torch
from mmcv.ops import nms_rotated, points_in_boxes_cpu


@torch.no_grad()
def get_indice_pairs(
    indices: Any,
    batch_size: int,
    spatial_shape: Any,
    ksize: Any = 3,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    out_padding: Any = 0,
    subm: bool = False,
    transpose: bool = False,
    grid: Any = None,
) -> Any:
    """Which input meets which output at each weight of a sparse convolution."""
    if transpose:
        raise NotImplementedError("no config of a library has a transposed one")
    axes = indices.shape[1] - 1
    shape, kernel, step, pad, gap = (
        torch.as_tensor(value).expand(axes)
        for value in (spatial_shape, ksize, stride, padding, dilation)
    )
    if subm:
        step, pad = torch.ones_like(step), kernel // 2
    else:
        shape = (shape + 2 * pad - gap * (kernel - 1) - 1) // step + 1
    weights = torch.cartesian_prod(*[torch.arange(int(n)) for n in kernel])
    places = indices.long()
    moved = places[:, 1:] + pad - (weights * gap)[:, None]
    there = moved.div(step, rounding_mode="floor")
    meets = ((moved % step == 0) & (there >= 0) & (there < shape)).all(-1)
    keys = _keys(places[:, 0].expand(len(weights), -1), there, shape)
    if subm:  # the outputs are where the inputs are
        known, order = _keys(places[:, 0], places[:, 1:], shape).sort()
        spot = torch.searchsorted(known, keys).clamp(max=len(known) - 1)
        meets &= known[spot] == keys
        outputs, number = indices, order[spot]
    else:
        found, position = keys[meets].unique(return_inverse=True)
        outputs = _places(found, shape).to(indices)
        number = torch.zeros_like(keys).masked_scatter_(meets, position)
    pairs = torch.full((len(weights), 2, len(indices)), -1)
    for row, (mask, to) in enumerate(zip(meets, number)):
        of = mask.nonzero()[:, 0]
        pairs[row, :, : len(of)] = torch.stack([of, to[mask]])
    return outputs, pairs, meets.sum(1)


def _keys(sample: Any, place: Any, shape: Any) -> Any:
    """A number for each voxel."""
    for axis, size in enumerate(shape.tolist()):
        sample = sample * size + place[..., axis]
    return sample


def _places(keys: Any, shape: Any) -> Any:
    """The sample and the place of voxels from their numbers."""
    columns = []
    for size in reversed(shape.tolist()):
        columns.append(keys % size)
        keys = keys // size
    return torch.stack([keys, *reversed(columns)], 1)


def indice_conv(
    features: Any, filters: Any, indice_pairs: Any, indice_pair_num: Any, size: int
) -> Any:
    """A sparse convolution: the sum over the weights of what meets there."""
    weights = filters.reshape(-1, *filters.shape[-2:])
    found = features.new_zeros(size, weights.shape[-1])
    for weight, (of, to), count in zip(weights, indice_pairs, indice_pair_num.tolist()):
        met = features[of[:count]] @ weight
        found.index_add_(0, to[:count], met)
    return found


def indice_inverse_conv(
    features: Any, filters: Any, indice_pairs: Any, indice_pair_num: Any, size: int
) -> Any:
    """One from the outputs of another to its inputs."""
    back = indice_pairs.flip(1)
    return indice_conv(features, filters, back, indice_pair_num, size)


def indice_maxpool(
    features: Any, indice_pairs: Any, indice_pair_num: Any, size: int
) -> Any:
    """The maximum of what meets at each output, and of zero."""
    met = torch.arange(indice_pairs.shape[2]) < indice_pair_num[:, None]
    of, to = indice_pairs[:, 0][met], indice_pairs[:, 1][met]
    index = to[:, None].expand(-1, features.shape[1])
    found = features.new_zeros(size, features.shape[1])
    return found.scatter_reduce(0, index, features[of], "amax")


def dynamic_scatter(
    features: Any, places: Any, reduce: str = "max", return_map: bool = False
) -> Any:
    """The mean or maximum of the points of each voxel; some points are in none."""
    inside = (places >= 0).all(1)
    voxels, number = places[inside].unique(dim=0, return_inverse=True)
    index = number[:, None].expand(-1, features.shape[1])
    found = features.new_zeros(len(voxels), features.shape[1])
    name = {"max": "amax"}.get(reduce, reduce)
    scattered = found.scatter_reduce(
        0, index, features[inside], name, include_self=False
    )
    if not return_map:
        return scattered, voxels
    of = number.new_full(inside.shape, -1).masked_scatter(inside, number)
    return scattered, voxels, of.int()


@torch.no_grad()
def furthest_point_sample(points: Any, number: int) -> Any:
    """Points that are far from each other, from the first one on."""

    def distance(last: Any) -> Any:
        place = points.gather(1, last[:, None, None].expand(-1, 1, points.shape[2]))
        return (points - place).pow(2).sum(-1)

    return _furthest(points, number, distance)


@torch.no_grad()
def furthest_point_sample_with_dist(distances: Any, number: int) -> Any:
    """The same of a table of distances."""

    def distance(last: Any) -> Any:
        return distances[torch.arange(len(last)), last]

    return _furthest(distances, number, distance)


def _furthest(points: Any, number: int, distance: Callable[[Any], Any]) -> Any:
    nearest = points.new_full(points.shape[:2], float("inf"))
    chosen = [torch.zeros(len(points), dtype=torch.long)]
    while len(chosen) < number:
        nearest = torch.minimum(nearest, distance(chosen[-1]))
        chosen.append(nearest.argmax(1))
    return torch.stack(chosen, 1).int()


@torch.no_grad()
def ball_query(
    min_radius: float, max_radius: float, number: int, points: Any, centers: Any
) -> Any:
    """The first points within a distance of each center, the first one repeated."""
    found = torch.zeros(*centers.shape[:2], number, dtype=torch.int32)
    for row, one, own in zip(found, points, centers):
        distance = _distance(own, one)
        inside = (distance >= min_radius) & (distance < max_radius) | (distance == 0)
        rank = inside.int().cumsum(1)
        row[:] = inside.int().argmax(1, keepdim=True)
        ball, index = (inside & (rank <= number)).nonzero(as_tuple=True)
        row[ball, rank[ball, index].long() - 1] = index.int()
    return found


@torch.no_grad()
def knn(number: int, points: Any, centers: Any = None, transposed: bool = False) -> Any:
    """The points that are next to each center."""
    centers = points if centers is None else centers
    if transposed:
        points, centers = points.transpose(1, 2), centers.transpose(1, 2)
    nearest = _distance(centers, points).topk(number, largest=False)
    return nearest.indices.transpose(1, 2).contiguous().int()


@torch.no_grad()
def three_nn(points: Any, known: Any) -> Any:
    """The three known points that are next to each point."""
    nearest = _distance(points, known).topk(3, largest=False)
    return nearest.values, nearest.indices.int()


def _distance(first: Any, second: Any) -> Any:
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")


def gather_points(features: Any, indices: Any) -> Any:
    """The features of some points."""
    index = indices.long()[:, None].expand(-1, features.shape[1], -1)
    return features.gather(2, index)


def grouping_operation(features: Any, indices: Any) -> Any:
    """The features of some points around each of others."""
    found = gather_points(features, indices.flatten(1))
    return found.view(*found.shape[:2], *indices.shape[1:])


def three_interpolate(features: Any, indices: Any, weight: Any) -> Any:
    """A weighted sum of the features of three points each."""
    return (grouping_operation(features, indices) * weight[:, None]).sum(-1)


def points_in_boxes_part(points: Any, boxes: Any) -> Any:
    """The first box that each point is in, or -1."""
    inside = points_in_boxes_cpu(points, boxes)
    if not boxes.shape[1]:
        return inside.new_full(inside.shape[:2], -1)
    return inside.argmax(-1).int().masked_fill(~inside.any(-1), -1)


class RoIAwarePool3d:
    """The mean or maximum of the points of each part of boxes, and zeros of others."""

    @staticmethod
    def apply(
        boxes: Any, points: Any, features: Any, size: Any, most: int, mean: int
    ) -> Any:
        """Pool the features of fewer than ``most`` points of a part, the first ones."""
        shape = torch.as_tensor(size).expand(3)
        inside = points_in_boxes_cpu(points[None], boxes[None])[0]
        point, box = inside.nonzero(as_tuple=True)
        own = boxes[box]
        moved, angle = points[point] - own[:, :3], own[:, 6]
        along = moved[:, 0] * angle.cos() + moved[:, 1] * angle.sin()
        across = moved[:, 1] * angle.cos() - moved[:, 0] * angle.sin()
        place = torch.stack([along, across, moved[:, 2]], 1)
        place = (place / own[:, 3:6] + place.new_tensor([0.5, 0.5, 0])) * shape
        part = _keys(box, torch.minimum(place.long().clamp(min=0), shape - 1), shape)
        part, order = part.sort(stable=True)
        first = torch.searchsorted(part, part)
        few = torch.arange(len(part)) - first < most - 1
        index = part[few, None].expand(-1, features.shape[1])
        found = features.new_zeros(len(boxes) * int(shape.prod()), features.shape[1])
        values, name = features[point[order[few]]], "mean" if mean else "amax"
        pooled = found.scatter_reduce(0, index, values, name, include_self=False)
        return pooled.view(len(boxes), *shape.tolist(), -1)


def nms3d(boxes: Any, scores: Any, iou_threshold: float) -> Any:
    """Boxes of the highest scores that do not overlap, seen from above."""
    if not len(boxes):
        return scores.new_zeros(0, dtype=torch.long)
    return nms_rotated(boxes[:, [0, 1, 3, 4, 6]], scores, iou_threshold)[1]


#: Module of mmcv, name in it, what stands in.
OPERATORS = (
    ("ball_query", "ball_query", ball_query),
    ("furthest_point_sample", "furthest_point_sample", furthest_point_sample),
    (
        "furthest_point_sample",
        "furthest_point_sample_with_dist",
        furthest_point_sample_with_dist,
    ),
    ("gather_points", "gather_points", gather_points),
    ("group_points", "grouping_operation", grouping_operation),
    ("iou3d", "nms3d", nms3d),
    ("knn", "knn", knn),
    ("points_in_boxes", "points_in_boxes_all", points_in_boxes_cpu),
    ("points_in_boxes", "points_in_boxes_part", points_in_boxes_part),
    ("roiaware_pool3d", "RoIAwarePool3dFunction", RoIAwarePool3d),
    ("scatter_points", "dynamic_scatter", dynamic_scatter),
    ("sparse_functional", "indice_conv", indice_conv),
    ("sparse_functional", "indice_inverse_conv", indice_inverse_conv),
    ("sparse_functional", "indice_maxpool", indice_maxpool),
    ("sparse_functional", "indice_subm_conv", indice_conv),
    ("sparse_ops", "get_indice_pairs", get_indice_pairs),
    ("three_interpolate", "three_interpolate", three_interpolate),
    ("three_nn", "three_nn", three_nn),
)


def stand_in_mmdet3d() -> None:
    """Have mmdet3d call one of which it has its own."""
    for name in ("voxelize", "data_preprocessor"):
        module = sys.modules[f"mmdet3d.models.data_preprocessors.{name}"]
        module.dynamic_scatter_3d = dynamic_scatter
