"""What a loss does to its model in a validation does not get into the training."""

from __future__ import annotations

import io
import random
from collections import Counter, OrderedDict, defaultdict, deque

import numpy as np
import pytest
import torch
from torch import nn

from loss_forward.models import Watch, hook, make_runner

pytestmark = pytest.mark.slow  # asks little of mmengine


def _in_training_mode(model):
    model.train()


def _one_module_in_training_mode(model):
    model.backbone.bn.train()


def _in_eval_mode(model):
    model.head.eval()


def _frozen_by_a_flag(model):
    model.backbone.requires_grad_(bool(model.head.seen))


def _counts(model):
    model.head.count += 1
    model.head.seen.append(1)
    return len(model.head.seen) * model.head.count.sum() * 0.01


def _draws(model):
    return torch.rand((), generator=model.rng)


def _keeps_features(model):
    features = model.backbone.fc(torch.ones(1, 4))
    model.features = [features]
    return features.mean()


def _logs(model):
    model.note["last"] = model.note.get("last", 0) + 1


def _replaces_a_module(model):
    if not model.head.seen:
        model.head.seen.append(1)
        model.extra = nn.Linear(1, 1)


ACTS = [
    _in_training_mode,
    _one_module_in_training_mode,
    _in_eval_mode,
    _frozen_by_a_flag,
    _counts,
    _draws,
    _keeps_features,
    _logs,
    _replaces_a_module,
]


def _trained(work_dir, changing, act, *hooks):
    """Return the losses of the steps, the metrics, and the state of the model."""
    model = changing(act)
    model.rng, model.note, watch = torch.Generator().manual_seed(1), {}, Watch()
    options = {"optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1}}}
    runner = make_runner(work_dir, watch, *hooks, model=model, **options)
    runner.train()
    return {
        "losses": watch.train_losses,
        "scores": [metrics["mean/score"] for metrics in watch.metrics],
        "weights": {name: v.tolist() for name, v in model.state_dict().items()},
        "generator": model.rng.get_state().tolist(),
        "attributes": (model.head.seen, model.note, sorted(vars(model))),
        "flags": [module.training for module in model.modules()],
        "trained": [p.requires_grad for p in model.parameters()],
        "drawn": (random.random(), float(np.random.rand()), float(torch.rand(()))),
    }, watch.metrics


@pytest.mark.parametrize("strategy", ["auto", "second_forward"])
@pytest.mark.parametrize("act", ACTS)
def test_a_training_is_that_without_the_hook(tmp_path, changing, act, strategy):
    with_it, metrics = _trained(
        tmp_path / "with", changing, act, hook(strategy=strategy)
    )
    without, _ = _trained(tmp_path / "without", changing, act)
    assert all("val_loss" in found for found in metrics)
    for key in without:
        assert with_it[key] == without[key], key


def test_gradients_of_a_loss_do_not_get_into_the_training(tmp_path, changing):
    def act(model):
        if not torch.is_grad_enabled():  # in a validation
            with torch.enable_grad():
                model.head.fc.weight.pow(2).sum().backward()

    loss = hook(strategy="second_forward")
    if torch.__version__.startswith("1."):  # optimizers keep zeros there
        with pytest.raises(RuntimeError, match=r"changed .*\(head\.fc\.weight\.grad\)"):
            _trained(tmp_path, changing, act, loss)
        return
    with_it, _ = _trained(tmp_path / "with", changing, act, loss)
    without, _ = _trained(tmp_path / "without", changing, act)
    assert with_it == without


@pytest.mark.parametrize("shared", [False, True])
def test_a_parameter_in_two_places_is_one_in_a_replica(tmp_path, changing, shared):
    model = changing(lambda m: m.head.other.weight.sum())
    model.head.part, model.head.other = nn.Sequential(nn.Linear(1, 1)), nn.Linear(1, 1)
    if shared:
        model.head.other.weight = model.head.part[0].weight
    metrics = make_runner(tmp_path, hook(), model=model).val()
    assert metrics["val_loss"] > 0
    assert (model.head.other.weight is model.head.part[0].weight) is shared


class Steps(nn.Module):
    """Counts in a buffer, as it is called; to be scripted."""

    def __init__(self):
        super().__init__()
        self.register_buffer("steps", torch.zeros(1))

    def forward(self, x):
        self.steps = self.steps + 1
        return x + self.steps


def _loaded(module):
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(module), file)
    file.seek(0)
    return torch.jit.load(file)  # it keeps its methods as they are called


@pytest.mark.filterwarnings("ignore:.torch.jit.[a-z]+. is deprecated")
@pytest.mark.parametrize("reads", [False, True])
def test_a_scripted_module_that_counts_is_not_changed(tmp_path, changing, reads):
    """What it counts cannot be restored, so a loss that reads it is rejected."""

    def act(model):
        counted = model.head.scripted(torch.zeros(1))
        return counted.sum() if reads else None

    model = changing(act)
    model.head.scripted = _loaded(Steps())
    loss = hook(on_unsupported="warn")
    metrics = make_runner(tmp_path, loss, model=model).val()
    assert ("val_loss" in metrics) is not reads
    assert model.head.scripted.steps.tolist() == [0.0]


@pytest.mark.filterwarnings("ignore:.torch.jit.[a-z]+. is deprecated")
def test_a_scripted_module_has_the_flag_that_the_training_gives_it(tmp_path, changing):
    model = changing(lambda m: m.head.scripted(torch.ones(8)).sum())
    model.head.scripted = scripted = torch.jit.script(nn.ReLU())
    before = sorted(vars(scripted))
    assert make_runner(tmp_path, hook(), model=model).val()["val_loss"] > 8
    assert sorted(vars(scripted)) == before
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
        (
            lambda: getattr(np.random, "default_rng", np.random.RandomState)(0),
            lambda thing: thing.normal(),
        ),
        (lambda: random.Random(0), lambda thing: thing.random()),
        (torch.Generator, lambda thing: torch.rand(1, generator=thing)),
        (_default, lambda thing: thing["a"].append(2)),
        (_default, lambda thing: thing["b"]),
        (lambda: Counter("aab"), lambda thing: thing.update("a")),
        (lambda: OrderedDict(a=1, b=2), lambda thing: thing.move_to_end("a")),
        (lambda: [object(), 1], lambda thing: thing.append(2)),
        (lambda: deque([object()], maxlen=1), lambda thing: thing.append(1)),
        (lambda: ({"a": object()}, [1]), lambda thing: thing[1].append(2)),
        (lambda: {object(), 1}, lambda thing: thing.add(2)),
        (lambda: {torch.ones(2): 1}, lambda thing: thing.clear()),
        (lambda: np.ones(2), lambda thing: thing.__iadd__(1)),
        (lambda: torch.ones(2), lambda thing: thing.add_(1)),
    ],
)
def test_what_a_loss_writes_into_is_unchanged_in_the_model(
    tmp_path, changing, logged, make, write
):
    def act(model):
        seen.append(_look(model.head.thing))
        write(model.head.thing)

    seen, model = [], changing(act)
    model.head.thing = thing = make()
    before = _look(thing)
    runner = make_runner(tmp_path, hook(), model=model, log_level="INFO")
    assert runner.val()["val_loss"] > 0
    assert model.head.thing is thing
    assert _look(thing) == before
    assert len(seen) > 5
    assert len({len(one) for one in seen}) == 1  # restored before each batch
    assert "changes head.thing (restored before each batch)" in logged()


def _look(thing):
    """Return what a thing shows, its generator state included."""
    for name in ("get_state", "getstate"):
        if hasattr(thing, name):
            state = getattr(thing, name)()
            return str(state.tolist() if isinstance(state, torch.Tensor) else state)
    return repr(getattr(getattr(thing, "bit_generator", None), "state", thing))
