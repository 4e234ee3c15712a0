"""``doctor CONFIG``: what would make a training fail, or its val_loss useless."""

from __future__ import annotations

import pytest

from cli.doctor.configs import (
    PACK,
    PADDED,
    PIPELINE,
    STOPPING,
    best,
    config,
    found,
    hook,
    of_library,
    with_loader,
)

PROBLEMS = {
    "a hook misspelt": (
        config(default_scope=None, custom_hooks=[{"type": "ValLosHook"}]),
        "config.hooks: custom_hooks[0] has the type 'ValLosHook', and no hook of",
    ),
    "its tag in a test": (best("test_loss"), "'test_loss', but that is its name in a"),
    "its tag in logs": (hook(monitor="val/loss"), "monitor 'val_loss'"),
    "no monitor": (config(custom_hooks=[{"type": "EarlyStoppingHook"}]), "no monitor"),
    "the wrong rule": (hook(rule="greater"), "by which the worst epoch is the best"),
    "the wrong rule of several": (
        best(["accuracy", "val_loss"], rule=["greater", "greater"]),
        "of 'val_loss' has rule='greater'",
    ),
    "hooks in a list": (config(default_hooks=[1]), "config: default_hooks is [1]"),
    "hooks in a dict": (config(custom_hooks={"a": 1}), "expected is a list"),
    "a loader of no kind": (config(val_dataloader=5), "expected is a dict or a list"),
    "save_best of no kind": (best(True), "CheckpointHook has save_best=True"),
    "an interval in words": (
        config(train_cfg={"val_interval": "1"}),
        "val_interval of train_cfg is '1', but a whole number",
    ),
    "no interval": (config(train_cfg={"val_begin": None}), "val_begin of train_cfg is"),
    "what no check expects": (
        of_library("mmseg", "EncoderDecoder", [], data_preprocessor={"test_cfg": "x"}),
        "config.model: something that this looks at is not as mmengine wants it",
    ),
    "too few rules": (
        best(["a", "b", "val_loss"], rule=["less", "less"]),
        "2 rules for 3 names",
    ),
    "one rule in a list": (best(["a", "val_loss"], rule=["greater"]), "is the best"),
    "no such rule": (hook(rule="bogus"), "EarlyStoppingHook has rule='bogus'"),
    "min_delta in words": (hook(min_delta="0"), "min_delta='0': a number"),
    "no patience": (hook(patience=0), "patience=0: expected is how many"),
    "a strategy of no kind": (
        config(custom_hooks=[{"type": "ValLossHook", "strategy": "nope"}]),
        "ValLossHook cannot be built as it is written: strategy is 'nope'",
    ),
    "an option misspelt": (
        config(custom_hooks=[{"type": "ValLossHook", "strategie": "auto"}]),
        "ValLossHook cannot be built as it is written",
    ),
    "trust in a string": (
        config(custom_hooks=[{"type": "ValLossHook", "trust": "x"}]),
        "ValLossHook cannot be built as it is written: trust is",
    ),
    "trust without a module": (
        config(custom_hooks=[{"type": "ValLossHook", "trust": ["Net"]}]),
        "ValLossHook cannot be built as it is written: trust names 'Net', but the full",
    ),
    "a loss dataloader that shuffles": (
        with_loader(PACK, sampler={"type": "DefaultSampler", "shuffle": True}),
        "config.val_loss_hook: the sampler of the loss dataloader (DefaultSampler)",
    ),
    "a loss dataloader that draws": (
        with_loader({"type": "RandomFlip", "prob": 0.5}, PACK),
        "config.val_loss_hook: RandomFlip in the pipeline of the loss dataloader: it",
    ),
    "a loss dataloader in another frame": (
        {
            **with_loader(*PIPELINE[:3], {"type": "PackSegInputs"}),
            "default_scope": "mmseg",
            "model": {
                "type": "EncoderDecoder",
                "backbone": {"type": "ResNetV1c"},
                "decode_head": {"type": "FCNHead"},
                "data_preprocessor": PADDED,
            },
        },
        "Resize comes before LoadAnnotations, so that the ground truth is not in the",
    ),
    "no evaluator": (config(val_evaluator=None), "there is no val_evaluator beside"),
    "no validation": (
        config(val_cfg=None, val_dataloader=None, val_evaluator=None),
        "but a loss is monitored",
    ),
    "too late": (
        config(train_cfg={"max_epochs": 5, "val_begin": 6}),
        "the first validation would be after 6, but the training ends after 5",
    ),
    "a library's model": (
        config(default_scope="mmpretrain", model={"type": "ImageClassifier"}),
        "of a library whose models append no loss element",
    ),
    "no model": (config(model=None), "no model with a type"),
    "the hook refuses": (
        config(custom_hooks=[STOPPING, {"type": "ValLossHook"}]),
        "valloss_compat does not know Net",
    ),
}


@pytest.mark.parametrize("case", sorted(PROBLEMS))
def test_problems(case):
    """Each with what was found, and what to do."""
    known, said = PROBLEMS[case]
    problems = found(known, "problem")
    assert any(said in text for text in problems), problems


@pytest.mark.parametrize("rule", [["greater", "less"], ["less"], "less", None])
def test_the_rule_of_a_metric_beside_the_loss(rule):
    """A list of rules has one for each name, or one for all."""
    known = best(["accuracy", "val_loss"], rule=rule)
    assert found(known, "problem") == []


def test_more_patience_than_by_default():
    """Is no mistake."""
    assert found(hook(patience=3), "problem") == []
