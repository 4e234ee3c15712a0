"""Comparing what modules get, return and hold."""

from __future__ import annotations

import collections
import random

import numpy as np
import pytest
import torch
from torch import nn

from valloss_compat._loss_forward.content import (
    alike,
    checksum,
    version_of,
)

pytestmark = pytest.mark.slow  # asks little of mmengine

NAN = float("nan")


class Plain:
    """Holds one thing."""

    def __init__(self, thing):
        self.thing = thing

    def method(self):
        return self.thing


class Slotted:
    __slots__ = ("thing",)


class Names(set):
    """A set with attributes."""


def meta():
    """Return a tensor without data; torch 1.6 and 1.7 have none."""
    try:
        return torch.empty(2, device="meta")
    except (RuntimeError, NotImplementedError):
        pytest.skip("this torch has no meta device")


def function(x):
    return x


def closure(x):
    return lambda: x


def _equal():
    """Return the same, in objects of their own each time."""
    return {
        "numbers": [1, float("2.5"), NAN, None, True, "a", b"a", 1j],
        "shape": torch.ones(2, 3).shape,
        "numpy": [np.float32(0.5), np.float64("nan"), np.arange(3), np.ones((2, 2))],
        "set": {1, 2},
        "slice": slice(0, 10000),
        "dicts": [{"a": [1.5]}, collections.OrderedDict(a=1), collections.Counter("a")],
        "deque": collections.deque([1, torch.ones(2)]),
        "tensors": [torch.ones(2), {"a": torch.tensor([NAN, 1.0])}, torch.ones(0)],
        "complex": torch.tensor([complex(NAN, 1), 1j]),
        "unknown to numpy": torch.tensor([NAN, 1.0], dtype=torch.bfloat16),
        "of a graph": torch.ones(2, requires_grad=True) * 2,
        "object": Plain([1, Plain(2)]),
        "method": Plain(1).method,
        "functions": [function, closure(1), len, torch.relu],
        "modules": nn.Linear(1, 1),
        "types": [int, Plain],
        "generators": [
            torch.Generator().manual_seed(1),
            np.random.RandomState(1),
            random.Random(1),
            getattr(np.random, "default_rng", lambda seed: None)(1),
        ],
    }


@pytest.mark.parametrize("name", list(_equal()))
def test_equal_values_in_objects_of_their_own_are_alike(name):
    assert alike(_equal()[name], _equal()[name])


NUMPY = getattr(np.random, "default_rng", np.random.RandomState)
DIFFERENT = [
    (1, 2),
    (1, 1.0),
    (True, 1),
    (NAN, 1.0),
    ("a", "b"),
    (None, 0),
    ([1], (1,)),
    ([1], [1, 2]),
    ([1, [2]], [1, [3]]),
    ({"a": 1}, {"a": 2}),
    ({"a": 1}, {"b": 1}),
    ({"a": 1}, {"a": 1, "b": 1}),
    (collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1)),
    (collections.OrderedDict(a=1), {"a": 1}),
    (collections.deque([1]), collections.deque([1, 2])),
    ({1}, {1, 2}),
    (torch.Size([1, 2]), torch.Size([2, 1])),
    (np.float32(1), np.float32(2)),
    (np.float32(1), np.float64(1)),
    (np.zeros(2, "int64"), np.zeros(2, "float64")),
    (np.zeros((2, 1)), np.zeros((1, 2))),
    (np.array([1.0]), np.array([5.0])),
    (np.array([1.0]).view(np.matrix), np.array([5.0]).view(np.matrix)),
    (np.ma.masked_array([1.0]), np.ma.masked_array([5.0])),
    (Names([1]), Names([2])),
    (torch.ones(1), torch.ones(2)),
    (torch.ones(2), torch.ones(2, dtype=torch.float64)),
    (torch.ones(2), nn.Parameter(torch.ones(2))),
    (torch.ones(2, 2, 1), torch.ones(2, 2)),
    (torch.arange(4).view(2, 2), torch.arange(4).view(2, 2).t()),
    (torch.ones(2, 2), torch.ones(2, 2).t().contiguous().t()),
    (torch.tensor([NAN, 1.0]), torch.tensor([NAN, 2.0])),
    (torch.tensor([NAN, 1.0]), torch.tensor([1.0, NAN])),
    (torch.ones(1), torch.ones(1).to_sparse()),
    (Plain(1), Plain(2)),
    (Plain(1), collections.namedtuple("Plain", "thing")(1)),
    (Plain(1).method, Plain(2).method),
    (closure, function),
    (len, abs),
    (nn.Linear(1, 1), nn.ReLU()),
    (torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)),
    (np.random.RandomState(1), np.random.RandomState(2)),
    (NUMPY(1), NUMPY(2)),
    (random.Random(1), random.Random(2)),
]


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_values_are_not_alike(one, other):
    assert not alike(one, other)
    assert not alike(other, one)
    assert alike(one, one)
    assert alike(other, other)


@pytest.mark.parametrize(
    "make",
    [
        object,
        Slotted,
        lambda: np.array([[1], 2], dtype=object),
        meta,
        lambda: torch.eye(2).to_sparse(),
    ],
    ids=["object", "slots", "array of objects", "meta", "sparse"],
)
def test_what_cannot_be_compared_is_not_alike(make):
    one, other = make(), make()
    assert not alike(one, other)
    assert alike(one, one)


class Odd:
    __slots__ = ()

    def __eq__(self, other):
        raise ValueError("not comparable")

    __hash__ = None


def test_what_raises_in_a_comparison_is_not_alike():
    assert not alike(Odd(), Odd())


def ring(*items):
    """Return a list of items that holds itself, too."""
    made = list(items)
    made.append(made)
    return made


def test_lists_that_hold_themselves_are_compared():
    assert alike(ring(1), ring(1))
    assert not alike(ring(1), ring(2))
    assert not alike(ring(), ring(1))


def test_deep_and_wide_lists_are_compared():
    deep, wide = [[], []], [[], []]
    for which in (0, 1):
        for _ in range(5000):  # deeper than Python calls
            deep[which] = [deep[which]]
        for _ in range(60):  # each pair once, of which there are 2 ** 60 paths
            wide[which] = [wide[which], wide[which]]
    assert alike(*deep)
    assert alike(*wide)
    assert not alike([deep[0]], deep[1])


RINGS = """
import gc

from valloss_compat._loss_forward.content import alike

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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int64])
def test_a_checksum_changes_with_the_content(dtype):
    tensor = torch.arange(4).to(dtype)
    before = checksum(tensor)
    assert before == checksum(tensor.clone()) == 6.0
    tensor[0] += 1
    assert checksum(tensor) != before


def test_a_checksum_of_complex_numbers_does_not_hide_a_change():
    tensor = torch.tensor([1j, 1.0])
    before = checksum(tensor)
    assert before is None or before != checksum(tensor.imag.mul(2) * 1j + tensor.real)


def test_content_that_cannot_be_read_has_no_checksum():
    assert checksum(meta()) is None


def test_versions_count_writes():
    tensor = torch.ones(1)
    before = version_of(tensor)
    tensor.add_(1)
    assert version_of(tensor) == before + 1
    assert version_of(None) == 0
    if hasattr(torch, "inference_mode"):
        with torch.inference_mode():
            assert version_of(torch.ones(1)) == 0
