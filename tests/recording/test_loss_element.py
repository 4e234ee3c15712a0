"""What counts as a loss element, and how it is extracted."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Mapping
from types import MappingProxyType
from unittest import mock

import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData
from support.tiny import element, sample

from valloss_compat._recording.loss_element import (
    explain_missing_element,
    extract_losses,
    extract_losses_like_native,
    is_loss_element,
)


class Subclass(BaseDataElement):
    """As the data samples of downstream libraries."""


@pytest.mark.parametrize("kind", [BaseDataElement, Subclass, InstanceData])
@pytest.mark.parametrize("container", [list, tuple])
def test_last_item_with_loss_as_only_field_is_extracted(container, kind):
    """From a list or tuple, also of a subclass; the other items keep their order."""
    if kind is InstanceData:
        # Its fields need a length. A list has one, and is no mapping.
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


def test_element_that_was_never_initialised_is_left_alone():
    """It has no fields yet that could be read."""
    given = [sample(), BaseDataElement.__new__(BaseDataElement)]
    assert extract_losses(given) == (given, None)


class Typed(BaseDataElement):
    """Declares its field as a property, as the data samples of downstream libraries."""

    @property
    def loss(self):
        return self._loss

    @loss.setter
    def loss(self, value):
        self.set_field(value, "_loss")


def test_keys_of_an_element_decide():
    """Also those of a subclass that declares a property."""
    for kind in (BaseDataElement, Subclass, Typed):
        assert not is_loss_element(kind())
        assert not is_loss_element(kind(pred=1.0))
        assert not is_loss_element(kind(pred=1.0, loss={}))
        assert not is_loss_element(kind(loss={}, **dict.fromkeys("abcdefgh", 1.0)))
        assert is_loss_element(kind(loss={})) == (kind(loss={}).keys() == ["loss"])
    assert is_loss_element(Subclass(loss={}))


def test_namedtuple_becomes_a_tuple_without_the_element():
    """As by slicing, and so in native mmengine."""
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
def test_other_results_are_returned_unchanged(result):
    """The same object, not a copy."""
    same, losses = extract_losses(result)
    assert same is result
    assert losses is None


@pytest.mark.parametrize("kind", [dict, OrderedDict, MappingProxyType])
def test_losses_may_be_any_mapping(kind):
    """``parse_losses`` of mmengine returns an OrderedDict."""
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
def test_native_extraction_raises_for_results_without_an_index(result, error):
    """Issue 1603 of mmengine, kept in parity mode."""
    with pytest.raises(error):
        extract_losses_like_native(result)


def test_native_extraction_takes_losses_that_have_items():
    """Others are an error; a result without a loss element is returned unchanged."""
    last = BaseDataElement(loss={"loss": 2})
    assert extract_losses_like_native([1, 3, last]) == ([1, 3], {"loss": 2})
    with pytest.raises(AttributeError, match="items"):
        extract_losses_like_native([1, 3, BaseDataElement(loss=2)])
    batch = torch.ones(3)
    assert extract_losses_like_native(batch)[0] is batch


SUBCLASS = f"{__name__}.Subclass"


class Lazy(Mapping):
    """Computes its values when they are asked for."""

    def __getitem__(self, key):
        raise RuntimeError("not computed")

    def __iter__(self):
        return iter("a")

    def __len__(self):
        return 1


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (
            [Subclass(), Subclass(loss={}, pred=1)],
            f"of type {SUBCLASS} with the fields loss, pr",
        ),
        ([Subclass(), Subclass(losses={})], f"{SUBCLASS} with the field `losses`, but"),
        ([Subclass(), {"loss": 1}], "is of type dict, and not a loss element"),
        ([element(), Subclass()], "the loss element is item 0 of the 2 that val_step"),
        (
            {"a": 1, "b": element()},
            "a dict with the loss element under 'b', but a list",
        ),
        ({"loss": 1}, "val_step returned a dict, but a list"),
        (
            [Subclass(loss=1, a=1)] * 2,
            f"each data sample ({SUBCLASS}) has a field `loss`",
        ),
        (
            [Subclass(metainfo={"loss": 1})],
            f"is of type {SUBCLASS} with `loss` in its metainfo",
        ),
        (
            element(),
            "val_step returned the bare loss element, but it has to end a list",
        ),
        (None, "val_step returned NoneType, but a list"),
        ([], "val_step returned an empty list"),
        ([Subclass(pred=1)], f"of type {SUBCLASS}, and has no field `loss`"),
        ([torch.zeros(2)], "is of type Tensor, and not a loss element"),
        ([mock.Mock(), Subclass(a=1)], f"of type {SUBCLASS}, and has no field"),
        (Lazy(), "val_step returned a dict, but a list"),
    ],
)
def test_result_close_to_the_convention_is_described(result, text):
    """Each near miss by what it is, with the right form."""
    found = explain_missing_element(result)
    assert text in found
    assert found.endswith(
        "that ends with BaseDataElement(loss={'loss_cls': tensor, ...})"
    )
    assert extract_losses(result)[1] is None
