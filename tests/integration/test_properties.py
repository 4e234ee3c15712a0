"""Generated results and losses, compared with a plain reference implementation."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.structures import BaseDataElement
from support.native import NATIVE
from support.tiny import Seen, element, make_runner, sample

import valloss_compat
from valloss_compat._recording.accumulator import EpochAccumulators, means_with_total

# In a cell of the matrix the examples are the same each time, and fewer where another
# cell of the row runs the slow tests. Elsewhere they are random.
thorough = settings(
    deadline=None,
    database=None,
    derandomize="VALLOSS_COMPAT_CELL" in os.environ,
    max_examples=25 if os.environ.get("VALLOSS_COMPAT_SLOW_TESTS_ON") else 100,
)


class Subclass(BaseDataElement):
    """As the data samples of downstream libraries."""


numbers = st.floats(-1e4, 1e4, width=32) | st.sampled_from(
    [math.nan, math.inf, -math.inf]
)
finite = st.floats(-1e4, 1e4, width=32)
tensors = st.one_of(
    numbers.map(torch.tensor),
    numbers.map(lambda x: torch.tensor([[x]], dtype=torch.float64)),
    finite.map(lambda x: torch.tensor(x, dtype=torch.float16)),
    finite.map(lambda x: torch.tensor(x, requires_grad=True)),
    st.lists(finite, min_size=1, max_size=4).map(torch.tensor),
    st.integers(-5, 5).map(torch.tensor),
    st.booleans().map(torch.tensor),
)
sequences = st.lists(tensors, max_size=3)
good_values = st.one_of(
    tensors,
    numbers,
    st.integers(-5, 5),
    finite.map(np.float32),
    sequences,
    sequences.map(tuple),
)
wrong_values = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.just({"nested": 1.0}),
    st.just(np.ones(2)),
    st.just(1j),
    st.lists(numbers, min_size=1, max_size=2),
)
names = st.sampled_from(["loss", "loss_cls", "aux.loss", "acc", "n/seen", "val_loss"])
names = names | st.text("alos_/.[+", max_size=5)
good_losses = st.dictionaries(names, good_values, max_size=4)
any_losses = st.dictionaries(names, good_values | wrong_values, max_size=4)

no_elements = st.one_of(
    st.none(),
    st.integers(),
    tensors,
    st.dictionaries(st.text("ab", max_size=2), st.integers(), max_size=2),
    st.lists(st.builds(sample), max_size=3),
    st.just([BaseDataElement(loss={"loss": 1.0}, pred=1.0)]),
    st.builds(lambda: [element(loss=1.0), sample()]),
)


@st.composite
def with_element(draw, losses):
    """A result that ends with a loss element."""
    kind = draw(st.sampled_from([BaseDataElement, Subclass]))
    last = kind(loss=draw(losses), metainfo=draw(st.sampled_from([{}, {"a": 1}])))
    front = [sample() for _ in range(draw(st.integers(0, 2)))]
    return draw(st.sampled_from([list, tuple]))([*front, last])


def update_of(value):
    """Return the number for a loss value, if any; raise TypeError if it is wrong."""
    if isinstance(value, torch.Tensor):
        return float(np.mean(value.detach().double().numpy()))
    if isinstance(value, (int, float, np.floating)):
        return float(value)
    of_tensors = isinstance(value, (list, tuple)) and all(
        isinstance(item, torch.Tensor) for item in value
    )
    if of_tensors:
        return sum(map(update_of, value)) if value else None
    raise TypeError(value)


def reference(dicts):
    """The losses of an epoch, as the contract has them."""
    updates = {}
    for losses in dicts:
        for name, value in losses.items():
            number = update_of(value)
            if number is not None:
                updates.setdefault(name, []).append(number)
    means = {name: sum(known) / len(known) for name, known in updates.items()}
    in_total = [mean for name, mean in means.items() if "loss" in name]
    return {**means, "val_loss": sum(in_total)} if in_total else means


def outcome(function):
    """Return the result of a call, or the type of the error."""
    try:
        return function()
    except Exception as error:
        return type(error)


def close(found, expected):
    """Equal, numbers to 1e-9 and NaN to NaN."""
    if isinstance(expected, dict):
        return found == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)
    return found is expected


@thorough
@given(st.lists(any_losses, max_size=5))
def test_accumulators_agree_with_the_reference(dicts):
    """The same means and total, or a TypeError where the reference has one."""

    def accumulated():
        accumulators = EpochAccumulators()
        for index, losses in enumerate(dicts):
            accumulators.record(losses, 1, index)
        return means_with_total(accumulators.sums(), "val")

    assert close(outcome(accumulated), outcome(lambda: reference(dicts)))


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    return make_runner(tmp_path_factory.mktemp("run"), None, val_evaluator=[Seen()])


def validate(runner, results):
    """Validate with these results; return the metrics and what the metric got."""
    metric = runner.val_loop.evaluator.metrics[0]
    metric.samples, metric.results = [], []
    runner.model.calls = 0
    # mmengine smooths what it logs over past validations: inf - inf would warn.
    runner.message_hub.log_scalars.clear()
    runner.model.respond = lambda index, inputs: results[index]
    found = outcome(runner.val)
    return found, metric.samples


def clean(result):
    """Return a result without its loss element, and the losses."""
    if isinstance(result, (list, tuple)) and result:
        last = result[-1]
        if isinstance(last, BaseDataElement) and set(last.keys()) == {"loss"}:
            return result[:-1], last.loss
    return result, {}


def expected_of(results):
    """Return the metrics of the contract; raise TypeError for wrong losses."""
    pairs = [clean(result) for result in results]
    seen = sum(len(list(samples)) for samples, _ in pairs)
    return {"n/seen": float(seen), **reference([losses for _, losses in pairs])}


@thorough
@given(st.data())
def test_validation_agrees_with_the_reference(runner, data):
    """The metrics, and what the metric gets, for any results of samples and losses."""
    samples = st.lists(st.builds(sample), max_size=3)
    kinds = samples | with_element(good_losses)
    results = data.draw(st.lists(kinds, min_size=2, max_size=2))
    found, seen = validate(runner, results)
    assert close(found, expected_of(results))
    assert [len(batch) for batch in seen] == [len(clean(r)[0]) for r in results]


@thorough
@given(st.data())
def test_wrong_loss_is_a_type_error(runner, data):
    """It is never a number, and the next validation works."""
    wrong = with_element(st.just({"loss": 1.0}) | any_losses)
    results = data.draw(st.lists(wrong, min_size=2, max_size=2))
    assert close(validate(runner, results)[0], outcome(lambda: expected_of(results)))
    fine = [[sample(), element(loss=2.0)]] * 2
    assert close(validate(runner, fine)[0], expected_of(fine))


@thorough
@given(st.data())
def test_result_without_a_loss_element_is_left_alone(runner, data):
    """Any result of ``val_step``, also on native releases, which raise for some."""
    kinds = no_elements | with_element(good_losses)
    results = data.draw(st.lists(kinds, min_size=2, max_size=2))
    expected = outcome(lambda: expected_of(results))
    assert close(validate(runner, results)[0], expected)


@pytest.mark.skipif(NATIVE, reason="native mmengine has val_loss itself, and raises")
@thorough
@given(st.data())
def test_validation_that_runs_unpatched_runs_patched(runner, data):
    """Without a loss element, metrics and samples are the same."""
    kinds = no_elements | with_element(good_losses)
    results = data.draw(st.lists(kinds, min_size=2, max_size=2))
    patched, seen = validate(runner, results)
    valloss_compat.revert()
    unpatched, unpatched_seen = validate(runner, results)
    valloss_compat.apply()
    if all(clean(result)[0] is result for result in results):
        assert close(patched, unpatched)
        assert [len(batch) for batch in seen] == [len(b) for b in unpatched_seen]
    assert isinstance(patched, dict) or not isinstance(unpatched, dict)
