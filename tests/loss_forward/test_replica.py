"""A copy of a model that shares its parameters and owns everything else."""

from __future__ import annotations

import collections
import logging
import random
import threading

import pytest
import torch
from mmengine.hooks import Hook
from torch import nn
from torch.nn import functional as F

from loss_forward.models import Classifier, loader
from valloss_compat._loss_forward.replica import Replica
from valloss_compat.errors import UnsupportedError

pytestmark = pytest.mark.slow  # asks little of mmengine


def test_replica_allocates_buffers_only():
    model = Classifier()
    model.register_buffer("count", torch.zeros(3))
    copied = Replica(model).model
    shared, found = dict(model.named_parameters()), dict(copied.named_parameters())
    assert shared
    assert {n: p.data_ptr() for n, p in shared.items()} == {
        n: p.data_ptr() for n, p in found.items()
    }
    one, other = dict(model.named_buffers()), dict(copied.named_buffers())
    assert list(one) == list(other)
    assert "count" in one
    for name, buffer in one.items():
        assert other[name].data_ptr() != buffer.data_ptr(), name
        assert torch.equal(other[name], buffer)


def test_attributes_of_a_replica_are_copies_of_one_another():
    model = Classifier()
    model.cache = {"features": [torch.ones(2)], "seen": {1}}
    model.same = model.cache["features"]
    copied = Replica(model).model
    copied.cache["features"].append(1)
    copied.cache["seen"].add(2)
    copied.cache["features"][0].add_(1)
    assert copied.same is copied.cache["features"]
    assert str(model.cache) == "{'features': [tensor([1., 1.])], 'seen': {1}}"


def test_flags_of_a_replica_are_its_own():
    model = Classifier()
    Replica(model).model.eval()
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("kind", [list, tuple, collections.deque, "dict", "object"])
def test_parameters_of_an_unregistered_module_are_shared(kind):
    model, teacher = Classifier(), nn.BatchNorm1d(2)
    if kind == "object":
        model.teachers = type("Box", (), {})()
        model.teachers.first = teacher
        get = lambda owner: owner.teachers.first  # noqa: E731
    elif kind == "dict":
        model.teachers = {0: teacher}
        get = lambda owner: owner.teachers[0]  # noqa: E731
    else:
        model.teachers = kind([teacher])
        get = lambda owner: owner.teachers[0]  # noqa: E731
    replica = Replica(model)
    copied = get(replica.model)
    assert copied is not teacher
    assert copied.weight is teacher.weight
    assert copied.running_mean is not teacher.running_mean
    assert any(original is teacher for _, original, _ in replica.modules)
    assert [path for path, p in replica.parameters.items() if p is teacher.weight]


def test_a_leaf_that_requires_a_gradient_is_shared():
    model = Classifier()
    model.scale = torch.ones(2, requires_grad=True)
    assert Replica(model).model.scale is model.scale


@pytest.mark.parametrize(
    "wrap", [lambda t: t, lambda t: [t], lambda t: collections.deque([t])]
)
def test_a_tensor_of_a_graph_is_copied_without_it(wrap):
    model = Classifier()
    value = model.backbone.fc(torch.ones(1, 4))
    model.features = wrap(value)
    copied = Replica(model).model.features
    copied = copied if isinstance(copied, torch.Tensor) else copied[0]
    assert copied is not value
    assert not copied.requires_grad
    assert copied.tolist() == value.tolist()


def test_what_a_model_refers_to_without_owning_it_is_shared():
    model, own = Classifier(), logging.getLogger("of the model")
    model.notes = [own, logging.NullHandler(), torch, Hook(), loader()]
    assert all(a is b for a, b in zip(model.notes, Replica(model).model.notes))


def test_a_generator_is_copied_with_its_state():
    model = Classifier()
    model.rng, model.shared = torch.Generator().manual_seed(4), torch.default_generator
    torch.rand(3, generator=model.rng)
    copied = Replica(model).model
    assert copied.shared is torch.default_generator
    drawn = torch.rand(2, generator=copied.rng)
    assert drawn.tolist() == torch.rand(2, generator=model.rng).tolist()


def test_a_list_that_holds_itself_is_copied():
    model = Classifier()
    model.ring = [1]
    model.ring.append(model.ring)
    copied = Replica(model).model.ring
    assert copied is not model.ring
    assert copied[1] is copied


class Sharing:
    """Says by ``__deepcopy__`` that it is never copied."""

    def __init__(self, module):
        self.module = module

    def __deepcopy__(self, memo):
        return self


def test_an_object_that_shares_its_module_on_a_copy_is_no_error():
    model = Classifier()
    model.shared = Sharing(nn.Linear(2, 2))
    assert Replica(model).model.shared is model.shared


# Functions on instances.


class Caller(nn.Module):
    def __init__(self):
        super().__init__()
        self.runs = 0

    def forward(self, x):
        self.runs += 1
        return x


def _wrapped(module):
    inner = module.forward
    module.forward = lambda x: inner(x)


def _twice_wrapped(module):
    _wrapped(module)
    _wrapped(module)


def _by_default(module):
    def forward(x, own=module, *, other=1):
        return Caller.forward(own, x) * other

    module.forward = forward


def _recursive(module):
    inner = module.forward

    def forward(x, depth=2):
        return inner(x) if not depth else forward(x, depth - 1)

    module.forward = forward


def _bound(module):
    module.forward = module.forward


def _compiled(module):
    inner = module.forward

    def compiled(x):
        raise AssertionError("compiled for the original")

    compiled._torchdynamo_orig_callable = inner
    module.forward = compiled


@pytest.mark.parametrize(
    "wrap", [_wrapped, _twice_wrapped, _by_default, _recursive, _bound, _compiled]
)
def test_a_forward_on_the_instance_runs_the_copy(wrap):
    model = Classifier()
    model.caller = Caller()
    wrap(model.caller)
    copied = Replica(model).model.caller
    assert copied(torch.ones(1)).tolist() == [1.0]
    assert (model.caller.runs, copied.runs) == (0, 1)


def test_a_function_without_the_model_in_its_closure_is_kept():
    model, seen = Classifier(), []
    model.note = lambda x: seen.append(x)
    model.plain = F.relu
    copied = Replica(model).model
    assert copied.note is model.note
    assert copied.plain is F.relu


def test_a_closure_over_a_name_without_a_value_is_kept():
    model = Classifier()

    def make():
        def note():
            return later

        if model is None:
            later = 1
        return note

    model.note = make()
    with pytest.raises(NameError):
        Replica(model).model.note()


def test_attributes_of_a_wrapped_function_are_kept():
    model = Classifier()
    inner = model.head.forward
    model.head.forward = lambda x: inner(x)
    model.head.forward.note = 3
    assert Replica(model).model.head.forward.note == 3


def test_a_compiled_call_of_the_original_is_left_out():
    model = Classifier()
    vars(model)["_compiled_call_impl"] = lambda *_: pytest.fail("of the original")
    copied = Replica(model).model
    assert vars(copied)["_compiled_call_impl"] is None


# What cannot be copied.


def test_what_cannot_be_copied_is_named_with_its_path():
    model = Classifier()
    model.head.lock = threading.Lock()
    with pytest.raises(UnsupportedError, match=r"^.*: head\.lock: it cannot be copied"):
        Replica(model)
    model = Classifier()
    model.lock = threading.Lock()
    with pytest.raises(UnsupportedError, match=r"^.*: lock: it cannot be copied"):
        Replica(model)


def test_what_cannot_be_copied_in_a_container_is_named_with_its_path():
    model = Classifier()
    model.head.locks = [{"a": threading.Lock()}]
    with pytest.raises(UnsupportedError, match=r"^.*: head\.locks: it cannot be"):
        Replica(model)


def test_a_model_that_rejects_copies_is_named():
    class Single(Classifier):
        def __deepcopy__(self, memo):
            raise RuntimeError("there is one of me")

    with pytest.raises(UnsupportedError, match=r"Single: it cannot .* one of me"):
        Replica(Single())


def test_random_augmentations_of_the_preprocessor_are_left_out():
    model = Classifier()
    model.data_preprocessor.batch_augments = [random.random]
    model.data_preprocessor.blending = None
    copied = Replica(model).model.data_preprocessor
    assert copied.batch_augments is None
    assert copied.blending is None
    assert model.data_preprocessor.batch_augments == [random.random]


# What a loss changed.


def _changes(act):
    model = Classifier()
    model.seen, model.rng, model.gone = [1], torch.Generator().manual_seed(1), "here"
    model.register_buffer("count", torch.zeros(2))
    model.head.teacher = [nn.BatchNorm1d(2)]
    replica, untouched = Replica(model), Replica(model)
    act(replica.model)
    replica.find_changes(untouched)
    changes = replica.changes
    replica.restore()
    replica.find_changes(untouched)
    assert replica.changes == []
    return sorted(change.path for change in changes), replica.model, untouched.model


@pytest.mark.parametrize(
    ("act", "name"),
    [
        (lambda m: m.count.add_(1), "count"),
        (lambda m: m.seen.append(2), "seen"),
        (lambda m: torch.rand(1, generator=m.rng), "rng"),
        (lambda m: setattr(m.head, "fresh", 1), "head.fresh"),
        (lambda m: delattr(m, "gone"), "gone"),
        (lambda m: m.head.register_buffer("more", torch.ones(1)), "head.more"),
        (lambda m: m.head.teacher[0].running_var.mul_(2), "head.teacher.0.running_var"),
    ],
)
def test_a_change_is_found_by_its_path_and_restored(act, name):
    names, restored, untouched = _changes(act)
    assert names == [name]
    assert restored.count.tolist() == [0.0, 0.0]
    assert restored.seen == [1]
    assert restored.gone == "here"
    assert restored.seen is not untouched.seen
    assert not hasattr(restored.head, "fresh")
    assert not hasattr(restored.head, "more")
    assert restored.rng is not untouched.rng


def test_no_change_is_found_where_nothing_ran():
    assert _changes(lambda model: None)[0] == []


def test_what_refers_to_a_module_refers_to_that_of_the_replica_when_restored():
    model, hook = Classifier(), Hook()
    model.current = [model.head, model.head.fc.weight, hook]
    replica, untouched = Replica(model), Replica(model)
    replica.model.current.append(1)
    replica.find_changes(untouched)
    replica.restore()
    assert replica.model.current[0] is replica.model.head
    assert replica.model.current[1] is model.head.fc.weight
    assert replica.model.current[2] is hook
    assert len(replica.model.current) == 3


def test_a_state_is_restored_each_time_as_it_was():
    model = Classifier()
    model.state = {"rng": torch.Generator().manual_seed(1), "seen": [0]}
    replica, untouched = Replica(model), Replica(model)
    replica.model.state["seen"].append(1)
    replica.find_changes(untouched)
    drawn = []
    for _ in range(2):
        replica.restore()
        drawn.append(torch.rand(2, generator=replica.model.state["rng"]).tolist())
        assert replica.model.state["seen"] == [0]
        replica.model.state["seen"].append(1)
    assert drawn[0] == drawn[1]
