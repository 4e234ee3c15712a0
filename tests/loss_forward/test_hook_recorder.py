"""Which forward hooks only watch, so that a replica leaves them out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from loss_forward.models import Classifier, Points, hook, make_runner
from loss_forward.oracle import frozen_losses
from valloss_compat._loss_forward.replica import HooksThatWatch, Replica

pytestmark = pytest.mark.slow  # asks little of mmengine


def _recorded(register):
    """Run predictions with a hook on the head; return what was found watching."""
    model = Classifier().eval()
    register(model)
    with torch.no_grad(), HooksThatWatch(model) as watching:
        model.head((torch.ones(2, 4),))
    return model, watching.ids


def _hooks(module):
    return [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]


SEEN = []


@pytest.mark.parametrize(
    "register",
    [
        lambda m: m.head.register_forward_hook(lambda *_: SEEN.append(1)),
        lambda m: m.head.register_forward_pre_hook(lambda *_: SEEN.append(1)),
        lambda m: m.head.fc.register_forward_hook(lambda mod, i, o: SEEN.append(o)),
    ],
    ids=["forward", "pre", "inner"],
)
def test_forward_hook_that_only_watches_is_not_in_the_replica(register):
    model, watching = _recorded(register)
    assert len(watching) == 1
    copied = Replica(model, watching).model
    assert _hooks(copied.head) == _hooks(copied.head.fc) == []
    assert len(_hooks(model.head)) + len(_hooks(model.head.fc)) == 1


def _writes_output(module, args, output):
    output.add_(1)


def _writes_argument(module, args):
    args[0][0].add_(1)


def _writes_buffer(module, args, output):
    module._buffers["note"] = torch.ones(1)


@pytest.mark.parametrize(
    "register",
    [
        lambda m: m.head.register_forward_hook(lambda mod, args, out: out * 2),
        lambda m: m.head.register_forward_hook(_writes_output),
        lambda m: m.head.register_forward_pre_hook(_writes_argument),
        lambda m: m.head.register_forward_hook(
            lambda mod, *_: setattr(mod, "features", 1)
        ),
        lambda m: m.head.register_forward_hook(_writes_buffer),
    ],
    ids=["output", "in place", "argument", "attribute", "buffer"],
)
def test_forward_hook_that_acts_is_in_the_replica(register):
    model, watching = _recorded(register)
    assert watching == set()
    assert len(_hooks(Replica(model, watching).model.head)) == 1


def test_forward_hook_that_was_not_called_is_in_the_replica():
    model, watching = _recorded(
        lambda m: m.backbone.register_forward_hook(lambda *_: None)
    )
    assert watching == set()
    assert len(_hooks(Replica(model, watching).model.backbone)) == 1


def test_forward_hook_that_acts_once_is_in_the_replica():
    calls = []

    def every_second(module, args, output):
        calls.append(1)
        return output * 2 if len(calls) % 2 == 0 else None

    model = Classifier().eval()
    model.head.register_forward_hook(every_second)
    with torch.no_grad(), HooksThatWatch(model) as watching:
        for _ in range(2):
            model.head((torch.ones(2, 4),))
    assert watching.ids == set()


def test_forward_hooks_are_what_they_were_after_the_predictions():
    removed = []

    def once(*_):
        removed.pop().remove()

    model = Classifier().eval()
    kept = lambda *_: None  # noqa: E731
    model.head.register_forward_hook(kept)
    removed.append(model.head.register_forward_hook(once))
    with torch.no_grad(), HooksThatWatch(model):
        model.head((torch.ones(2, 4),))
    assert _hooks(model.head) == [kept]


def test_forward_hook_with_keywords_is_recorded():
    if torch.__version__.startswith("1."):
        pytest.skip("with_kwargs came with torch 2.0")

    def watch(module, args, kwargs, output):
        SEEN.append(kwargs)

    _, watching = _recorded(
        lambda m: m.head.register_forward_hook(watch, with_kwargs=True)
    )
    assert len(watching) == 1


class Feature(Classifier):
    """Its loss reads what a forward hook keeps."""

    def __init__(self, keep):
        super().__init__()
        self.kept = {}
        keep(self)

    def _keep(self, module, args, output):
        self.kept["features"] = output

    def loss(self, scores, data_samples):
        losses = super().loss(scores, data_samples)
        return {**losses, "loss_kept": self.kept["features"].pow(2)}


def _by_method(model):
    model.backbone.fc.register_forward_hook(model._keep)


def _by_closure(model):
    kept = model.kept

    def keep(module, args, output):
        kept["features"] = output

    model.backbone.fc.register_forward_hook(keep)


class Keeper:
    def __init__(self, kept):
        self.kept = kept

    def __call__(self, module, args, output):
        self.kept["features"] = output


def _by_object(model):
    model.backbone.fc.register_forward_hook(Keeper(model.kept))


def _by_method_of_an_object(model):
    model.backbone.fc.register_forward_hook(Keeper(model.kept).__call__)


@pytest.mark.parametrize("strategy", ["auto", "second_forward"])
@pytest.mark.parametrize(
    "keep", [_by_method, _by_closure, _by_object, _by_method_of_an_object]
)
def test_loss_that_reads_what_a_hook_keeps_is_right_for_each_batch(
    tmp_path, keep, strategy
):
    metrics = make_runner(tmp_path, hook(strategy=strategy), model=Feature(keep)).val()
    oracle = Classifier()
    features = [
        batch.pow(2).mean()
        for batch in oracle.backbone.fc(Points().points).detach().split(4)
    ]
    assert metrics["loss_kept"] == pytest.approx(
        float(sum(features)) / len(features), rel=1e-6
    )


def test_forward_hook_that_only_watches_is_called_once(tmp_path):
    runner = make_runner(tmp_path, hook(strategy="second_forward"))
    seen = []
    runner.model.head.fc.register_forward_hook(lambda *_: seen.append(1))
    metrics = runner.val()
    assert len(seen) == 3
    known = frozen_losses(Classifier())
    assert {name: metrics[name] for name in known} == pytest.approx(known, rel=1e-6)


def test_method_of_another_object_as_hook_is_not_copied():
    class Watcher:
        def __init__(self):
            self.calls = 0

        def __deepcopy__(self, memo):
            raise TypeError("there is one watcher")

        def watch(self, *args):
            self.calls += 1

    model, watcher = Classifier(), Watcher()
    model.head.register_forward_hook(watcher.watch)
    copied = Replica(model).model
    copied.head((torch.ones(2, 4),))
    assert watcher.calls == 1


def test_hook_of_a_module_that_is_no_part_of_the_model_is_not_copied():
    model, other = Classifier(), nn.Linear(1, 1)
    other.notes = []
    other.keep = lambda *_: other.notes.append(1)
    model.head.register_forward_hook(other.keep)
    Replica(model).model.head((torch.ones(2, 4),))
    assert other.notes == [1]
