"""Cases about the form of the result: with and without a loss element."""

from __future__ import annotations

import torch
from mmengine.structures import BaseDataElement

from .cases import Case, Default
from .contract import EXTRACTED, NATIVE_RAISES, NO_MAPPING, UNTOUCHED
from .model_results import (
    LossElement,
    element,
    ending_with,
    in_tuple,
    other,
    predictions,
    with_losses,
    with_numbers,
)

RIGHT_FORM = r"BaseDataElement\(loss=\{"


def _loss(step: int) -> dict:
    return {"loss": torch.tensor(0.5 + step)}


CASES = [
    # ---- Extracted ------------------------------------------------------------------
    Case(
        "list", "loss element at the end of a list", EXTRACTED, with_numbers(0.5, 1.5)
    ),
    Case(
        "tuple",
        "loss element at the end of a tuple, as in PR 1503",
        EXTRACTED,
        in_tuple,
    ),
    Case(
        "element-alone",
        "a list of nothing but the loss element: the metrics get an empty list",
        EXTRACTED,
        other(lambda step: [element(_loss(step))]),
    ),
    Case(
        "element-subclass",
        "the loss element is of a subclass of BaseDataElement",
        EXTRACTED,
        ending_with(lambda step: LossElement(loss=_loss(step))),
    ),
    Case(
        "element-metainfo",
        "the loss element has metainfo, which is no data field",
        EXTRACTED,
        ending_with(
            lambda step: BaseDataElement(metainfo={"stride": 8}, loss=_loss(step))
        ),
    ),
    Case(
        "no-losses-in-element",
        "the dict of losses is empty: the element goes, no loss is reported",
        EXTRACTED,
        with_losses({}),
    ),
    # ---- Untouched ------------------------------------------------------------------
    Case("no-element", "predictions alone", UNTOUCHED, other(predictions)),
    Case(
        "tensor-1d", "the result is a tensor", UNTOUCHED, other(lambda _: torch.ones(2))
    ),
    Case("string", "the result is a string", UNTOUCHED, other(lambda _: "ab")),
    Case(
        "element-more-fields",
        "the last element has other fields besides loss",
        UNTOUCHED,
        ending_with(
            lambda step: BaseDataElement(loss=_loss(step), other=torch.tensor([1.0]))
        ),
    ),
    Case(
        "element-other-name",
        "the last element has one field, but of another name",
        UNTOUCHED,
        ending_with(lambda step: BaseDataElement(losses=_loss(step))),
    ),
    Case(
        "element-first",
        "the loss element is the first item, not the last",
        UNTOUCHED,
        other(lambda step: [element(_loss(step)), *predictions(step)]),
    ),
    Case(
        "last-is-dict",
        "the last item is a plain dict {'loss': ...}",
        UNTOUCHED,
        ending_with(lambda step: {"loss": _loss(step)}),
    ),
    Case(
        "dict",
        "the result is a dict (mmengine issue 1603)",
        NATIVE_RAISES,
        other(lambda step: {"loss": torch.tensor(0.5), "x": torch.tensor([step])}),
        Default(NATIVE_RAISES, passes_through=True),
    ),
    Case(
        "none",
        "the result is None, which mmengine's own Evaluator cannot iterate",
        NATIVE_RAISES,
        other(lambda _: None),
        Default(NATIVE_RAISES, passes_through=True),
    ),
    Case(
        "none-own-evaluator",
        "the result is None, and the evaluator can take that",
        NATIVE_RAISES,
        other(lambda _: None),
        Default(NATIVE_RAISES, passes_through=True),
        any_result=True,
    ),
    Case(
        "generator",
        "the result is a generator: the evaluator is the one who consumes it",
        NATIVE_RAISES,
        other(lambda step: (item for item in predictions(step))),
        Default(NATIVE_RAISES, passes_through=True),
    ),
    Case(
        "generator-with-element",
        "a generator that ends with a loss element is a generator",
        NATIVE_RAISES,
        other(lambda step: (i for i in [*predictions(step), element(_loss(step))])),
        Default(NATIVE_RAISES, passes_through=True),
    ),
    Case(
        "set",
        "the result is a set",
        NATIVE_RAISES,
        other(lambda step: {step}),
        Default(NATIVE_RAISES, passes_through=True),
    ),
    Case(
        "bare-element",
        "the result is a loss element itself, in no list: it cannot be iterated",
        NATIVE_RAISES,
        other(lambda step: element(_loss(step))),
        Default(NATIVE_RAISES, passes_through=True),
    ),
    Case(
        "tensor-0d",
        "the result is a tensor without dimensions, which cannot be iterated",
        NATIVE_RAISES,
        other(lambda _: torch.tensor(1.0)),
        Default(NATIVE_RAISES, passes_through=True),
    ),
    Case(
        "empty-list",
        "the result is an empty list",
        NATIVE_RAISES,
        other(lambda _: []),
        Default(NATIVE_RAISES, passes_through=True),
    ),
    Case(
        "empty-tuple",
        "the result is an empty tuple",
        NATIVE_RAISES,
        other(lambda _: ()),
        Default(NATIVE_RAISES, passes_through=True),
    ),
    # ---- No mapping -----------------------------------------------------------------
    Case(
        "loss-is-tensor",
        "the element's loss is a tensor, not a dict of named losses",
        NO_MAPPING,
        ending_with(lambda step: element(torch.tensor([0.5]))),
        Default(NO_MAPPING, raises="TypeError", matches=RIGHT_FORM),
    ),
    Case(
        "loss-is-list",
        "the element's loss is a list, not a dict of named losses",
        NO_MAPPING,
        ending_with(lambda step: element([torch.tensor(0.5)])),
        Default(NO_MAPPING, raises="TypeError", matches=RIGHT_FORM),
    ),
    Case(
        "loss-is-none",
        "the element's loss is None, not a dict of named losses",
        NO_MAPPING,
        ending_with(lambda step: element(None)),
        Default(NO_MAPPING, raises="TypeError", matches=RIGHT_FORM),
    ),
]
