"""Cases about the loops: training, testing, fp16, several runs, evaluators."""

from __future__ import annotations

import torch

from .cases import Case, Default
from .cases_results import RIGHT_FORM
from .contract import (
    EPOCH,
    EQUAL,
    EXTRACTED,
    NATIVE_RAISES,
    NO_MAPPING,
    NO_TOTAL,
    NUMBER,
    OTHER,
    SEVERAL,
    TOTAL,
    UNTOUCHED,
)
from .model_results import (
    element,
    ending_with,
    fp16,
    in_tuple,
    other,
    predictions,
    with_losses,
    with_numbers,
    with_values,
)

BY_EPOCH = {"by_epoch": True, "max_epochs": 6, "val_interval": 2}
BY_ITER = {"by_epoch": False, "max_iters": 6, "val_interval": 2}
# Two batches a validation: 3.0, then 1.0 (the best), then 2.0.
THREE_VALIDATIONS = with_numbers(2.5, 3.5, 0.5, 1.5, 1.0, 3.0)

TEST = ("test",)
TEST_MEANS = [("score", 0.25), ("loss", 0.75), ("test_loss", 0.75)]
_TWO_LOSSES = {"loss_a": torch.tensor(0.5), "aux": torch.tensor(2.0)}

CASES = [
    # ---- TestLoop -------------------------------------------------------------------
    Case("test-list", "a list result", EXTRACTED, with_numbers(0.5, 1.5), runs=TEST),
    Case("test-tuple", "a tuple result", EXTRACTED, in_tuple, runs=TEST),
    Case(
        "test-no-element", "predictions alone", UNTOUCHED, other(predictions), runs=TEST
    ),
    Case("test-several", "two losses", TOTAL, with_losses(_TWO_LOSSES), runs=TEST),
    Case("test-fp16", "fp16", EQUAL, fp16, runs=TEST, fp16=True),
    Case(
        "test-dict",
        "the result is a dict",
        NATIVE_RAISES,
        other(lambda step: {"loss": torch.tensor(0.5), "x": torch.tensor([step])}),
        Default(NATIVE_RAISES, passes_through=True),
        runs=TEST,
    ),
    Case(
        "test-none",
        "the result is None, and the evaluator can take that",
        NATIVE_RAISES,
        other(lambda _: None),
        Default(NATIVE_RAISES, passes_through=True),
        runs=TEST,
        any_result=True,
    ),
    Case(
        "test-empty-list",
        "the result is an empty list",
        NATIVE_RAISES,
        other(lambda _: []),
        Default(NATIVE_RAISES, passes_through=True),
        runs=TEST,
    ),
    Case(
        "test-vector",
        "a loss per sample",
        SEVERAL,
        with_values(torch.tensor([0.25, 0.75]), torch.tensor([0.5, 1.5])),
        Default(SEVERAL, returned=[TEST_MEANS], calls_like="test-list"),
        runs=TEST,
    ),
    Case(
        "test-float",
        "Python floats",
        NUMBER,
        with_values(0.5, 1.0),
        Default(NUMBER, returned=[TEST_MEANS]),
        runs=TEST,
    ),
    Case(
        "test-str",
        "a string for a loss",
        OTHER,
        with_values("0.5"),
        Default(OTHER, raises="TypeError", matches="'loss'.*str"),
        runs=TEST,
    ),
    Case(
        "test-loss-is-tensor",
        "the element's loss is a tensor, not a dict of named losses",
        NO_MAPPING,
        ending_with(lambda step: element(torch.tensor([0.5]))),
        Default(NO_MAPPING, raises="TypeError", matches=RIGHT_FORM),
        runs=TEST,
    ),
    Case(
        "test-no-name-has-loss",
        "no name contains `loss`",
        NO_TOTAL,
        with_losses({"dice": torch.tensor(0.5)}),
        Default(NO_TOTAL, returned=[[("score", 0.25), ("dice", 0.5)]]),
        warns=("no test_loss.*dice",),
        runs=TEST,
    ),
    # ---- Training -------------------------------------------------------------------
    Case(
        "train-by-epoch",
        "three validations in a training by epoch; the second is the best",
        EQUAL,
        THREE_VALIDATIONS,
        runs=("train",),
        train_cfg=BY_EPOCH,
        save_best=True,
    ),
    Case(
        "train-by-iter",
        "three validations in a training by iteration; the second is the best",
        EQUAL,
        THREE_VALIDATIONS,
        runs=("train",),
        train_cfg=BY_ITER,
        train_sampler="InfiniteSampler",
        save_best=True,
    ),
    Case(
        "train-then-test",
        "training, validation and testing with one runner",
        EQUAL,
        with_numbers(0.5, 1.5, 4.0, 6.0),
        runs=("train", "test"),
        train_cfg={"by_epoch": True, "max_epochs": 1},
    ),
    # ---- Several runs ---------------------------------------------------------------
    Case(
        "two-validations",
        "the second validation has other numbers",
        EPOCH,
        with_numbers(10.0, 20.0, 0.5, 1.5),
        runs=("val", "val"),
    ),
    Case(
        "other-names-next-time",
        "the second validation has other names, the third none at all",
        EPOCH,
        with_losses(
            {"loss_a": torch.tensor(1.0)},
            {"loss_a": torch.tensor(3.0)},
            {"loss_b": torch.tensor(0.5)},
            {"loss_b": torch.tensor(1.5)},
            None,
            None,
        ),
        runs=("val", "val", "val"),
    ),
    Case(
        "val-test-val",
        "both loops with one runner keep their losses apart",
        EPOCH,
        with_numbers(1.0, 3.0, 10.0, 30.0, 0.5, 1.5),
        runs=("val", "test", "val"),
    ),
    # ---- Loops and evaluators -------------------------------------------------------
    Case("fp16", "fp16 validation", EQUAL, fp16, fp16=True),
    Case(
        "uneven-last-batch",
        "five samples in batches of two: the mean is over batches",
        EQUAL,
        with_numbers(1.0, 2.0, 6.0),
        samples=5,
    ),
    Case(
        "one-batch",
        "an epoch of one batch",
        EQUAL,
        with_numbers(0.1),
        samples=1,
    ),
    Case(
        "two-metrics",
        "two metrics with prefixes, both without the loss element",
        EQUAL,
        with_numbers(0.5, 1.5),
        metrics=(("a", {"score": 0.25, "loss": 8.0}), ("b", {"score": 0.75})),
    ),
    Case("no-metrics", "an evaluator without metrics", EQUAL, in_tuple, metrics=()),
    Case(
        "no-metrics-of-metric",
        "a metric that reports nothing",
        EQUAL,
        with_numbers(0.5, 1.5),
        metrics=(("", {}),),
    ),
    Case(
        "own-process",
        "the evaluator has its own `process` without super()",
        EQUAL,
        with_numbers(0.5, 1.5),
        any_result=True,
    ),
    Case(
        "many-batches",
        "a mean that is no binary fraction",
        EQUAL,
        with_numbers(*(0.1 * k for k in range(1, 8))),
        samples=14,
    ),
]
