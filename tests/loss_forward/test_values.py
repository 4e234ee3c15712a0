"""Every write into an argument is seen, however large it is, and no tensor raises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from valloss_compat._loss_forward import content
from valloss_compat._loss_forward.content import Unknown, clone, same
from valloss_compat._loss_forward.reuse import Memo


class Mean(nn.Module):
    def __init__(self, write=None):
        super().__init__()
        self.write, self.runs = write, 0
        self.eval()

    def forward(self, x):
        self.runs += 1
        if self.write is not None:
            self.write(x)
        return x.mean((1, 2, 3))


def images(n=16):
    """Over a MiB; each element another."""
    return torch.rand(n, 3, 96, 96, generator=torch.Generator().manual_seed(0))


def hits(second, between=None, write=None, first=None):
    """How often a module is answered for that gets ``second`` after the images."""
    first = images() if first is None else first
    model = nn.Sequential(Mean(write)).eval()
    with torch.no_grad(), Memo(model, [model[0]]) as memo:
        model[0](first)
        if between is not None:
            between(first)
        memo.replay()
        argument = second(first)
        got = model[0](argument)
    assert same(got, argument.mean((1, 2, 3)))
    return memo.hits


WRITES = {
    "one element": lambda x: x[3, 2, 50, 50].add_(1e-3),
    "one bit": lambda x: x.numpy().view("int32")[0, 0, 0, :1].__ixor__(1),
    "a zero's sign": lambda x: x[0, 0, 0, 0].mul_(-1),
    "all elements": lambda x: x.add_(1),
    "columns change places": lambda x: x.copy_(x.flip(3)),
    "rows change places": lambda x: x.copy_(x.flip(2)),
    "channels change places": lambda x: x.copy_(x.flip(1)),
    "images change places": lambda x: x.copy_(x.flip(0)),
    "without a version": lambda x: x.data.add_(1),
    "by numpy": lambda x: x.numpy().__iadd__(1),
    "every second sign": lambda x: x[..., 1::2].neg_(),
    "all signs": lambda x: x.neg_(),
}


@pytest.fixture(params=list(WRITES))
def write(request):
    return WRITES[request.param]


@pytest.mark.parametrize("first", [images(), torch.zeros(16, 3, 96, 96)])
def test_equal_images_are_answered(first):
    assert hits(torch.clone, first=first) == 1
    assert hits(lambda x: x, first=first) == 1


def test_the_same_images_written_into_since_are_not(write):
    first = images()
    first[0, 0, 0, 0] = 0.0
    assert hits(lambda x: x, between=write, first=first) == 0
    assert hits(torch.clone, between=write, first=first) == 0


def test_other_images_are_not(write):
    def other(x):
        x = x.clone()
        write(x)
        return x

    first = images()
    first[0, 0, 0, 0] = 0.0
    assert hits(other, first=first) == 0


def test_a_module_that_writes_into_its_images_is_not_answered_for(write):
    first = images()
    first[0, 0, 0, 0] = 0.0
    again = first.clone()
    model = nn.Sequential(Mean(write)).eval()
    with torch.no_grad(), Memo(model, [model[0]]) as memo:
        model[0](first)
        memo.replay()
        model[0](again)
    assert (memo.hits, model[0].runs) == (0, 2)


def test_written_into_and_written_back_is_what_it_was():
    assert hits(lambda x: x, between=lambda x: x.neg_().neg_()) == 1


def test_nan_is_itself():
    first = images()
    first[2] = float("nan")
    assert hits(torch.clone, first=first) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_bits_are_compared_where_torch_cannot_view_them(monkeypatch, dtype):
    """As before torch 1.8: NaN is itself, a zero's sign counts, any strides will do."""
    monkeypatch.setattr(content, "_OTHER_SIZES", False)
    monkeypatch.setattr(content, "_OTHER_TYPES", False)
    one = torch.tensor([[0.0, 1.0, 2.0], [3.0, float("nan"), -4.0]], dtype=dtype).t()
    for write in (lambda x: x[0, 0].neg_(), lambda x: x[2, 1].mul_(2)):
        other = clone(one)
        assert same(one, other)
        write(other)
        assert not same(one, other)


def test_what_numpy_does_not_know_is_run_again_where_torch_cannot_view_it(monkeypatch):
    monkeypatch.setattr(content, "_OTHER_SIZES", False)
    monkeypatch.setattr(content, "_OTHER_TYPES", False)
    one = torch.ones(3, dtype=torch.bfloat16)
    assert not same(one, clone(one))


def test_another_shape_of_the_same_is_another_argument():
    """The module got five dimensions; what the loss gives it has four."""
    first = images()[None]
    model = nn.Sequential(Sums()).eval()
    with torch.no_grad(), Memo(model, [model[0]]) as memo:
        model[0](first)
        first.squeeze_(0)
        memo.replay()
        assert model[0](first.clone()).shape == (16,)
    assert memo.hits == 0


class Sums(nn.Module):
    def forward(self, x):
        return x.flatten(1).sum(1)


KINDS = {
    "whole words": lambda: torch.rand(4, 3, 8, 8),
    "integers": lambda: torch.arange(48),
    "not contiguous": lambda: torch.rand(4, 3, 8, 8).permute(0, 2, 3, 1),
    "no whole words": lambda: torch.rand(7),
    "between two words": lambda: torch.rand(9)[1:],
    "halves": lambda: torch.rand(5, 4).half(),
    "doubles": lambda: torch.rand(5).double(),
    "one of a kind, by numpy": lambda: torch.from_numpy(np.random.rand(2)[None]),
}


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_copy_is_the_same_until_something_is_written(kind, wide, monkeypatch):
    """Also with torch before 1.12, which has no views of another size."""
    monkeypatch.setattr(content, "_OTHER_SIZES", content._OTHER_SIZES and wide)
    tensor = KINDS[kind]()
    copied = clone(tensor)
    assert copied.data_ptr() != tensor.data_ptr()
    assert copied.stride() == tensor.stride()
    assert same(tensor, copied)
    tensor[-1] += 1
    assert not same(tensor, copied)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_a_copy_is_the_same_of_whatever_size_and_place(dtype):
    """Whether or not it fills and meets the words in which bits are compared."""
    base = torch.arange(50).to(dtype)
    for start in range(10):
        for size in range(1, 40):
            tensor = base[start : start + size]
            assert same(tensor, clone(tensor)), (start, size)


@pytest.mark.parametrize("name", ["bfloat16", "float8_e5m2"])
def test_kinds_that_numpy_does_not_know_are_compared(name):
    """By views of another type."""
    if not hasattr(torch, name):
        pytest.skip(f"this torch has no {name}")
    tensor = torch.ones(3).to(getattr(torch, name))
    try:
        tensor.view(torch.int16 if name == "bfloat16" else torch.uint8)
    except (RuntimeError, TypeError):
        pytest.skip("this torch has no views of another type")
    assert same(tensor, clone(tensor))
    assert not same(tensor, torch.zeros(3).to(tensor.dtype))


def test_without_memory_for_a_copy_the_module_runs_again(monkeypatch):
    def no_memory(*args, **kwargs):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(torch, "empty_strided", no_memory)
    assert hits(lambda x: x) == 0


def test_what_needs_a_gradient_has_no_copy():
    with pytest.raises(Unknown):
        clone(images().requires_grad_())


def test_a_tensor_without_data_is_no_other():
    try:
        tensor = torch.rand(4, device="meta")
    except RuntimeError:
        pytest.skip("this torch cannot fill a tensor on 'meta'")
    assert not same(tensor, clone(tensor))
