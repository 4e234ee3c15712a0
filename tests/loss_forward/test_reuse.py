"""A module's output in the predictions is reused only where it would be the same."""

from __future__ import annotations

import collections
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from loss_forward.models import Classifier
from valloss_compat._loss_forward.reuse import (
    ForwardCache,
    reads_training,
    reusable_modules,
)

pytestmark = pytest.mark.slow  # asks little of mmengine

#: Calls by module, not kept on the module: what sets an attribute is not reused.
RUNS = collections.Counter()


class Inner(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        RUNS[id(self)] = 0

    @property
    def runs(self):
        return RUNS[id(self)]

    def forward(self, *args, **kwargs):
        RUNS[id(self)] += 1
        return self.function(*args, **kwargs)


class Outer(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.inner = Inner(function)
        self.eval()


def used(function, first, second=None, between=None):
    """Run predictions, then a loss; return both outputs and whether one was reused."""
    model, replica = Outer(function), Outer(function)
    cache = ForwardCache(reusable_modules(model))
    with torch.no_grad():
        with cache.recording():
            one = model.inner(*first)
        if between is not None:
            between(one, first)
        with cache.answering(replica):
            other = replica.inner(*(first if second is None else second))
    for module in (model, replica):
        assert "forward" not in vars(module.inner)
    assert model.inner.runs == 1
    assert replica.inner.runs == (0 if cache.used else 1)
    return one, other, cache.used == {"inner"}


def doubled(x):
    return {"a": [x * 2, None], "b": (x, 3)}


def test_equal_arguments_are_answered_with_a_copy():
    x = torch.rand(2, 3).t()
    one, other, reused = used(doubled, [x], [x.clone()])
    assert reused
    assert torch.equal(other["a"][0], x * 2)
    assert other["a"][0].data_ptr() != one["a"][0].data_ptr()
    assert other["a"][0].stride() == one["a"][0].stride()
    other["a"].append(1)
    other["a"][0].zero_()
    assert len(one["a"]) == 2
    assert one["a"][0].ne(0).any()


def test_an_output_that_was_given_is_not_kept():
    module, x = Outer(lambda x: x * 2), torch.ones(2)
    cache = ForwardCache(reusable_modules(module))
    with torch.no_grad(), cache.recording():
        module.inner(x)
    with torch.no_grad(), cache.answering(module):
        output = weakref.ref(module.inner(x))
    assert cache.used
    assert output() is None


def test_one_tensor_in_two_places_of_an_output_stays_one():
    _, other, reused = used(lambda x: [x + 1] * 2, [torch.ones(2)])
    assert reused
    assert other[0] is other[1]


@pytest.mark.parametrize(
    "second",
    [
        [torch.zeros(2)],
        [torch.ones(2, dtype=torch.float64)],
        [torch.ones(1, 2)],
        [torch.ones(2, 2)[:, 0]],
        [torch.ones(2), 1],
        [[torch.ones(2)]],
    ],
)
def test_a_module_runs_for_other_arguments(second):
    assert not used(lambda *args: torch.ones(1), [torch.ones(2)], second)[2]


WRITES = {
    "one element": lambda x: x[3, 2, 50, 50].add_(1e-3),
    "one bit": lambda x: x.numpy().view("int32")[0, 0, 0, :1].__ixor__(1),
    "all elements": lambda x: x.add_(1),
    "columns change places": lambda x: x.copy_(x.flip(3)),
    "images change places": lambda x: x.copy_(x.flip(0)),
    "by data": lambda x: x.data.add_(1),
    "by numpy": lambda x: x.numpy().__iadd__(1),
}


@pytest.mark.parametrize("write", list(WRITES))
def test_a_module_runs_for_images_that_were_written_into(write):
    images = torch.rand(4, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    images[0, 0, 0, 0] = 0.0
    assert used(lambda x: 1 / x.mean((1, 2, 3)), [images])[2]
    _, other, reused = used(
        lambda x: x.mean((1, 2, 3)), [images], between=lambda *_: WRITES[write](images)
    )
    assert not reused
    assert torch.equal(other, images.mean((1, 2, 3)))


def test_keywords_count():
    model, replica = (
        Outer(lambda x, scale: x * scale),
        Outer(lambda x, scale: x * scale),
    )
    cache, x = ForwardCache(reusable_modules(model)), torch.ones(1)
    with torch.no_grad():
        with cache.recording():
            model.inner(x, scale=2)
        with cache.answering(replica):
            assert replica.inner(x, scale=3).item() == 3.0
            assert not cache.used
            assert replica.inner(x, scale=2).item() == 2.0
    assert cache.used


def test_an_output_is_what_it_was_before_it_was_written_into():
    one, other, reused = used(
        lambda x: x * 2, [torch.ones(2)], between=lambda out, args: out.add_(1)
    )
    assert reused
    assert (one.tolist(), other.tolist()) == ([3.0, 3.0], [2.0, 2.0])


def test_a_module_with_an_output_of_a_graph_runs_again():
    def with_gradients(x):
        with torch.enable_grad():
            return nn.Linear(2, 2)(x).requires_grad_() * 1

    assert not used(with_gradients, [torch.ones(2)])[2]


class Uncopyable:
    def __init__(self, error):
        self.error = error

    def __deepcopy__(self, memo):
        raise self.error


@pytest.mark.parametrize("error", [TypeError, RuntimeError, ValueError, KeyError])
def test_what_cannot_be_copied_runs_again(error):
    thing = Uncopyable(error("cannot be copied"))
    assert not used(lambda x: torch.ones(1), [thing])[2]
    assert not used(lambda x: thing, [torch.ones(1)])[2]


def test_each_recorded_output_is_given_once():
    model, replica = Outer(lambda x: x * 2), Outer(lambda x: x * 2)
    cache, x = ForwardCache(reusable_modules(model)), torch.ones(2)
    with torch.no_grad():
        with cache.recording():
            model.inner(x)
        with cache.answering(replica):
            replica.inner(x).zero_()
            assert replica.inner(x).tolist() == [2.0, 2.0]
    assert replica.inner.runs == 1


def test_two_calls_of_a_batch_are_recorded_and_no_more():
    model, replica = Outer(lambda x: x * 2), Outer(lambda x: x * 2)
    cache = ForwardCache(reusable_modules(model))
    with torch.no_grad():
        with cache.recording():
            for value in (1.0, 2.0, 3.0):
                model.inner(torch.full((1,), value))
        with cache.answering(replica):
            for value in (3.0, 2.0, 1.0):
                assert replica.inner(torch.full((1,), value)).item() == 2 * value
    assert replica.inner.runs == 1


def test_calls_of_the_batch_before_are_not_reused():
    model, replica = Outer(lambda x: x * 2), Outer(lambda x: x * 2)
    cache = ForwardCache(reusable_modules(model))
    with torch.no_grad():
        for value in (1.0, 2.0):
            with cache.recording():
                model.inner(torch.full((1,), value))
        with cache.answering(replica):
            replica.inner(torch.ones(1))
    assert not cache.used


def recorded(function):
    """Record a call of a module; return the cache and what the module got."""
    model, x = Outer(function), torch.ones(1)
    cache = ForwardCache(reusable_modules(model))
    with torch.no_grad(), cache.recording():
        model.inner(x)
    return cache, x


def verified(function, replica, assigned=()):
    """Verify a module of a replica, and return the cache."""
    cache, x = recorded(function)
    with torch.no_grad(), cache.answering(replica, verify=list(assigned)):
        known = replica.inner.function(x)
        assert torch.equal(replica.inner(x), known)
    assert replica.inner.runs == 1
    assert cache.used == {"inner"}
    return cache


def test_a_module_of_the_same_output_in_the_replica_is_verified():
    assert verified(lambda x: x * 2, Outer(lambda x: x * 2)).names == {"inner"}


def test_a_module_of_another_output_in_the_replica_is_not_verified():
    cache = verified(lambda x: x * 2, Outer(lambda x: x * 3))
    assert cache.names == set()
    replica = Outer(lambda x: x * 3)
    with torch.no_grad(), cache.recording(), cache.answering(replica):
        assert replica.inner(torch.ones(1)).item() == 3.0


@pytest.mark.parametrize(
    "function",
    [lambda x: x.mul_(2) + 0, lambda x: x + torch.rand(1)],
    ids=["writes", "draws"],
)
def test_a_module_that_does_more_than_to_return_is_not_verified(function):
    """The loss may run it for what it got and wrote into, or for another draw."""
    cache, x = recorded(function)
    replica = Outer(function)
    with torch.no_grad(), cache.answering(replica, verify=[]):
        replica.inner(x)
    assert cache.used == {"inner"}
    assert cache.names == set()


@pytest.mark.parametrize("make", [list, set, lambda: np.zeros(3)])
def test_a_module_that_writes_into_what_it_holds_is_not_verified(make):
    """A later batch would find there what this one wrote."""
    replica = Outer(lambda x: x * 2)
    replica.inner.held = make()

    def function(x):
        write = {list: list.append, set: set.add}.get(make, np.ndarray.fill)
        write(replica.inner.held, 7)
        return x * 2

    replica.inner.function = function
    cache, x = recorded(lambda x: x * 2)
    with torch.no_grad(), cache.answering(replica, verify=[]):
        replica.inner(x)
    assert cache.used == {"inner"}
    assert cache.names == set()


def test_attributes_that_were_set_before_a_call_do_not_count():
    replica = Outer(lambda x: x * 2)
    cache = verified(lambda x: x * 2, replica, [id(replica.inner)])
    assert cache.names == {"inner"}


def test_a_module_that_sets_an_attribute_in_its_call_is_not_verified():
    assigned = []

    def function(x):
        assigned.append(id(replica.inner))
        return x * 2

    replica = Outer(function)
    cache, x = recorded(lambda x: x * 2)
    with torch.no_grad(), cache.answering(replica, verify=assigned):
        replica.inner(x)
    assert cache.names == set()


# Which modules may be reused.


class ReadsIt(nn.Module):
    def forward(self, x):
        return x if self.training else -x


class ReadsItInside(nn.Module):
    def forward(self, xs):
        return [(lambda y: y if self.training else -y)(x) for x in xs]


class ReadsItInAProperty(nn.Module):
    @property
    def scale(self):
        return 2 if self.training else 1


class ReadsItInAClassMethod(nn.Module):
    @classmethod
    def scale(cls, module):
        return 2 if module.training else 1


class ReadsItDecorated(nn.Module):
    @torch.no_grad()
    def forward(self, x):
        return x if self.training else -x


class Derived(ReadsIt):
    pass


class ReadsNothing(nn.Module):
    scale = 2

    def forward(self, x):
        return x


@pytest.mark.parametrize(
    "cls",
    [
        ReadsIt,
        ReadsItInside,
        ReadsItInAProperty,
        ReadsItInAClassMethod,
        ReadsItDecorated,
    ],
)
def test_a_class_that_reads_training_is_not_reused(cls):
    assert reads_training(cls)
    assert reusable_modules(nn.Sequential(cls()).eval()) == {}
    assert reusable_modules(nn.Sequential(nn.Sequential(cls())).eval()) == {}


def test_a_class_that_derives_from_one_that_reads_training_is_not_reused():
    assert not reads_training(Derived)
    assert reusable_modules(nn.Sequential(Derived()).eval()) == {}


@pytest.mark.parametrize(
    "make",
    [ReadsNothing, nn.Dropout, lambda: nn.BatchNorm1d(1), lambda: nn.Linear(1, 1)],
)
def test_a_class_that_gives_the_same_in_both_modes_is_reused(make):
    model = nn.Sequential(make()).eval()
    assert reusable_modules(model) == {"0": model[0]}


def _scripted():
    return torch.jit.script(nn.ReLU()).eval()


def _wrapped():
    module = ReadsNothing().eval()
    module.forward = module.forward
    return module


def _training():
    module = nn.Sequential(ReadsNothing()).eval()
    module[0].train()
    return module


@pytest.mark.filterwarnings("ignore:.torch.jit.[a-z]+. is deprecated")
@pytest.mark.parametrize("make", [_scripted, _wrapped, _training])
def test_scripted_wrapped_and_training_modules_are_not_reused(make):
    model = nn.Module()
    model.add_module("part", make())
    assert reusable_modules(model) == {}


def test_modules_of_a_model_are_reused_but_not_its_preprocessor():
    assert sorted(reusable_modules(Classifier().eval())) == ["backbone", "head"]
