"""What plain data holds, put back into the objects that it was in."""

from __future__ import annotations

import random
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
import torch
from torch import nn

from loss_forward.models import hook, make_runner
from valloss_compat._loss_forward import content
from valloss_compat._loss_forward.guard import ModelState
from valloss_compat._loss_forward.snapshot import Attributes, alike


def _equal():
    """Twice the same, in objects of their own."""
    return {
        "shape": torch.ones(2, 3).shape,
        "device": torch.device("cpu"),
        "number": np.float32(0.5),
        "NaN": np.float64("nan"),
        "slice": slice(0, 10000),
        "ordered": OrderedDict(a=[1.5]),
        "default": defaultdict(list, a=[1.5]),
        "shapes": [(torch.ones(2).shape, np.arange(3)), {"a": {1.5}}],
        "tensors": [torch.ones(2), {"a": torch.tensor([float("nan")])}],
    }


@pytest.mark.parametrize("name", list(_equal()))
def test_an_equal_object_is_no_change(name):
    """As ``self.input_shape = x.shape`` makes one in each forward."""
    module = nn.Module()
    module.thing = was = _equal()[name]
    before = Attributes(module)
    module.thing = _equal()[name]
    assert before.restore() == []
    assert module.thing is was


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (torch.Size([1, 2]), torch.Size([2, 1])),
        (torch.Size([1, 2]), (1, 2)),
        (np.float32(1), np.float32(2)),
        (np.float32(1), np.float64(1)),
        (slice(0, 1), slice(0, 2)),
        (OrderedDict(a=1, b=2), OrderedDict(b=2, a=1)),
        (OrderedDict(a=1), {"a": 1}),
        (defaultdict(int, a=1), defaultdict(int, a=2)),
        ([1, [2]], [1, [3]]),
        ([object()], [object()]),
        (np.array([[1], 2], dtype=object), np.array([[1], 2], dtype=object)),
        (torch.eye(2).to_sparse(), torch.eye(2).to_sparse()),
    ],
)
def test_what_differs_or_cannot_be_compared_is_not_alike(one, other):
    """Both ways round; each is like itself."""
    assert not alike(one, other)
    assert not alike(other, one)
    assert alike(one, one)
    assert alike(other, other)


def ring(*items):
    """Return a list that holds items, and itself."""
    made = list(items)
    made.append(made)
    return made


def test_lists_that_hold_themselves_are_alike_or_not():
    """They are compared as far as there is something new in them."""
    assert alike(ring(1), ring(1))
    assert not alike(ring(1), ring(2))
    assert not alike(ring(), ring(1))


def test_what_is_deep_or_in_many_places_is_compared():
    """Deeper than Python calls; and each pair once, of which there are 2 ** 60 ways."""
    deep, wide = [[], []], [[], []]
    for which in (0, 1):
        for _ in range(5000):
            deep[which] = [deep[which]]
        for _ in range(60):
            wide[which] = [wide[which], wide[which]]
    assert alike(*deep)
    assert alike(*wide)
    assert not alike([deep[0]], deep[1])


RINGS = """
import gc

from valloss_compat._loss_forward.snapshot import alike

one, other = [], []
one.append(one)
other.append(other)
gc.callbacks.append(lambda phase, info: None)
gc.set_threshold(1)
print(str(alike(one, other)).lower())
"""


def test_comparing_rings_survives_callbacks_of_the_garbage_collector(nursery):
    """Until Python 3.8 it aborted: "Cannot recover from stack overflow"."""
    assert nursery.run(RINGS).json() is True


def test_an_equal_buffer_is_no_change(tmp_path, changing):
    """``self.count = self.count * 1``: the buffer that it was is put back."""
    model = changing(lambda head: setattr(head, "count", head.count * 1))
    buffer = model.head.count
    runner = make_runner(tmp_path, hook(strategy="second_forward"), model=model)
    assert runner.val()["val_loss"] > 0
    assert model.head.count is buffer


def test_what_is_in_two_places_stays_one():
    """A tensor in a list, of which there is a name as well; an item replaced."""
    module = nn.Module()
    module.one, module.array = torch.ones(2), np.ones(2)
    module.levels = [module.one, {"a": module.array}, 1]
    module.register_buffer("count", torch.ones(2))
    module.counts = [module.count]
    before = Attributes(module)
    module.one.add_(1)
    module.array += 1
    module.levels[0] = torch.zeros(2)
    module.levels.append(2)
    module.count.add_(1)
    assert before.restore() == ["one", "array", "levels", "counts"]
    assert module.levels[0] is module.one
    assert module.levels[1]["a"] is module.array
    assert module.counts[0] is module.count
    assert module.one.tolist() == module.array.tolist() == [1.0, 1.0]
    assert module.levels[2:] == [1]
    assert module.count.tolist() == [1.0, 1.0]


def test_arrays_in_lists_and_dicts_are_replaced_where_they_must_be():
    """An array that has another shape now has no way back; its copy takes its place."""
    module, array, other = nn.Module(), np.arange(4.0), np.arange(4.0)
    module.items, module.named = [array, 1], OrderedDict(a=other, b=1)
    held = (module.items, module.named)
    before = Attributes(module)
    array.resize((2, 2), refcheck=False)
    other.resize((2, 2), refcheck=False)
    assert before.restore() == ["items", "named"]
    assert (module.items, module.named) == held
    assert module.items[0].shape == module.named["a"].shape == (4,)
    assert list(module.named) == ["a", "b"]


@pytest.mark.parametrize("array", [[[1, 2], [3]], [(1, "a")]])
def test_an_array_of_objects_is_let_be(array):
    """Its bytes are addresses, or have gaps."""
    kind = object if isinstance(array[0], list) else np.dtype("i1,U1", align=True)
    module = nn.Module()
    module.thing = thing = np.array(array, dtype=kind)
    assert Attributes(module).restore() == []
    assert module.thing is thing


def test_what_everybody_draws_from_is_let_be():
    """Their state belongs to the run, and is put back as such."""
    shared = (
        np.random.rand.__self__,
        random.random.__self__,
        torch.default_generator,
    )
    module = nn.Module()
    module.generators = list(shared)
    before = Attributes(module)
    drawn = [np.random.rand(), random.random(), float(torch.rand(1))]
    assert before.restore() == []
    again = [np.random.rand(), random.random(), float(torch.rand(1))]
    assert drawn != again
    assert [content.access(one) for one in shared] == [None] * 3


def test_what_cannot_be_written_into_is_replaced():
    """A read-only view, of an array that the loss wrote into; an expanded tensor."""
    module, base, one = nn.Module(), np.ones(2), torch.ones(1)
    module.view = base.view()
    module.view.flags.writeable = False
    module.wide = one.expand(3)
    module.register_buffer("expanded", one.expand(2))
    before = ModelState(module, whole=True)
    base += 1
    one.add_(1)
    assert before.restore() == (["view", "wide"], ["expanded"], [])
    assert module.view.tolist() == [1.0, 1.0]
    assert module.wide.tolist() == [1.0, 1.0, 1.0]
    assert module.expanded.tolist() == [1.0, 1.0]


def test_what_has_another_shape_or_type_has_its_own_again():
    """A buffer, a parameter and an attribute, changed through ``.data``."""
    module = nn.Linear(2, 1, bias=False)
    module.register_buffer("count", torch.ones(2))
    module.plain = torch.ones(2)
    weight = module.weight.tolist()
    before = ModelState(module, whole=True)
    module.count.data = torch.zeros(3)
    module.weight.data = torch.zeros(1, 2, dtype=torch.float64)
    module.plain.data = torch.zeros(1)
    assert before.restore() == (["plain"], ["count", "weight"], [])
    assert before.wrote
    assert module.count.tolist() == module.plain.tolist() == [1.0, 1.0]
    assert module.weight.tolist() == weight
    assert module.weight.dtype is torch.float32


def test_a_view_of_a_buffer_stays_its_view():
    """Whichever of the two comes first; it is right with the buffer."""
    module = nn.Module()
    scale = torch.ones(1)
    module.wide = scale.expand(3)
    module.levels = [scale]
    module.register_buffer("expanded", scale.expand(2))
    module.register_buffer("scale", scale)
    before = ModelState(module, whole=True)
    scale.mul_(2)
    assert before.restore() == ([], ["expanded", "scale"], [])
    scale.mul_(3)
    for thing in (module.wide, module.expanded, module.scale, *module.levels):
        assert set(thing.tolist()) == {3.0}


@pytest.mark.parametrize("change", ["count", "flag", "gradient", "nothing"])
def test_only_what_is_written_into_parameters_is_said_to_be(change):
    """A buffer, a flag or a gradient is no reason to copy all of them each time."""
    module = nn.Linear(1, 1)
    module.register_buffer("count", torch.ones(1))
    before = ModelState(module, whole=True)
    if change == "count":
        module.count += 1
    elif change == "flag":
        module.weight.requires_grad_(False)
    elif change == "gradient":
        module.weight.sum().backward()
    assert len(before.restore().tensors) == (change != "nothing")
    assert not before.wrote
