"""Whether transforms move the ground truth with the image: seen on a ramp.

Equal inputs do not prove it, as a transform may move the image alone. So once before a
training the loaded image is replaced by one whose pixels are their own coordinates:
each corner of a box or polygon and each keypoint has to land on its own coordinates,
and so has each pixel of a label map.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from torch.utils.data import Dataset

from valloss_compat._config import kind_of
from valloss_compat._libraries.pipelines import COLOURS, TARGETS, packs
from valloss_compat._loss_forward.content import alike
from valloss_compat._loss_forward.isolation import RandomState, seed_all
from valloss_compat._loss_forward.two_views import copy_of, replace_pipelines
from valloss_compat.errors import Rejection

#: Pixels of the input by which a point may miss: transforms differ in whether a pixel
#: is a point or a square, and round scales.
_TOLERANCE = 2.0
#: Share of the pixels of a label map that have to agree: not those at its borders.
_AGREE = 0.9
#: Key of points -> their key behind the transforms, if there is one (mmpose).
_POINTS = {
    "gt_bboxes": "gt_bboxes",
    "gt_polygons": "gt_polygons",
    "keypoints": "transformed_keypoints",
}
_MAP = "gt_seg_map"
#: Seeds under which a transform that draws has to give one result.
_SEEDS = range(8)


class Seen(NamedTuple):
    """What a ramp showed for one sample."""

    rejection: Optional[Rejection]  #: Why the transforms are rejected.
    #: Whether there was a point, or a label map, to compare; None if samples have none.
    compared: Optional[bool]


class OnRamps(Dataset):
    """What ramps show of the samples of a dataset, by its transforms for the loss."""

    def __init__(self, dataset: Any, pipelines: Iterable[Sequence[Any]]) -> None:
        ramps = (partial(self._show, transforms) for transforms in pipelines)
        self._dataset = replace_pipelines(dataset, lambda _: next(ramps))
        self._seen: List[Seen] = []

    def __getitem__(self, index: int) -> Seen:
        self._seen.clear()
        with suppress(Exception):
            self._dataset[index]
        return self._seen[0] if self._seen else Seen(None, False)

    def _show(self, transforms: Sequence[Any], data: Any) -> None:
        self._seen.append(_shown(transforms, data))
        raise RuntimeError("what else the dataset does to the sample is not needed")


def _shown(transforms: Sequence[Any], data: Any) -> Seen:
    """Run transforms for the loss on the ramps of both axes."""
    try:
        with RandomState():
            seen, sample, drew = _run(transforms, copy_of(data), 0)
            for seed in _SEEDS if drew else ():
                seed_all(seed)
                again = _run(transforms, copy_of(data), 0)[1]
                if not alike(sample, again):
                    rejection = Rejection(
                        f"{', '.join(drew)} of the validation pipeline",
                        "random numbers change the sample, so that no two validations "
                        "have the same samples",
                        "remove it, or use a deterministic counterpart",
                    )
                    return Seen(rejection, None)
            if seen.compared and seen.rejection is None:
                seen, _, _ = _run(transforms, copy_of(data), 1)
            return seen
    except Exception:  # the sample itself raises it where it is loaded
        return Seen(None, False)


def _run(
    transforms: Sequence[Any], data: Any, axis: int
) -> Tuple[Seen, Any, List[str]]:
    """Run transforms on the ramp of one axis (0: x, 1: y).

    Return what was seen, the sample, and the transforms that drew random numbers.
    """
    points: Dict[str, Any] = {}
    sizes: Dict[str, Tuple[int, ...]] = {}
    drew: List[str] = []
    culprit, off, compared = "", 0.0, False
    _start(data, axis, sizes, points)
    for transform in transforms:
        if packs(transform):
            break
        if kind_of(transform) in TARGETS:
            continue
        kept = dict(data, img=np.copy(data["img"])) if "img" in sizes else data
        before = RandomState()
        data = transform(data)
        drew += [] if before.same() else [kind_of(transform)]
        if not isinstance(data, dict) or ("img" in sizes and "img" not in data):
            break
        _start(data, axis, sizes, points)
        if "img" in sizes:
            step, some = _distance(data, points, sizes["img"], axis)
            if step and _changes_colours_alone(transform, kept, data):
                data["img"] = kept["img"]
                step, some = _distance(data, points, sizes["img"], axis)
            compared = compared or some
            if some:  # boxes that are filtered are not comparable any more
                off, culprit = step, (culprit or kind_of(transform)) if step else ""
    has_any = bool(points) or _MAP in sizes
    rejection = Rejection(
        f"{culprit} of the validation pipeline",
        f"it leaves the ground truth {off:.0f} px from its place in the image, so that "
        "the loss would compare with a wrong place",
        "move the annotations with the image in this transform, or use "
        "ValLossHook(pipeline=[...]) with transforms that do",
    )
    seen = Seen(rejection if off else None, compared if has_any else None)
    return seen, data, drew


def _start(data: Any, axis: int, sizes: Any, points: Any) -> None:
    """Replace images and label maps that are new by ramps; note new points.

    The pixels of a ramp are their x (axis 0) or y (axis 1).
    """
    for name in ("img", _MAP):
        if name not in sizes and isinstance(data.get(name), np.ndarray):
            shape = data[name].shape
            sizes[name] = shape[:2]
            ramp = np.indices(shape[:2], dtype=np.float32)[1 - axis]
            ramp = ramp.reshape(*shape[:2], *[1] * (len(shape) - 2))
            data[name] = np.broadcast_to(ramp, shape).copy()
    for name in _POINTS:
        if name in data and name not in points:
            points[name] = points_of(data[name])


def _changes_colours_alone(transform: Any, before: Any, after: Any) -> bool:
    """Return whether a transform gives the same for a pixel, wherever it is."""
    image, result = before["img"], after["img"]
    if image.shape != np.shape(result):
        return False
    if kind_of(transform) in COLOURS:
        return True
    pixels = image.reshape(-1, *image.shape[2:])
    order = np.random.RandomState(0).permutation(len(pixels))
    shuffled = {**before, "img": pixels[order].reshape(image.shape)}
    found = np.reshape(transform(copy_of(shuffled))["img"], pixels.shape)
    return bool(np.array_equal(found, np.reshape(result, pixels.shape)[order]))


def points_of(value: Any) -> np.ndarray:
    """Return the points (N, 2) of boxes, polygons or keypoints; none of other forms."""
    if isinstance(value, (list, tuple)):  # polygons
        parts = [np.asarray(one, dtype=np.float64).reshape(-1, 2) for one in value]
        return np.concatenate(parts) if parts else np.zeros((0, 2))
    array = np.asarray(getattr(value, "tensor", value), dtype=np.float64)
    if array.ndim == 2 and array.shape[1] == 5:  # rotated boxes: their centres
        array = array[:, :2]
    if array.ndim < 2 or array.shape[-1] not in (2, 4, 8):
        return np.zeros((0, 2))
    return array.reshape(-1, 2)


def _distance(
    data: Any, points: Dict[str, Any], size: Tuple[int, ...], axis: int
) -> Tuple[float, bool]:
    """Return how far the ground truth of a sample is from where it belongs.

    ``points`` and ``size`` are those of the original image, and so are the pixels, 0
    within the tolerance. False: there was nothing to compare.
    """
    image = data["img"]
    if not isinstance(image, np.ndarray):
        return 0.0, False
    image = image if image.ndim == 2 else image[..., 0]
    change = np.abs(np.diff(image, axis=1 - axis))
    moving = change[change > 0]
    tolerance = _TOLERANCE * max(1.0, float(np.median(moving)) if moving.size else 1.0)
    worst, compared = 0.0, False
    for name, before in points.items():
        moved = _POINTS[name] if _POINTS[name] in data else name
        after = points_of(data.get(moved, ()))
        if len(after) != len(before):
            continue  # filtered
        limits, ends = np.array(size[::-1]), np.array(image.shape[::-1])
        # At the borders an image is mixed with its padding, and boxes are clipped.
        inside = (before > tolerance) & (before < limits - tolerance)
        inside &= (after > 1) & (after < ends - 1)
        kept = inside.all(axis=1)
        if kept.any():
            columns, rows = np.clip(after[kept].astype(int), 0, ends - 1).T
            found = image[rows, columns]
            worst = max(worst, float(np.abs(found - before[kept][:, axis]).max()))
            compared = True
    if isinstance(data.get(_MAP), np.ndarray):
        compared = True
        worst = max(worst, _map_distance(image, data[_MAP], tolerance, axis))
    return (worst if worst > tolerance else 0.0), compared


def _map_distance(image: Any, labels: Any, tolerance: float, axis: int) -> float:
    """Return how far a label map is from its image."""
    if labels.shape[:2] != image.shape:
        sides = np.subtract(labels.shape[:2], image.shape)
        return float(np.abs(sides).max()) + tolerance
    content = np.diff(image, axis=1 - axis, prepend=np.inf) > 0  # no padding
    far = np.abs(image - labels)[content]
    if not far.size or (far <= tolerance).mean() >= _AGREE:
        return 0.0
    return float(np.median(far)) + tolerance
