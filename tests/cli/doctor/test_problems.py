"""``doctor CONFIG``: configs with a failing training or a useless val_loss."""

from __future__ import annotations

import pytest

from cli.doctor.configs import (
    PACK,
    PADDED,
    PIPELINE,
    STOPPING,
    config,
    findings_of,
    hook,
    of_library,
    save_best,
    with_loader,
)

PROBLEMS = {
    "a hook misspelt": (
        config(default_scope=None, custom_hooks=[{"type": "ValLosHook"}]),
        "config.hooks: custom_hooks[0] has the type 'ValLosHook', and no hook of",
    ),
    "name in a test": (
        save_best("test_loss"),
        "'test_loss', but that is its name in a",
    ),
    "tag in the logs": (hook(monitor="val/loss"), "monitor 'val_loss'"),
    "no monitor": (config(custom_hooks=[{"type": "EarlyStoppingHook"}]), "no monitor"),
    "the wrong rule": (hook(rule="greater"), "by which the worst epoch is the best"),
    "the wrong rule of several": (
        save_best(["accuracy", "val_loss"], rule=["greater", "greater"]),
        "of 'val_loss' has rule='greater'",
    ),
    "default_hooks of type list": (
        config(default_hooks=[1]),
        "config: default_hooks is [1]",
    ),
    "custom_hooks of type dict": (config(custom_hooks={"a": 1}), "expected is a list"),
    "val_dataloader of the wrong type": (
        config(val_dataloader=5),
        "expected is a dict or a list",
    ),
    "save_best of the wrong type": (
        save_best(True),
        "CheckpointHook has save_best=True",
    ),
    "val_interval of type str": (
        config(train_cfg={"val_interval": "1"}),
        "val_interval of train_cfg is '1', but a whole number",
    ),
    "no interval": (config(train_cfg={"val_begin": None}), "val_begin of train_cfg is"),
    "entry that makes a check raise": (
        of_library("mmseg", "EncoderDecoder", [], data_preprocessor={"test_cfg": "x"}),
        "config.model: something that this looks at is not as mmengine wants it",
    ),
    "too few rules": (
        save_best(["a", "b", "val_loss"], rule=["less", "less"]),
        "2 rules for 3 names",
    ),
    "one rule in a list": (
        save_best(["a", "val_loss"], rule=["greater"]),
        "is the best",
    ),
    "no such rule": (hook(rule="bogus"), "EarlyStoppingHook has rule='bogus'"),
    "min_delta of type str": (hook(min_delta="0"), "min_delta='0': a number"),
    "no patience": (hook(patience=0), "patience=0: expected is how many"),
    "unknown strategy": (
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
    "validation after the end": (
        config(train_cfg={"max_epochs": 5, "val_begin": 6}),
        "the first validation would be after 6, but the training ends after 5",
    ),
    "a library's model": (
        config(default_scope="mmpretrain", model={"type": "ImageClassifier"}),
        "of a library whose models append no loss element",
    ),
    "no model": (config(model=None), "no model with a type"),
    "model rejected by the hook": (
        config(custom_hooks=[STOPPING, {"type": "ValLossHook"}]),
        "valloss_compat does not know Net",
    ),
}


@pytest.mark.parametrize("case", sorted(PROBLEMS))
def test_problem_is_reported(case):
    cfg, expected = PROBLEMS[case]
    problems = findings_of(cfg, "problem")
    assert any(expected in text for text in problems), problems


@pytest.mark.parametrize("rule", [["greater", "less"], ["less"], "less", None])
def test_rule_of_another_metric_is_no_problem(rule):
    """A list has one rule for each name, or one for all."""
    cfg = save_best(["accuracy", "val_loss"], rule=rule)
    assert findings_of(cfg, "problem") == []


def test_larger_patience_is_no_problem():
    assert findings_of(hook(patience=3), "problem") == []
