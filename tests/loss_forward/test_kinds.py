"""Tensors of all kinds in a model: none is in the way, a change is seen."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from loss_forward.models import hook, make_runner
from valloss_compat._loss_forward.guard import ModelState

# Of torch about its own kinds, once a process: beta, prototype, deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors"),
    pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor"),
    pytest.mark.filterwarnings("ignore:Lazy modules are a new feature"),
]

_NAN = float("nan")


def _nested():
    if not hasattr(torch, "nested"):
        pytest.skip("torch.nested came with torch 1.13")
    return torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])


def _csr():
    if not hasattr(torch.Tensor, "to_sparse_csr"):
        pytest.skip("Tensor.to_sparse_csr came with torch 1.9")
    return torch.eye(2).to_sparse_csr()


def _float8():
    if not hasattr(torch, "float8_e4m3fn"):
        pytest.skip("torch.float8_e4m3fn came with torch 2.1")
    return torch.ones(2).to(torch.float8_e4m3fn)


def _inference():
    if not hasattr(torch, "inference_mode"):
        pytest.skip("torch.inference_mode came with torch 1.9")
    with torch.inference_mode():
        return torch.ones(2)


def _meta():
    try:
        return torch.empty(2, device="meta")
    except RuntimeError:
        pytest.skip("the meta device came with torch 1.9, in parts with 1.6")


KINDS = {
    "sparse": lambda: torch.eye(2).to_sparse(),
    "csr": _csr,
    "nested": _nested,
    "meta": _meta,
    "float8": _float8,
    "inference": _inference,
    "complex NaN": lambda: torch.full((2,), complex(_NAN, 1), dtype=torch.complex64),
    "quantized": lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
    "expanded": lambda: torch.ones(1).expand(3),
    "empty": lambda: torch.ones(0),
    "of a graph": lambda: nn.Linear(2, 2)(torch.ones(2)),
    "that requires grad": lambda: torch.ones(2, requires_grad=True),
}


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("wrap", [lambda t: t, lambda t: [t, {"a": (t, 1)}]])
def test_attributes_of_all_kinds_are_let_be(kind, wrap):
    """What did not change is not named, and stays the object it was."""
    module = nn.Linear(2, 2)
    module.cache = kept = wrap(KINDS[kind]())
    assert ModelState(module, whole=True).restore() == ([], [], [])
    assert module.cache is kept


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("whole", [True, False])
def test_buffers_of_all_kinds_are_let_be(kind, whole):
    """As torch accepts them as a buffer, no validation may fail for them."""
    module = nn.Linear(2, 2)
    module.register_buffer("cache", KINDS[kind]().detach())
    assert ModelState(module, whole=whole).restore() == ([], [], [])


def test_a_tensor_of_a_graph_is_put_back():
    """In place, so that it belongs to its graph as before."""
    module = nn.Linear(2, 2)
    module.cache = kept = module(torch.ones(1, 2))  # no view: these get another
    before, graph = kept.tolist(), kept.grad_fn
    module.pair = [kept, kept]
    state = ModelState(module, whole=True)
    with torch.no_grad():
        kept.add_(1)
    assert state.restore().attributes == ["cache"]  # with it, the pair is right
    assert module.cache is module.pair[0] is module.pair[1] is kept
    assert kept.tolist() == before
    assert kept.grad_fn is graph


def test_a_complex_buffer_is_put_back():
    """A number beside a NaN changed, which is equal to nothing."""
    module = nn.Linear(2, 2)
    was = torch.tensor([complex(_NAN, 0), 1j])
    module.register_buffer("cache", was.clone())
    state = ModelState(module, whole=True)
    module.cache[1] = 2j
    assert state.restore().tensors == ["cache"]
    assert module.cache[1] == 1j


def test_float8_is_put_back():
    """Compared by its bits: torch has no comparison of it."""
    module = nn.Linear(2, 2)
    module.register_buffer("cache", _float8())
    state = ModelState(module, whole=True)
    assert state.restore().tensors == []
    module.cache.copy_(torch.zeros(2))
    assert state.restore().tensors == ["cache"]
    assert module.cache.float().tolist() == [1.0, 1.0]


def test_what_cannot_be_copied_is_watched():
    """There is no copy to put back, but nothing is silent."""
    module = nn.Linear(2, 2)
    module.register_buffer("graph", torch.eye(2).to_sparse())
    state = ModelState(module, whole=True)
    module.graph.mul_(2)
    assert state.restore() == ([], [], ["graph"])


@pytest.mark.skipif(
    not hasattr(nn, "LazyLinear"), reason="lazy modules came with torch 1.8"
)
def test_a_lazy_module_that_never_ran_is_let_be():
    """Its parameters have no shape yet."""
    module = nn.Sequential(nn.Linear(2, 2), nn.LazyLinear(2))
    for whole in (True, False):
        assert ModelState(module, whole=whole).restore() == ([], [], [])


def test_a_list_that_holds_itself_is_let_be():
    """It is no plain data, but nothing to fail for."""
    module = nn.Linear(2, 2)
    module.ring = ring = []
    ring.append(ring)
    assert ModelState(module, whole=True).restore() == ([], [], [])
    assert module.ring is ring


def test_a_training_goes_on_whose_model_holds_features_and_a_graph(
    tmp_path, changing, capsys
):
    """The last features of the training, as many models keep them."""
    numbers = []
    for odd in (False, True):
        model = changing(lambda head: None)
        if odd:
            features = torch.ones(2, 4)
            model.head.features = model.backbone.fc(features)
            model.head.register_buffer("graph", torch.eye(2).to_sparse())
        runner = make_runner(tmp_path, hook(strategy="second_forward"), model=model)
        numbers.append(runner.val()["val_loss"])
    assert numbers[0] == numbers[1]
    assert "changed" not in capsys.readouterr().out
