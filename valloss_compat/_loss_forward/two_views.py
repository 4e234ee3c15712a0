"""Two views of each validation sample: for predictions, and for the loss.

Validation pipelines of the OpenMMLab libraries move the image before they load the
annotations, because their metrics compare in the frame of the original image. A loss
compares in the frame of the input. So the worker runs the transforms of the validation
twice behind the loading of the image: as they are, and in the order of a training, with
the annotation loader right behind the image. The second data sample travels hidden in
the first.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import takewhile
from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple

from mmengine.dataset import Compose
from mmengine.registry import TRANSFORMS
from mmengine.structures import BaseDataElement
from torch.utils.data import Dataset

from valloss_compat._config import kind_of
from valloss_compat._libraries import pipelines
from valloss_compat._libraries.pipelines import TARGETS, loads, loads_annotations, packs
from valloss_compat._loss_forward.content import alike
from valloss_compat._loss_forward.isolation import RandomState, within
from valloss_compat.errors import Rejection

#: Where the second data sample is in the ``__dict__`` of the first: pickling and
#: collating keep it, but no method of a data element shows it.
_HIDDEN = "_valloss_compat_view"


class LossPipeline(NamedTuple):
    """Transforms that bring the ground truth into the frame of the input."""

    transforms: List[Any]  #: All of them, in order.
    shared: int  #: How many of the first are those of the validation.
    notes: List[str]  #: What they have that the validation has not, for the log.


def loss_pipeline(validation: List[Any], training: Sequence[Any]) -> LossPipeline:
    """Return the transforms of a validation in the order of a training.

    The annotation loader comes right behind the transforms that load the image: that
    of the training, with its flags, if there is one of that kind. Transforms of the
    training that only make targets come before the packing. These may be in a config.
    """
    notes: List[str] = []
    own = [one for one in validation if loads_annotations(one)]
    at = next((i for i, one in enumerate(training) if loads_annotations(one)), 0)
    loading = takewhile(loads_annotations, training[at:])
    loaders = [_own_or_built(one, validation, notes) for one in loading]
    kinds = set(map(kind_of, loaders))
    loaders += [one for one in own if kind_of(one) not in kinds]
    # What a training has among these stays behind the loader, wherever the validation
    # has it: boxes are converted before they are resized.
    follow = {kind_of(one) for one in training if loaders}
    follow &= set(pipelines.WITH_ANNOTATIONS)
    rest = [one for one in validation if not loads_annotations(one)]
    rest = [one for one in rest if kind_of(one) not in follow]
    # Whatever its name is, the last transform packs.
    end = max((i for i, one in enumerate(rest) if packs(one)), default=len(rest) - 1)
    # Whatever its name is, the first transform loads the image, unless a training
    # begins with the annotations, or there is nothing but the packing.
    in_memory = any(map(loads_annotations, training[:1]))
    loaded = int(end > 0 and rest[0] is validation[0] and not in_memory)
    before = {kind_of(one) for one in training[:at]}
    while loaded < end and (loads(rest[loaded]) or kind_of(rest[loaded]) in before):
        loaded += 1
    steps: List[Any] = [*rest[:loaded], *loaders]
    targets: List[Any] = []
    # Of each kind that the validation lacks, the first of the training.
    there = set(map(kind_of, rest))
    for one in training:
        kind = kind_of(one)
        if kind not in there and kind in (*follow, *TARGETS):
            there.add(kind)
            into = targets if kind in TARGETS else steps
            into.append(_own_or_built(one, validation, notes))
    for one in rest[loaded:end]:
        steps.append(one)
        if kind_of(one) in pipelines.IMAGE_ALONE:
            steps.append(pipelines.IMAGE_ALONE[kind_of(one)](one))
            notes.append(f"annotations moved by {kind_of(one)}")
    steps += targets
    steps += [_packing(one, training, notes) for one in rest[end:]]
    same = (one is other for one, other in zip(steps, validation))
    shared = sum(takewhile(bool, same))
    if shared < len(steps) and not notes:
        notes.append(f"{', '.join(map(kind_of, own))} right behind the image")
    return LossPipeline(steps, shared, notes)


def _built(transform: Any) -> Any:
    if isinstance(transform, Mapping):
        return TRANSFORMS.build(copy.deepcopy(transform))
    return transform


def _own_or_built(transform: Any, validation: List[Any], notes: List[str]) -> Any:
    """Return a transform of the training, or its equal of the validation."""
    transform = _built(transform)
    for own in validation:
        if alike(own, transform):
            return own
    notes.append(f"{kind_of(transform)} of the training")
    return transform


def _packing(own: Any, training: Sequence[Any], notes: List[str]) -> Any:
    """Return a packing transform that packs what that of the training packs.

    That of the training, with the metainfo of the validation, if it is of another
    class; else its own, with all ``keys`` of both.
    """
    other = _built(next((one for one in reversed(training) if packs(one)), None))
    if other is None or not packs(own):
        return own
    if type(other) is not type(own):
        notes.append(f"{kind_of(other)} of the training")
        if hasattr(own, "meta_keys"):
            other = copy.copy(other)
            other.meta_keys = own.meta_keys
        return other
    keys: Any = getattr(own, "keys", None)
    if isinstance(keys, (list, tuple)):
        more = [one for one in other.keys if one not in keys]
        if more:
            notes.append(f"{kind_of(own)} with {', '.join(more)}")
            own = copy.copy(own)
            own.keys = [*keys, *more]
    return own


class TwoViews(Compose):
    """The transforms of a validation, as built, and the same for the loss."""

    def __init__(self, validation: List[Any], loss: LossPipeline) -> None:
        super().__init__(validation)
        self._kinds = ", ".join(map(kind_of, loss.transforms))
        self._load = Compose(validation[: loss.shared])
        self._first = Compose(validation[loss.shared :])
        self._second = Compose(loss.transforms[loss.shared :])

    def __call__(self, data: Any) -> Any:
        """Return the first view, with the data sample of the second hidden in it."""
        loaded = self._load(data)
        if loaded is None:
            return None
        # What draws draws the same.
        second = within([RandomState()], lambda: self._view(loaded))
        first = self._first(loaded)
        sample = _sample_of(first)
        if sample is not None:
            vars(sample)[_HIDDEN] = _checked(first, second)
        return first

    def _view(self, loaded: Any) -> Any:
        """Return the second view of a copy of a sample, or why there is none."""
        try:
            second = self._second(copy_of(loaded))
            if _sample_of(second) is not None:
                return second
            kind = type(second).__name__
            raise TypeError(f"the result is a {kind} without data_samples")
        except Exception as error:  # the sample is good for predictions
            return Rejection(
                "a validation sample",
                f"its transforms in the order of a training ({self._kinds}) raised "
                f"{type(error).__name__}: {error}",
                "correct these transforms or their data, or use "
                "ValLossHook(pipeline=[...]) with others for the loss",
            )


def _sample_of(packed: Any) -> Any:
    sample = packed.get("data_samples") if isinstance(packed, dict) else None
    return sample if isinstance(sample, BaseDataElement) else None


def copy_of(data: Dict[str, Any]) -> Dict[str, Any]:
    """Copy what transforms write into; not a dataset, which mmpose has in there."""
    shared = {id(v): v for v in data.values() if isinstance(v, Dataset)}
    data = copy.deepcopy(data, shared)
    for other, name in pipelines.RENAMED.items():
        if other in data:
            data.setdefault(name, data[other])
    return data


def _checked(first: Any, second: Any) -> Any:
    """Return the data sample of the second view, if its input is that of the first."""
    if isinstance(second, Rejection):
        return second
    sample, other = second["data_samples"], first["data_samples"]
    different = [] if alike(first.get("inputs"), second.get("inputs")) else ["inputs"]
    for name in set(sample.metainfo_keys()) & set(other.metainfo_keys()):
        if not alike(getattr(sample, name), getattr(other, name)):
            different.append(name)
    if not different:
        return sample
    return Rejection(
        "the validation pipeline",
        f"in the order of a training it returns other {', '.join(different)}, so that "
        "the loss would be that of another input",
        "use ValLossHook(pipeline=[...]) with transforms that return the inputs of the "
        "validation with the annotations for the loss",
    )


def split(batch: Any) -> Tuple[Any, List[Any]]:
    """Remove the second views from a batch, as a data loader gave it.

    Return the batch with those in place of its data samples, which shares the rest; and
    the views: of each data sample a data element, a :class:`Rejection`, or None.
    """
    views: List[Any] = []

    def replaced(value: Any) -> Any:
        if isinstance(value, BaseDataElement):
            views.append(vars(value).pop(_HIDDEN, None))
            return views[-1]
        if isinstance(value, dict):
            return {key: replaced(inner) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            inner = [replaced(one) for one in value]
            return inner if isinstance(value, list) else tuple(inner)
        return value

    return replaced(batch), views


def replace_pipelines(dataset: Any, make: Callable[[List[Any]], Any]) -> Any:
    """Return a copy of a dataset with pipelines that are made for its transforms.

    The copy is shallow: a training may share the dataset, and its annotations may be
    large. Of nested datasets, the outermost one with transforms packs the samples.
    """
    # Not by getattr or copy: a dataset may hand attributes on to the one within.
    own = getattr(dataset, "__dict__", None)
    if own is None:
        return dataset
    kind: Any = type(dataset)
    new = kind.__new__(kind)
    vars(new).update(own)
    transforms = pipelines.transforms_of(own)
    if transforms:
        vars(new)["pipeline"] = make(transforms)
        return new
    for name in ("dataset", "datasets"):
        inner = own.get(name)
        if isinstance(inner, (list, tuple)):
            vars(new)[name] = [replace_pipelines(one, make) for one in inner]
        elif isinstance(inner, Dataset):
            vars(new)[name] = replace_pipelines(inner, make)
    return new
