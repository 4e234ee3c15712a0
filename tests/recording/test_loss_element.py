"""What counts as a loss element, and what is left alone."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from types import MappingProxyType

import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData
from support.tiny import element, sample

from valloss_compat._recording.loss_element import (
    extract_losses,
    extract_losses_like_native,
    is_loss_element,
)


class Mine(BaseDataElement):
    """A subclass."""


@pytest.mark.parametrize("kind", [BaseDataElement, Mine, InstanceData])
@pytest.mark.parametrize("container", [list, tuple])
def test_a_last_element_with_loss_alone_is_taken_off(container, kind):
    """From a list and from a tuple, also of a subclass; the rest stays in order."""
    if kind is InstanceData:
        # Its values have lengths; a dict of one loss has one.
        last = kind(loss=[torch.ones(())])
        with pytest.raises(TypeError, match=r"of type list, but a dict"):
            extract_losses(container([sample(), last]))
        return
    first = sample()
    losses = {"loss": torch.ones(())}
    given = container([first, "labels", kind(loss=losses)])
    result, found = extract_losses(given)
    assert result == container([first, "labels"])
    assert type(result) is container
    assert found == losses
    assert len(given) == 3


def test_metainfo_does_not_matter():
    """A loss element may carry metainfo."""
    last = BaseDataElement(metainfo={"img_id": 3}, loss={})
    assert is_loss_element(last)
    assert extract_losses([last]) == ([], {})


def test_an_element_that_was_never_initialised_is_left_alone():
    """Nobody looks for fields where there are none yet."""
    given = [sample(), BaseDataElement.__new__(BaseDataElement)]
    assert extract_losses(given) == (given, None)


def its(*said):
    """A subclass that says itself what its keys are."""
    return type("Its", (BaseDataElement,), {"keys": lambda self: list(said)})


def test_what_keys_says_counts():
    """Of subclasses as well, also of one with keys() of its own."""
    for kind in (BaseDataElement, Mine):
        assert not is_loss_element(kind())
        assert not is_loss_element(kind(pred=1.0))
        assert not is_loss_element(kind(pred=1.0, loss={}))
        assert not is_loss_element(kind(loss={}, **dict.fromkeys("abcdefgh", 1.0)))
        assert is_loss_element(kind(loss={}))
    assert is_loss_element(its("loss")(pred=1.0))
    for said in (["pred"], ["acc"], ["acc", "loss"]):
        assert not is_loss_element(its(*said)(loss={}))


def test_a_namedtuple_becomes_a_tuple_without_the_element():
    """As slicing has it, and so native mmengine."""
    pair = namedtuple("pair", "scores element")(1, element(loss=torch.ones(())))
    assert extract_losses(pair)[0] == (1,)


def generator():
    yield element(loss=torch.ones(()))


@pytest.mark.parametrize(
    "result",
    [
        {"loss": 1.0},
        OrderedDict(a=element(loss=1.0)),
        torch.ones(3),
        None,
        generator(),
        [],
        (),
        "text",
        7,
        element(loss=torch.ones(())),
        [element(loss=torch.ones(())), sample()],
        [sample(), BaseDataElement(loss={}, other=1)],
        [sample(), BaseDataElement(loss={}, **dict.fromkeys("abcdefgh", 1))],
        [sample(), BaseDataElement(metainfo={"loss": {}})],
        [sample(), {"loss": torch.ones(())}],
    ],
    ids=lambda result: type(result).__name__,
)
def test_anything_else_is_the_very_same_object(result):
    """No copy, no look inside: what is no loss element is left alone."""
    same, losses = extract_losses(result)
    assert same is result
    assert losses is None


@pytest.mark.parametrize("kind", [dict, OrderedDict, MappingProxyType])
def test_any_mapping_will_do(kind):
    """A parse_losses may return an OrderedDict, as mmengine's does."""
    losses = kind({"loss": torch.ones(())})
    assert extract_losses([1, BaseDataElement(loss=losses)]) == ([1], losses)


@pytest.mark.parametrize(
    ("result", "error"),
    [
        ({"a": 1}, KeyError),
        (None, TypeError),
        ([], IndexError),
        (generator(), TypeError),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_native_raises_on_what_it_cannot_index(result, error):
    """Mmengine issue 1603, kept in parity mode."""
    with pytest.raises(error):
        extract_losses_like_native(result)


def test_native_extracts_any_mapping():
    """What has no items is an error; what is no loss element stays as it is."""
    element = BaseDataElement(loss={"loss": 2})
    assert extract_losses_like_native([1, 3, element]) == ([1, 3], {"loss": 2})
    with pytest.raises(AttributeError, match="items"):
        extract_losses_like_native([1, 3, BaseDataElement(loss=2)])
    batch = torch.ones(3)
    assert extract_losses_like_native(batch)[0] is batch
