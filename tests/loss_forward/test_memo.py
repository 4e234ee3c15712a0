"""A module is answered for only where it would give the very same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from valloss_compat._loss_forward.content import same
from valloss_compat._loss_forward.reuse import Memo


class Box(nn.Module):
    """A model with one module, whose forward is what a test says."""

    def __init__(self, function):
        super().__init__()
        self.inner = Inner(function)
        self.eval()


class Inner(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function, self.runs = function, 0

    def forward(self, *args, **kwargs):
        self.runs += 1
        return self.function(*args, **kwargs)


def twice(function, first, second=None, between=None):
    """Ask for predictions, then for the loss; what both got, and the runs."""
    box = Box(function)
    with torch.no_grad(), Memo(box, [box.inner]) as memo:
        one = box.inner(*first)
        if between is not None:
            between(one, first)
        memo.replay()
        other = box.inner(*(first if second is None else second))
    assert "forward" not in vars(box.inner)
    assert box.inner.runs == 2 - memo.hits
    return one, other, memo.hits


def doubled(x):
    return {"a": [x * 2, None], "b": (x, 3)}


def test_equal_arguments_are_answered_with_a_copy():
    """Equal, not the same: the loss may write into what it gets."""
    x = torch.rand(2, 3).t()
    one, other, hits = twice(doubled, [x], [x.clone()])
    assert hits == 1
    assert same(one, other)
    assert one["a"][0] is not other["a"][0]
    assert other["a"][0].stride() == one["a"][0].stride()
    other["a"].append(1)
    other["a"][0].zero_()
    assert len(one["a"]) == 2
    assert one["a"][0].ne(0).any()


def test_one_tensor_in_two_places_stays_one():
    """As a neck that returns its last level twice."""
    _, other, hits = twice(lambda x: [x + 1] * 2, [torch.ones(2)])
    assert hits == 1
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
def test_other_arguments_are_run(second):
    """Values, type, shape, layout, number and containers all count."""
    _, _, hits = twice(lambda *args: torch.ones(1), [torch.ones(2)], second)
    assert hits == 0


def test_keywords_count():
    """A memory keyed on the input alone would be wrong."""
    box = Box(lambda x, stage=None: x + (stage == "loss"))
    x = torch.zeros(1)
    with torch.no_grad(), Memo(box, [box.inner]) as memo:
        box.inner(x, stage="predict")
        memo.replay()
        assert float(box.inner(x, stage="loss")) == 1.0
        assert float(box.inner(x, stage="predict")) == 0.0
    assert memo.hits == 1


@pytest.mark.parametrize(
    "write",
    [lambda t: t.add_(1), lambda t: t.data.add_(1), lambda t: np.add(t, 1, t.numpy())],
    ids=["in place", "past the counter", "by numpy"],
)
def test_what_the_predictions_write_never_reaches_the_loss(write):
    """Into a result: the loss gets it as it was. Into an argument: it is run again."""
    one, other, hits = twice(
        lambda x: x * 2, [torch.ones(2)], between=lambda out, args: write(out)
    )
    assert hits == 1
    assert (one.tolist(), other.tolist()) == ([3.0, 3.0], [2.0, 2.0])
    one, other, hits = twice(
        lambda x: x * 2, [torch.ones(2)], between=lambda out, args: write(args[0])
    )
    assert hits == 0
    assert other.tolist() == [4.0, 4.0]


def test_a_module_that_writes_into_its_arguments_is_run_again():
    """It does more than to return something."""
    x = torch.ones(2)
    one, other, hits = twice(lambda x: x.mul_(2) + 0, [x])
    assert hits == 0
    assert (one.tolist(), other.tolist()) == ([2.0, 2.0], [4.0, 4.0])


@pytest.mark.parametrize("predicting", [False, True])
def test_another_mode_is_another_call(predicting):
    """With gradients or without, and under autocast or not."""
    box, x = Box(lambda x: x * 2), torch.ones(2)
    with Memo(box, [box.inner]) as memo:
        with torch.set_grad_enabled(predicting):
            box.inner(x)
        memo.replay()
        with torch.set_grad_enabled(not predicting):
            box.inner(x)
        assert memo.hits == 0
        if hasattr(torch, "get_autocast_dtype"):  # before, only some releases ask
            with torch.set_grad_enabled(predicting), torch.autocast("cpu"):
                box.inner(x)
        assert memo.hits == 0
        with torch.set_grad_enabled(predicting):
            box.inner(x)
    assert memo.hits == 1


def test_an_answer_is_given_once():
    """The loss may have written into it."""
    box, x = Box(lambda x: x * 2), torch.ones(2)
    with torch.no_grad(), Memo(box, [box.inner]) as memo:
        box.inner(x)
        memo.replay()
        box.inner(x).zero_()
        assert box.inner(x).tolist() == [2.0, 2.0]
    assert memo.hits == 1


def test_arguments_that_cannot_be_copied_are_run_again():
    """An object, say."""
    assert twice(lambda x: torch.ones(1), [object()])[2] == 0


@pytest.mark.parametrize(
    "result",
    [
        lambda x: object(),
        lambda x: [{"sample": object()}],
        lambda x: torch.ones(1).expand(3),
        lambda x: x.to_sparse(),
        lambda x: x + torch.rand(1),
        lambda x: nn.Parameter(x),
    ],
    ids=["object", "nested", "overlapping", "sparse", "random", "parameter"],
)
def test_what_cannot_be_copied_for_sure_is_run_again(result):
    """Or what another run would give otherwise."""
    assert twice(result, [torch.ones(2)])[2] == 0


def test_what_an_inference_mode_made_is_shared_as_well():
    """Nobody counts what is written there, and nobody has to."""
    if not hasattr(torch, "inference_mode"):
        pytest.skip("inference mode came with torch 1.9")
    box = Box(lambda x: x * 2)
    with torch.inference_mode(), Memo(box, [box.inner]) as memo:
        box.inner(torch.ones(1))
        memo.replay()
        box.inner(torch.ones(1))
    assert memo.hits == 1


def test_nothing_is_remembered_of_models_that_are_watched_or_replaced():
    """Forward hooks, of one module or of all; training mode; another forward."""

    def hits(change):
        box = Box(lambda x: x * 2)
        undo = change(box)
        with torch.no_grad(), Memo(box, [box.inner]) as memo:
            box.inner(torch.ones(1))
            memo.replay()
            box.inner(torch.ones(1))
        if hasattr(undo, "remove"):
            undo.remove()
        return memo.hits

    everywhere = nn.modules.module.register_module_forward_hook
    assert hits(lambda box: None) == 1
    assert hits(lambda box: box.register_forward_pre_hook(lambda *_: None)) == 0
    assert hits(lambda box: everywhere(lambda *_: None)) == 0
    assert hits(lambda box: box.inner.train()) == 0
    assert hits(lambda box: setattr(box, "forward", len)) == 0


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (torch.tensor([float("nan")]), torch.tensor([float("nan")]), True),
        (torch.tensor([0.0]), torch.tensor([-0.0]), False),
        (torch.tensor([1]), torch.tensor([1]), True),
        (torch.tensor([1j]), torch.tensor([1j]), False),
        ([1, "a", None], [1, "a", None], True),
        ([1], (1,), False),
        ({"a": 1}, {"a": 2}, False),
        ({"a": 2}, {"a": 1}, False),
        ({"a": 1}, {"a": 1, "b": 1}, False),
        ({"a": 1, "b": 1}, {"a": 1}, False),
        ([1], [1, 2], False),
        ([1, 2], [1], False),
        (float("2.5"), float("2.5"), True),
        (torch.ones(2, 2, 1), torch.ones(2, 2), False),
        (torch.ones(2, 2), torch.ones(2, 2, 1), False),
        (torch.ones(2).requires_grad_(), torch.ones(2), False),
        (object(), 1, False),
    ],
)
def test_the_same_is_bit_for_bit(one, other, alike):
    """NaN is itself, minus zero is not zero."""
    assert same(one, other) is alike
