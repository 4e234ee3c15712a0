"""Models that reach beyond a copy of themselves: handled, or rejected with a reason."""

from __future__ import annotations

import itertools
import threading

import pytest
import torch

from loss_forward.models import Classifier, hook, make_runner
from loss_forward.oracle import frozen_losses
from loss_forward.rejection import rejected
from loss_forward.validated import STRATEGIES, close, validated
from valloss_compat.errors import UnsupportedError

pytestmark = pytest.mark.slow  # asks little of mmengine

# Parameters.


def _in_place(model):
    model.head.fc.weight.add_(0.0)


def _by_data(model):
    model.head.fc.weight.data.mul_(0.9)


def _gradient(model):
    with torch.enable_grad():
        model.head.fc.weight.sum().backward()


@pytest.mark.parametrize("act", [_in_place, _by_data])
@pytest.mark.parametrize("policy", ["error", "warn"])
def test_a_write_into_a_parameter_ends_the_run(tmp_path, changing, act, policy):
    runner = make_runner(tmp_path, hook(on_unsupported=policy), model=changing(act))
    with pytest.raises(RuntimeError, match=r"changed parameters in a .*head\.fc\.weig"):
        runner.val()


def _from(first, act, last=10**9):
    """Act from one call on."""
    calls = []

    def later(model):
        calls.append(1)
        if first <= len(calls) <= last:
            act(model)

    return later


#: Calls of mode 'loss' for the first batch: what follows is the second batch.
FIRST = 4


@pytest.mark.parametrize(
    ("act", "last"),
    # A single write by .data in the midst of a validation is not noticed (README).
    [(_in_place, FIRST + 2), (_in_place, 10**9), (_by_data, 10**9)],
)
def test_a_write_into_a_parameter_from_the_third_batch_on_ends_the_run(
    tmp_path, changing, act, last
):
    model = changing(_from(FIRST + 2, act, last))
    loss = hook(on_unsupported="warn", sanity_check=False)
    with pytest.raises(RuntimeError, match=r"changed parameters in a .*head\.fc\.weig"):
        make_runner(tmp_path, loss, model=model).val()


def test_a_write_into_a_parameter_before_an_error_ends_the_run(tmp_path, changing):
    def act(model):
        model.head.fc.weight.add_(1)
        raise ValueError("after it")

    loss = hook(on_unsupported="warn")
    with pytest.raises(RuntimeError, match=r"changed parameters in a .*head\.fc\.weig"):
        make_runner(tmp_path, loss, model=changing(act)).val()


def test_gradients_of_a_loss_are_removed(tmp_path, changing):
    model = changing(_gradient)
    assert validated(tmp_path, model)["val_loss"] > 0
    assert model.head.fc.weight.grad is None


# Beyond the model.

GLOBAL = {"calls": 0, "rng": torch.Generator().manual_seed(1)}
#: Of a test that does not depend on the time itself.
CLOCK = itertools.count()


def _counts_in_a_global(model):
    GLOBAL["calls"] += 1
    return float(GLOBAL["calls"])


def _draws_from_a_global(model):
    return torch.rand((), generator=GLOBAL["rng"])


def _asks_the_clock(model):
    return float(next(CLOCK))


@pytest.mark.parametrize(
    "act", [_counts_in_a_global, _draws_from_a_global, _asks_the_clock]
)
def test_a_loss_that_depends_on_more_than_the_batch_is_rejected(
    tmp_path, changing, act
):
    rejected(tmp_path, changing(act), "for the same batch and seed")


@STRATEGIES
def test_a_global_that_changes_later_is_noticed_at_the_end(
    tmp_path, changing, strategy
):
    calls = []

    def act(model):
        calls.append(1)
        return float(len(calls) > FIRST + 1)

    match = r"for the first batch, and .* at the end of the validation"
    rejected(tmp_path, changing(act), match, strategy=strategy)


def test_a_generator_of_the_model_is_restored(tmp_path, changing):
    drawn = []
    model = changing(lambda m: drawn.append(float(torch.rand((), generator=m.rng))))
    model.rng = torch.Generator().manual_seed(3)
    before = model.rng.get_state().tolist()
    validated(tmp_path, model)
    assert len(drawn) > 6
    assert len(set(drawn)) == 1
    assert model.rng.get_state().tolist() == before


def test_a_model_that_holds_its_runner_is_validated(tmp_path, changing):
    model = changing(lambda m: float(m.runner.max_epochs))
    model.runner = None
    runner = make_runner(tmp_path, hook(), model=model)
    model.runner = runner
    known = frozen_losses(changing(lambda m: 2.0))
    close(runner.val(), known)


def test_a_model_that_runs_the_model_of_its_runner_is_rejected(tmp_path, changing):
    model = changing(lambda m: m.runner.model.head((torch.ones(1, 4),)).sum())
    runner = make_runner(tmp_path, hook(), model=model)
    model.runner = runner
    with pytest.raises(UnsupportedError, match=r"Changing\.head: a function refers to"):
        runner.val()


def test_a_lock_on_the_model_is_rejected_by_its_path(tmp_path):
    model = Classifier()
    model.head.lock = threading.Lock()
    rejection = rejected(tmp_path, model, "it cannot be copied")
    assert rejection.component == "head.lock"


def test_a_closure_over_the_model_runs_the_copy(tmp_path, changing):
    def note():
        model.head.seen.append(1)
        return float(len(model.head.seen))

    model = changing(lambda m: m.note())
    model.note = note
    close(validated(tmp_path, model), frozen_losses(changing(lambda m: 1.0)))
    assert model.head.seen == []


# Wrapped modules.


class ByKeyword:
    """Wraps a forward in a function with a keyword-only default."""

    def __call__(self, inner):
        def forward(*args, _inner=inner):
            return _inner(*args)

        return forward


def _by_closure(inner):
    return lambda *args: inner(*args)


@STRATEGIES
@pytest.mark.parametrize("wrap", [_by_closure, ByKeyword()])
def test_a_forward_wrapped_on_the_instance_gives_the_same_loss(
    tmp_path, wrap, strategy
):
    model = Classifier()
    known = frozen_losses(model)
    model.backbone.forward = wrap(model.backbone.forward)
    model.head.forward = wrap(model.head.forward)
    close(validated(tmp_path, model, strategy=strategy), known)


@pytest.mark.filterwarnings("ignore:.*use_reentrant:UserWarning")
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad:UserWarning")
@STRATEGIES
def test_activation_checkpointing_with_batch_norm_gives_the_same_loss(
    tmp_path, strategy
):
    checkpointing = pytest.importorskip("mmengine.runner.activation_checkpointing")
    model = Classifier()
    model.backbone.bn.running_mean.fill_(0.3)
    known = frozen_losses(model)
    checkpointing.turn_on_activation_checkpointing(model, ["backbone", "backbone.bn"])
    close(validated(tmp_path, model, strategy=strategy), known)
