"""Cases about the losses in an element: their values and their names."""

from __future__ import annotations

import numpy as np
import torch

from .cases import Case, Default
from .contract import (
    METRIC,
    NAN,
    NO_TOTAL,
    NUMBER,
    ONE,
    OTHER,
    SEQUENCE,
    SEVERAL,
    SOME,
    TOTAL,
)
from .model_results import with_losses, with_numbers, with_values


def _means(loss: object) -> list:
    return [[("score", 0.25), ("loss", loss), ("val_loss", loss)]]


def _of_default(why: str, loss: object, calls_like: str = "") -> Default:
    return Default(why, returned=_means(loss), calls_like=calls_like or None)


def _wrong_type(kind: str) -> Default:
    return Default(OTHER, raises="TypeError", matches=f"'loss'.*{kind}")


def _dtype(name: str, first: object, second: object) -> Case:
    dtype = getattr(torch, name)
    result = with_values(
        torch.tensor(first, dtype=dtype), torch.tensor(second).to(dtype)
    )
    return Case(f"value-{name}", f"a loss of dtype {name}", ONE, result)


CASES = [
    # ---- Tensors with one element ---------------------------------------------------
    Case(
        "value-one-element",
        "shapes [1] and [1, 1]",
        ONE,
        with_values(torch.tensor([0.5]), torch.tensor([[1.5]])),
    ),
    Case(
        "value-requires-grad",
        "a loss with a graph",
        ONE,
        with_values(
            torch.tensor(0.5, requires_grad=True),
            torch.nn.Parameter(torch.tensor([1.5])) * 2,
        ),
    ),
    _dtype("float64", 0.1, 0.7),
    _dtype("float32", 0.1, 0.7),
    _dtype("float16", 0.1, 0.7),
    _dtype("bfloat16", 0.1, 0.7),
    _dtype("int64", 1, 4),
    _dtype("bool", True, False),
    # ---- Several elements -----------------------------------------------------------
    Case(
        "value-vector",
        "a loss per sample",
        SEVERAL,
        with_values(torch.tensor([0.5, 1.5]), torch.tensor([2.0, 5.0])),
        _of_default(SEVERAL, 2.25, calls_like="list"),
    ),
    Case(
        "value-vector-int",
        "several elements of an integer dtype, which torch itself gives no mean",
        SEVERAL,
        with_values(torch.tensor([1, 2]), torch.tensor([3, 5])),
        _of_default(SEVERAL, 2.75, calls_like="list"),
    ),
    Case(
        "value-list",
        "lists of different length, of which native makes the mean of all elements",
        SEQUENCE,
        with_values([torch.tensor(1.0), torch.tensor([2.0])], [torch.tensor(6.0)]),
        _of_default(SEQUENCE, 4.5),
    ),
    Case(
        "value-tuple",
        "a tuple of tensors; native ignores it, so that there is no update: NaN",
        SEQUENCE,
        with_values((torch.tensor(1.0), torch.tensor(2.0)), (torch.tensor(6.0),)),
        _of_default(SEQUENCE + "; native knows lists alone", 4.5),
    ),
    Case(
        "value-tuple-after-tensor",
        "a tensor first, then a tuple, which native ignores",
        SEQUENCE,
        with_values(torch.tensor(1.0), (torch.tensor(2.0), torch.tensor(6.0))),
        _of_default(SEQUENCE + "; native knows lists alone", 4.5),
    ),
    Case(
        "value-empty-list",
        "no element in any step: no update, of which native makes the mean NaN",
        SEQUENCE,
        with_values([]),
        Default(
            SEQUENCE + "; no element, no update, nothing to report",
            returned=[[("score", 0.25)]],
        ),
    ),
    Case(
        "value-empty-list-once",
        "no element in one of two steps",
        SEQUENCE,
        with_values([], [torch.tensor(1.0), torch.tensor(2.0)]),
        _of_default(SEQUENCE, 3.0),
    ),
    # ---- Numbers and others ---------------------------------------------------------
    Case(
        "value-float",
        "Python floats",
        NUMBER,
        with_values(0.5, 1.0),
        _of_default(NUMBER, 0.75),
    ),
    Case(
        "value-int", "Python ints", NUMBER, with_values(1, 4), _of_default(NUMBER, 2.5)
    ),
    Case(
        "value-numpy",
        "numpy scalars",
        NUMBER,
        with_values(np.float32(0.5), np.int64(2)),
        _of_default(NUMBER, 1.25),
    ),
    Case(
        "value-float-after-tensor",
        "a tensor, then a float, which native ignores",
        NUMBER,
        with_values(torch.tensor(0.5), 1.0),
        _of_default(NUMBER, 0.75),
    ),
    Case("value-str", "a string", OTHER, with_values("0.5"), _wrong_type("str")),
    Case("value-none", "None", OTHER, with_values(None), _wrong_type("NoneType")),
    Case("value-dict", "a dict", OTHER, with_values({"a": 1.0}), _wrong_type("dict")),
    Case(
        "value-list-of-floats",
        "a list, but not of tensors",
        OTHER,
        with_values([0.5, 1.5]),
        _wrong_type("float"),
    ),
    # ---- NaN and infinity -----------------------------------------------------------
    Case(
        "value-nan",
        "NaN in the second of three batches",
        NAN,
        with_numbers(0.5, float("nan"), 1.5),
        warns=(r"'loss'.*index 1\b",),
        samples=6,
    ),
    Case("value-inf", "infinity", NAN, with_numbers(0.5, float("inf"))),
    # ---- Names ----------------------------------------------------------------------
    Case(
        "several-losses",
        "the total is of those with `loss` in their name, anywhere in it",
        TOTAL,
        with_losses(
            {
                "loss_cls": torch.tensor(0.5),
                "acc": torch.tensor(9.0),
                "d0.loss_bbox": torch.tensor(0.125),
            },
            {
                "d0.loss_bbox": torch.tensor(0.375),
                "loss_cls": torch.tensor(1.5),
                "acc": torch.tensor(7.0),
            },
        ),
    ),
    Case(
        "case-of-name",
        "`Loss` is not `loss`",
        TOTAL,
        with_losses({"Loss": torch.tensor(4.0), "loss": torch.tensor(0.5)}),
    ),
    Case(
        "named-val-loss",
        "a component has the very name of the total, which replaces it",
        TOTAL,
        with_losses({"val_loss": torch.tensor(0.5), "loss": torch.tensor(1.0)}),
        warns=("val_loss counts losses twice.*'val_loss'",),
    ),
    Case(
        "no-name-has-loss",
        "no name contains `loss`",
        NO_TOTAL,
        with_losses({"dice": torch.tensor(0.5)}, {"dice": torch.tensor(1.5)}),
        Default(NO_TOTAL, returned=[[("score", 0.25), ("dice", 1.0)]]),
        warns=("no val_loss.*dice",),
    ),
    Case(
        "name-of-metric",
        "a loss has the name of a metric",
        METRIC,
        with_losses({"loss": torch.tensor(0.5)}),
        warns=("'loss'.*metric",),
        metrics=(("", {"loss": 7.0, "score": 0.25}),),
    ),
    Case(
        "val-loss-of-metric",
        "the total has the name of a metric",
        METRIC,
        with_losses({"loss": torch.tensor(0.5)}),
        warns=("'val_loss'.*metric",),
        metrics=(("", {"val_loss": 7.0, "score": 0.25}),),
    ),
    # ---- Some iterations only -------------------------------------------------------
    Case(
        "some-iterations",
        "a loss element in the second and third of four batches",
        SOME,
        with_losses(
            None, {"loss": torch.tensor(1.0)}, {"loss": torch.tensor(2.0)}, None
        ),
        samples=8,
    ),
    Case(
        "some-names-some-iterations",
        "each loss is seen in other batches",
        SOME,
        with_losses(
            {"loss_a": torch.tensor(1.0)},
            {"loss_b": torch.tensor(2.0), "loss_a": torch.tensor(4.0)},
            {"loss_b": torch.tensor(8.0)},
        ),
        samples=6,
    ),
]
