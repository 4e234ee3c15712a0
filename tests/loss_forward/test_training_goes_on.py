"""What a loss does to its model in a validation: the training is as without us."""

from __future__ import annotations

import io
import random
from collections import Counter, OrderedDict, defaultdict, deque

import numpy as np
import pytest
import torch
from packaging.version import Version
from torch import nn

from loss_forward.models import Watch, hook, make_runner


def _in_training_mode(model):
    model.train()


def _one_part_in_training_mode(model):
    model.backbone.bn.train()


def _frozen_unless_training(model):
    model.backbone.requires_grad_(model.head.training)


def _with_gradients(model):
    if not model.head.training:
        with torch.enable_grad():
            model.head.fc.weight.pow(2).sum().backward()


def _momentum(model):
    model.head.fc.weight.data.mul_(0.9)


def _draws(model):
    """A part of its own generator, which decides what the training does."""
    numbers = torch.rand(2, generator=model.head.rng)
    model.head.fc.bias.data.copy_(numbers)


ACTS = [
    _in_training_mode,
    _one_part_in_training_mode,
    _frozen_unless_training,
    _momentum,
    _draws,
]


def _trained(work_dir, changing, act, *hooks):
    """What a training gives: losses of steps, metrics, and the model's end."""
    model = changing(lambda head: act(model))
    model.head.rng = torch.Generator()
    watch = Watch()
    options = {"optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1}}}
    runner = make_runner(work_dir, watch, *hooks, model=model, **options)
    runner.train()
    scores = [metrics["mean/score"] for metrics in watch.metrics]
    weights = {name: value.tolist() for name, value in model.state_dict().items()}
    return watch.train_losses, scores, weights, model.head.rng.get_state().tolist()


@pytest.mark.parametrize("strategy", ["auto", "second_forward"])
@pytest.mark.parametrize("act", ACTS)
def test_a_training_is_as_without_the_hook(tmp_path, changing, act, strategy):
    """Number for number, with ``on_unsupported='warn'`` for what is refused."""
    loss = hook(strategy=strategy, on_unsupported="warn")
    with_us = _trained(tmp_path / "with", changing, act, loss)
    assert with_us == _trained(tmp_path / "without", changing, act)


def test_gradients_of_a_loss_do_not_get_into_the_training(tmp_path, changing):
    """Taken away where there were none; those that were there have no copy."""
    loss = hook(strategy="second_forward", on_unsupported="warn")
    if Version(torch.__version__) < Version("2.0"):  # optimizers keep zeros there
        with pytest.raises(RuntimeError, match=r"changed head\.fc\.weight\.grad in a"):
            _trained(tmp_path, changing, _with_gradients, loss)
        return
    with_us = _trained(tmp_path / "with", changing, _with_gradients, loss)
    assert with_us == _trained(tmp_path / "without", changing, _with_gradients)


def test_a_parameter_that_two_modules_share_is_put_back_each_time(tmp_path, changing):
    """At two depths, so that it has two names."""
    found = []
    for hooks in ([], [hook(strategy="second_forward", on_unsupported="warn")]):
        model = changing(lambda head: head.part[0].weight.data.mul_(0.5))
        model.head.part = nn.Sequential(nn.Linear(1, 1))
        model.head.part[0].weight.data.fill_(1)
        model.head.other = nn.Linear(1, 1)
        model.head.other.weight = model.head.part[0].weight
        make_runner(tmp_path, *hooks, model=model).train()
        found.append(float(model.head.other.weight.detach()))
    assert found[0] == found[1] == 0.5**6


class Steps(nn.Module):
    """Counts in a buffer, as it is called; to be scripted."""

    def __init__(self):
        super().__init__()
        self.register_buffer("steps", torch.zeros(1))

    def forward(self, x):
        self.steps = self.steps + 1
        return x + self.steps


@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.filterwarnings("ignore:.torch.jit.[a-z]+. is deprecated")
def test_a_scripted_part_may_be_called_by_the_loss(tmp_path, changing, counts):
    """For the first time; what it changes is put back, and refused."""
    model = changing(lambda head: head.scripted(torch.ones(1)))
    part = torch.jit.script(Steps() if counts else nn.ReLU())
    file = io.BytesIO()
    torch.jit.save(part, file)
    file.seek(0)
    model.head.scripted = torch.jit.load(
        file
    )  # it keeps its methods as they are called
    loss = hook(strategy="second_forward", on_unsupported="warn")
    found = make_runner(tmp_path, loss, model=model).val()
    assert ("val_loss" in found) is not counts
    if counts:
        assert model.head.scripted.steps.tolist() == [0.0]


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_a_scripted_part_has_the_flag_that_the_training_gives_it(tmp_path, changing):
    """It has no ``training`` of its own in Python, and gets none."""
    model = changing(lambda head: None)
    model.head.scripted = part = torch.jit.script(nn.Dropout())
    before = sorted(vars(part))
    runner = make_runner(tmp_path, hook(strategy="second_forward"), model=model)
    assert runner.val()["val_loss"] > 0
    assert sorted(vars(part)) == before
    for mode in (True, False):
        assert model.train(mode).head.scripted.training is mode


def _default():
    made = defaultdict(list)
    made["a"].append(1)
    return made


@pytest.mark.parametrize(
    ("make", "write"),
    [
        (lambda: np.random.RandomState(0), lambda thing: thing.rand()),
        (lambda: np.random.default_rng(0), lambda thing: thing.random()),
        (lambda: random.Random(0), lambda thing: thing.random()),
        (torch.Generator, lambda thing: torch.rand(1, generator=thing)),
        (_default, lambda thing: thing["a"].append(2)),
        (_default, lambda thing: thing["b"]),
        (lambda: Counter("aab"), lambda thing: thing.update("a")),
        (lambda: OrderedDict(a=1, b=2), lambda thing: thing.move_to_end("a")),
        (lambda: [object(), 1], lambda thing: thing.append(2)),
        (lambda: [np.float64(1)], lambda thing: thing.append(np.float64(2))),
        (lambda: deque([object()], maxlen=1), lambda thing: thing.append(1)),
        (lambda: ({"a": object()}, [1]), lambda thing: thing[1].append(2)),
        (lambda: {object(), 1}, lambda thing: thing.add(2)),
        (lambda: {torch.ones(2): 1}, lambda thing: thing.clear()),
    ],
)
def test_a_thing_of_a_head_is_what_it_was(tmp_path, changing, make, write):
    """Its object, what it holds and in which order."""
    model = changing(lambda head: write(head.thing))
    model.head.thing = thing = make()
    before = _look(thing)
    runner = make_runner(
        tmp_path,
        hook(strategy="second_forward", on_unsupported="warn"),
        model=model,
        log_level="WARNING",
    )
    assert "val_loss" not in runner.val()
    assert model.head.thing is thing
    assert _look(thing) == before


def _look(thing):
    """What a thing shows, with the places of what is in it."""
    for name in ("get_state", "getstate"):
        if hasattr(thing, name):
            state = getattr(thing, name)()
            return str(state.tolist() if isinstance(state, torch.Tensor) else state)
    return repr(getattr(getattr(thing, "bit_generator", None), "state", thing))
