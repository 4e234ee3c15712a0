"""The losses of a validation: the right number, batch by batch, pass by pass."""

from __future__ import annotations

import collections
import random
import types

import numpy as np
import pytest
import torch
from mmengine.hooks import EMAHook, Hook
from mmengine.logging import MessageHub
from torch import nn

from loss_forward.models import (
    Classifier,
    Head,
    Watch,
    expected,
    hook,
    make_runner,
)
from loss_forward.oracle import frozen_losses
from loss_forward.rejection import rejected

pytestmark = pytest.mark.slow  # asks little of mmengine


def close(metrics, known):
    """Compare the losses among metrics."""
    assert {name: metrics[name] for name in known} == pytest.approx(known, rel=1e-6)


# State that a loss changes: no batch sees that of another one.


def _counter(model):
    model.head.count += 1
    return model.head.count[0]


def _list(model):
    model.head.seen.append(1)
    return float(len(model.head.seen))


def _attribute(model):
    model.fresh = getattr(model, "fresh", 0.0) + 1
    return model.fresh


def _replaced_buffer(model):
    model.head.count = model.head.count + 1
    return model.head.count[0]


def _new_buffer(model):
    first = "other" not in model._buffers
    model.register_buffer("other", torch.ones(1))
    return 1.0 if first else 2.0


def _generator(model):
    return torch.rand((), generator=model.rng)


def _numpy(model):
    model.things["rng"] = model.things.get("rng") or np.random.RandomState(3)
    return float(model.things["rng"].rand())


def _python(model):
    return model.python.random()


def _queue(model):
    model.queue.append(1.0)
    return float(len(model.queue))


STATES = {
    _counter: ("head.count", 1.0),
    _list: ("head.seen", 1.0),
    _attribute: ("fresh", 1.0),
    _replaced_buffer: ("head.count", 1.0),
    _new_buffer: ("other", 1.0),
    _generator: ("rng", None),
    _numpy: ("things", None),
    _python: ("python", None),
    _queue: ("queue", 1.0),
}


@pytest.mark.parametrize("strategy", ["auto", "second_forward"])
@pytest.mark.parametrize("act", list(STATES), ids=lambda act: act.__name__)
def test_state_is_restored_before_each_batch_and_named_in_the_log(
    tmp_path, changing, logged, act, strategy
):
    name, added = STATES[act]
    model, acted = changing(act), []
    model.act = lambda model: acted.append(float(act(model))) or acted[-1]
    model.rng, model.python = torch.Generator().manual_seed(3), random.Random(3)
    model.things, model.queue = {}, collections.deque(maxlen=2)
    before = sorted(vars(model)), sorted(model._buffers), model.rng.get_state().tolist()
    loss = hook(strategy=strategy)
    runner = make_runner(tmp_path, loss, model=model, log_level="INFO")
    metrics = runner.val()
    assert f"changes {name} (restored before each batch)" in logged()
    assert len(acted) > 3
    assert len(set(acted)) == 1
    known = expected(changing(lambda model: None))["loss_cls"] + acted[0]
    assert metrics["loss_cls"] == pytest.approx(known, rel=1e-6)
    assert added is None or acted[0] == added
    assert model.head.count.tolist() == [0.0, 0.0]
    assert (model.head.seen, model.things, list(model.queue)) == ([], {}, [])
    after = sorted(vars(model)), sorted(model._buffers), model.rng.get_state().tolist()
    assert after == before


class Remembering(Head):
    """Keeps something in its forward, which the loss reads."""

    def __init__(self, keep, read):
        super().__init__()
        self.keep, self.read = keep, read
        self.items, self.listed = {}, [torch.zeros(())]
        self.nested = {"a": [torch.zeros(())]}
        self.queue = collections.deque([torch.zeros(())], maxlen=1)
        self.notes = types.SimpleNamespace(last=torch.zeros(()))
        self.register_buffer("total", torch.zeros(()))

    def forward(self, features):
        self.keep(self, features[0].sum())
        return super().forward(features)


class Reading(Classifier):
    def __init__(self, keep, read):
        super().__init__()
        self.head = Remembering(keep, read)

    def loss(self, scores, data_samples):
        losses = super().loss(scores, data_samples)
        return {**losses, "loss_last": self.head.read(self.head)}


KEEPS = {
    "attribute": (lambda m, x: setattr(m, "last", x), lambda m: m.last),
    "item": (lambda m, x: m.items.update(last=x), lambda m: m.items["last"]),
    "list": (lambda m, x: m.listed.__setitem__(0, x), lambda m: m.listed[0]),
    "nested": (
        lambda m, x: m.nested["a"].__setitem__(0, x),
        lambda m: m.nested["a"][0],
    ),
    "deque": (lambda m, x: m.queue.append(x), lambda m: m.queue[0]),
    "object": (lambda m, x: setattr(m.notes, "last", x), lambda m: m.notes.last),
    "buffer": (lambda m, x: m.total.copy_(x), lambda m: m.total.clone()),
    "buffer replaced": (
        lambda m, x: setattr(m, "total", x + 0),
        lambda m: m.total.clone(),
    ),
    "inner": (lambda m, x: setattr(m.fc, "last", x), lambda m: m.fc.last),
}


@pytest.mark.parametrize("kind", list(KEEPS))
@pytest.mark.parametrize("trained", [False, True])
def test_a_module_that_keeps_something_is_not_reused(tmp_path, logged, trained, kind):
    model = Reading(*KEEPS[kind])
    if trained:  # it has kept something already, of another batch
        KEEPS[kind][0](model.head, torch.ones(()))
    known = frozen_losses(model)
    metrics = make_runner(tmp_path, hook(), model=model, log_level="INFO").val()
    close(metrics, known)
    if kind == "attribute":
        assert "reuses backbone of the predictions" in logged()


def test_what_a_loss_logs_is_taken_back(tmp_path, changing):
    def act(model):
        hub = MessageHub.get_current_instance()
        hub.update_scalar("train/other", 1.0)
        hub.update_scalar("train/known", 2.0)
        hub.update_info("odd", 1)

    runner = make_runner(tmp_path, hook(), model=changing(act))
    runner.message_hub.update_scalar("train/known", 1.0)
    runner.val()
    assert "train/other" not in runner.message_hub.log_scalars
    assert runner.message_hub.get_scalar("train/known").data[0].tolist() == [1.0]
    assert "odd" not in runner.message_hub.runtime_info


# A pass of its own replica.


class Sets(Hook):
    """Sets what a user's hook might, before validations."""

    def __init__(self, act):
        self.act = act

    def before_val_epoch(self, runner):
        self.act(runner)


def test_each_validation_has_its_own_replica(tmp_path, changing):
    seen = []

    def act(model):
        if model.head.last > 0:
            seen.append(1)
        return torch.tensor(model.head.last)

    def more(runner):
        runner.model.head.last += 1.0

    runner = make_runner(tmp_path, Sets(more), hook(), model=changing(act))
    known = expected(changing(lambda model: None))["loss_cls"]
    for epoch in (1, 2):
        found = runner.val_loop.run()["loss_cls"]
        assert found == pytest.approx(known + epoch, rel=1e-6)
    assert seen


def test_a_loss_that_other_batches_change_is_rejected_at_the_end(tmp_path, changing):
    class Elsewhere:
        """State that no copy has."""

        batches = 0

    def act(model):
        Elsewhere.batches += 1
        return 0.0 if Elsewhere.batches < 6 else 1.0

    rejection = rejected(tmp_path, changing(act), "at the end of the validation")
    assert "loss_cls=" in rejection.reason


def test_half_an_epoch_is_not_reported(tmp_path, changing):
    calls = []

    def act(model):
        calls.append(1)
        if len(calls) == 6:
            raise ValueError("in the third batch")

    loss = hook(strategy="second_forward", on_unsupported="warn", sanity_check=False)
    runner = make_runner(tmp_path, loss, model=changing(act))
    assert set(runner.val()) == {"mean/score"}
    assert len(calls) == 6
    assert set(runner.val_loop.run()) == {"mean/score"}
    assert len(calls) == 6


# Modes, weights and precision of the predictions.


@pytest.mark.filterwarnings("ignore:The value of momentum in EMA")
@pytest.mark.parametrize("buffers", [False, True])
def test_averaged_weights_are_what_is_validated(tmp_path, buffers):
    class Weights(Hook):
        def before_val_iter(self, runner, batch_idx, data_batch=None):
            self.state = {k: v.clone() for k, v in runner.model.state_dict().items()}

    weights, watch = Weights(), Watch()
    averaged = EMAHook(momentum=0.5, update_buffers=buffers)
    runner = make_runner(tmp_path, hook(), averaged, weights, watch)
    runner.train()
    model = Classifier()
    model.load_state_dict(weights.state)
    close(watch.metrics[-1], frozen_losses(model))
    trained = frozen_losses(runner.model)["val_loss"]
    assert watch.metrics[-1]["val_loss"] != pytest.approx(trained)


def test_a_module_in_training_mode_in_the_predictions_stays_so(tmp_path):
    class Drops(Hook):
        def before_val_iter(self, runner, batch_idx, data_batch=None):
            runner.model.backbone.drop.train()

    runner = make_runner(tmp_path, Drops(), hook())
    close(runner.val(), frozen_losses(Classifier()))
    assert runner.model.backbone.drop.training


def test_half_precision_is_that_of_the_loop(tmp_path):
    if not hasattr(torch, "is_autocast_cpu_enabled"):
        pytest.skip("torch before 1.10 has no autocast on the CPU")
    seen = []

    class Typed(Head):
        def forward(self, features):
            scores = super().forward(features)
            seen.append(scores.dtype)
            return scores.float()

    model = Classifier()
    model.head = Typed()
    loss = hook(strategy="second_forward")
    make_runner(tmp_path, loss, model=model, val_cfg={"fp16": True}).val()
    assert len(seen) > 6
    assert len(set(seen)) == 1
    assert seen[0] is not torch.float32


# Other losses than in the last validation.


def test_losses_of_other_names_than_in_the_last_validation_are_reported(
    tmp_path, changing, logged
):
    class Growing(type(changing(None))):
        def loss(self, scores, data_samples):
            losses = super().loss(scores, data_samples)
            names = {2: ["loss_l1"], 3: ["loss_l1", "loss_l2"]}
            more = names.get(int(self.head.last), [])
            return {**losses, **dict.fromkeys(more, losses["acc"])}

    epochs = iter((1, 2, 2, 3))

    def set_epoch(runner):
        runner.model.head.last = next(epochs)

    model = Growing(lambda model: None)
    runner = make_runner(
        tmp_path, Sets(set_epoch), hook(), model=model, log_level="INFO"
    )
    for _ in range(4):
        runner.val_loop.run()
    found = logged()
    ending = "was reported by only one of this validation and the last one"
    assert found.count(ending) == 2
    assert found.count(f"ValLossHook: loss_l1 {ending}") == 1
    assert found.count(f"ValLossHook: loss_l2 {ending}") == 1


class Kept(nn.Module):
    """Gives back what it got in its first call."""

    def __init__(self):
        super().__init__()
        self.kept = []

    def forward(self, x):
        self.kept.append(x)
        return self.kept[0]


def test_a_module_that_keeps_what_it_got_is_not_reused(tmp_path):
    class Keeping(Classifier):
        def __init__(self):
            super().__init__()
            self.keeps = Kept()

        def loss(self, scores, data_samples):
            losses = super().loss(scores, data_samples)
            return {**losses, "loss_kept": self.keeps(scores).pow(2)}

    known = frozen_losses(Keeping())
    close(make_runner(tmp_path, hook(), model=Keeping()).val(), known)
