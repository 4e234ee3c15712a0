"""Random states and attributes: a change is seen, and what was there put back."""

from __future__ import annotations

import collections
import random

import numpy as np
import pytest
import torch
from torch import nn

from loss_forward.models import Classifier
from valloss_compat._loss_forward.guard import ModelState
from valloss_compat._loss_forward.isolation import RandomState, accelerators_of
from valloss_compat._loss_forward.snapshot import Attributes


def test_random_states_are_put_back():
    """Drawn or not is seen; devices beside the CPU are asked by their backend."""
    state = RandomState([torch.device("cpu")])
    assert state.same()
    drawn = torch.rand(2).tolist()
    assert not state.same()
    state.restore()
    assert state.same()
    assert torch.rand(2).tolist() == drawn
    assert accelerators_of(Classifier()) == []


@pytest.mark.parametrize("draw", [random.random, np.random.rand, lambda: torch.rand(1)])
def test_whoever_draws_is_seen(draw):
    """Python, numpy and torch; a state that goes back is another one, too."""
    start = RandomState()
    state = RandomState()
    draw()
    assert not state.same()
    state = RandomState()
    start.restore()
    assert not state.same()


def test_attributes_of_all_kinds_are_put_back():
    """Each object is the one it was, and holds what it held."""
    module = nn.Module()
    module.values = {
        "list": [1, {"a": 2}],
        "deque": collections.deque([1]),
    }
    module.array, module.tensor = np.ones(2), (torch.ones(2), 1)
    module.plain, module.names, module.number = torch.ones(2), {"a"}, float("nan")
    module.odd, module.nothing, module.gone = object(), np.nan, [1]
    kept = dict(vars(module))
    before = Attributes(module)
    assert before.restore() == []
    module.values["list"].append(3)
    module.array[0] = 5
    module.tensor[0].zero_()
    module.plain.set_(torch.zeros(3))
    module.names.add("b")
    module.number = float("nan")
    del module.gone
    module.other = nn.Linear(1, 1)
    changed = before.restore()
    assert sorted(changed) == [
        "array",
        "gone",
        "names",
        "other",
        "plain",
        "tensor",
        "values",
    ]
    assert module.values == {
        "list": [1, {"a": 2}],
        "deque": collections.deque([1]),
    }
    assert module.array.tolist() == module.plain.tolist() == [1.0, 1.0]
    assert module.tensor[0].tolist() == [1.0, 1.0]
    assert module.names == {"a"}
    assert all(vars(module)[name] is value for name, value in kept.items())
    module.queue, module.array = collections.deque([1]), np.ones(1)
    before = Attributes(module)
    module.queue.append(2)
    module.array = np.ones(1)
    assert before.restore() == ["queue"]
    assert list(module.queue) == [1]


NAN = float("nan")
#: What an attribute was, and what it is now; both ways round is another change.
CHANGES = [
    (1.0, 2.0),
    ("a", "b"),
    (NAN, 1.0),
    ({1}, {1, 2}),
    ([1], [1, 2]),
    (collections.deque([1]), collections.deque([1, 2])),
    ({"a": 1}, {"a": 1, "b": 1}),
    (np.array([1.0]), np.array([5.0])),
    (np.zeros(2, "int64"), np.zeros(2, "float64")),
    (np.zeros((2, 1)), np.zeros((1, 2))),
    (torch.ones(1), torch.ones(2)),
    (torch.ones(2), torch.ones(2, dtype=torch.float64)),
    (torch.tensor([1, 2]), torch.tensor([1, 3])),
    (torch.tensor([NAN, 1.0]), torch.tensor([NAN, 2.0])),
    (torch.tensor([NAN, 1.0]), torch.tensor([1.0, 1.0])),
]


@pytest.mark.parametrize(("was", "now"), CHANGES + [pair[::-1] for pair in CHANGES])
def test_each_change_is_seen(was, now):
    """More or less, larger or smaller, and of another type."""
    module = nn.Module()
    module.thing = was
    before = Attributes(module)
    module.thing = now
    assert before.restore() == ["thing"]
    assert module.thing is was


@pytest.mark.parametrize(
    ("thing", "write"),
    [
        ([1, 2], lambda thing: thing.pop()),
        (collections.deque([1, 2]), lambda thing: thing.pop()),
        ({"a": 1, "b": 1}, lambda thing: thing.pop("b")),
        ({1, 2}, lambda thing: thing.remove(2)),
        (torch.ones(2), lambda thing: thing.set_(torch.ones(1))),
    ],
)
def test_what_lost_a_part_has_it_again(thing, write):
    """Within the object that it was."""
    module, text = nn.Module(), str(thing)
    module.thing = thing
    before = Attributes(module)
    write(module.thing)
    assert before.restore() == ["thing"]
    assert module.thing is thing
    assert str(thing) == text


@pytest.mark.parametrize("shape", [(2, 2), (1, 4), (2,)])
@pytest.mark.parametrize("wrap", [lambda array: array, lambda array: (array, 1)])
def test_an_array_that_was_reshaped_is_as_it_was(wrap, shape):
    """Its copy takes its place."""
    module, array = nn.Module(), np.arange(4.0)
    module.first, module.thing, module.last = [1], wrap(array), [1]
    before = Attributes(module)
    module.first.append(2)
    module.last.append(2)
    array.resize(shape, refcheck=False)
    assert before.restore() == ["first", "thing", "last"]
    assert (module.first, module.last) == ([1], [1])
    assert repr(module.thing) == repr(wrap(np.arange(4.0)))


def test_a_tensor_keeps_its_memory():
    """Whoever has a view of it sees what it was."""
    module = nn.Module()
    module.thing = torch.ones(2)
    view, before = module.thing[:1], Attributes(module)
    module.thing.zero_()
    assert before.restore() == ["thing"]
    assert view.tolist() == [1.0]


@pytest.mark.parametrize(
    "thing",
    [
        1.5,
        torch.tensor([NAN, 1.0]),
        torch.tensor([1, 2]),
        {"odd": object()},
        {object(): 1},
        [object()],
    ],
    ids=["number", "NaN", "integers", "values", "keys", "list"],
)
def test_what_did_not_change_is_not_named(thing):
    """NaN is itself; of objects in a container nothing but the place is known."""
    module = nn.Module()
    module.thing = thing
    before = Attributes(module)
    assert before.restore() == []


def test_what_is_equal_is_no_change():
    """Another float, another tensor."""
    module = nn.Module()
    module.number, module.tensor = float("1.5"), torch.tensor([NAN, 1.0])
    before = Attributes(module)
    module.number, module.tensor = float("1.5"), module.tensor.clone()
    assert before.restore() == []


def test_a_model_of_many_steps_has_not_changed():
    """Its weights were written into more often than Python caches numbers."""
    model = nn.Linear(1, 1)
    with torch.no_grad():
        for _ in range(300):
            model.weight.add_(1)
    assert ModelState(model, whole=False).restore() == ([], [], [])
