"""Tensors and modules of all kinds in a replica."""

from __future__ import annotations

import io

import pytest
import torch
from torch import nn

from loss_forward.models import Classifier
from loss_forward.test_content import meta
from valloss_compat._loss_forward.replica import Replica

# Of torch about its own kinds of tensors, once a process.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta"),
    pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor"),
    pytest.mark.filterwarnings("ignore:Lazy modules are a new feature"),
    pytest.mark.filterwarnings("ignore:.torch.jit.[a-z]+. is deprecated"),
    pytest.mark.filterwarnings("ignore:TypedStorage is deprecated"),
]


def _made(name, make):
    if not hasattr(torch, name) and not hasattr(torch.Tensor, name):
        pytest.skip(f"this torch has no {name}")
    return make()


def _inference():
    with torch.inference_mode():
        return torch.ones(2)


def _csr():
    tensor = torch.eye(2).to_sparse_csr()
    try:
        return tensor.clone()
    except NotImplementedError:
        pytest.skip("torch 1.10 cannot clone a CSR tensor")


KINDS = {
    "sparse": lambda: torch.eye(2).to_sparse(),
    "csr": lambda: _made("to_sparse_csr", _csr),
    "meta": meta,
    "float8": lambda: _made(
        "float8_e4m3fn", lambda: torch.ones(2).to(torch.float8_e4m3fn)
    ),
    "inference": lambda: _made("inference_mode", _inference),
    "complex": lambda: torch.full((2,), complex(float("nan"), 1)),
    "quantized": lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
    "expanded": lambda: torch.ones(1).expand(3),
    "empty": lambda: torch.ones(0),
}


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("place", ["attribute", "list", "buffer"])
def test_tensors_of_all_kinds_are_copied_and_restored(kind, place):
    model, value = Classifier(), KINDS[kind]()
    if place == "buffer":
        model.register_buffer("cache", value)
    else:
        model.cache = value if place == "attribute" else [value, {"a": (value, 1)}]
    replica, untouched = Replica(model), Replica(model)
    assert replica.model.cache is not model.cache
    replica.model.cache = None
    replica.find_changes(untouched)
    assert "cache" in [change.path for change in replica.changes]
    replica.restore()
    restored = replica.model.cache
    assert type(restored) is type(model.cache)
    restored = restored[0] if place == "list" else restored
    one, other = ((x.dtype, x.layout, x.shape) for x in (restored, value))
    assert one == other


def test_a_lazy_module_is_copied():
    if not hasattr(nn, "LazyLinear"):
        pytest.skip("this torch has no lazy modules")
    model = Classifier()
    model.lazy = nn.LazyLinear(2)
    assert Replica(model).model.lazy.weight is model.lazy.weight


def test_a_scripted_module_is_copied():
    model = Classifier()
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.BatchNorm1d(2)), file)
    file.seek(0)
    model.part = torch.jit.load(file)
    replica, untouched = Replica(model), Replica(model)
    replica.model.part.running_mean.add_(1)
    assert model.part.running_mean.tolist() == [0.0, 0.0]
    replica.find_changes(untouched)
    assert replica.changes == []
