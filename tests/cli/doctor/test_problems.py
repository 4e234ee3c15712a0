"""``doctor CONFIG``: configs with a failing training or a useless val_loss."""

from __future__ import annotations

import pytest

from cli.doctor.configs import (
    PACK,
    STOPPING,
    config,
    findings_of,
    hook,
    save_best,
    with_loader,
)

PROBLEMS = {
    "a hook misspelt": (
        config(default_scope=None, custom_hooks=[{"type": "ValLosHook"}]),
        "config.hooks: custom_hooks[0] has the type 'ValLosHook', which is not reg",
    ),
    "name in a test": (
        save_best("test_loss"),
        "'test_loss': that is the total of a test",
    ),
    "tag in the logs": (hook(monitor="val/loss"), "monitor 'loss', or 'val_loss'"),
    "tag of a metric": (
        save_best("val/acc"),
        "of 'acc' in the log. Fix: monitor 'acc'",
    ),
    "close to val_loss": (hook(monitor="Val_Loss"), "Did you mean 'val_loss'?"),
    "no rule for a name": (
        hook(monitor="val_los"),
        "Hook) cannot be built: ValueError",
    ),
    "no rule, and a name close to val_loss": (
        hook(monitor="val_los"),
        "Did you mean 'val_loss'?",
    ),
    "an entry of mmcv 1.x": (
        config(workflow=[("train", 1), ("val", 1)]),
        "an entry of mmcv 1.x that mmengine ignores. Fix: leave it out",
    ),
    "no monitor": (
        config(custom_hooks=[{"type": "EarlyStoppingHook"}]),
        "argument: 'monitor'",
    ),
    "the wrong rule": (hook(rule="greater"), "the largest loss is the best"),
    "the wrong rule of several": (
        save_best(["accuracy", "val_loss"], rule=["greater", "greater"]),
        "of 'val_loss' has rule='greater'",
    ),
    "default_hooks of type list": (
        config(default_hooks=[1]),
        "config: default_hooks is [1]",
    ),
    "custom_hooks of type dict": (
        config(custom_hooks={"a": 1}),
        "a list or a tuple is expected",
    ),
    "val_dataloader of the wrong type": (
        config(val_dataloader=5),
        "a dict or a list is expected",
    ),
    "save_best of the wrong type": (
        save_best(True),
        "(CheckpointHook) cannot be built: AssertionError",
    ),
    "val_interval of type str": (
        config(train_cfg={"val_interval": "1"}),
        "train_cfg cannot be used: ",
    ),
    "no interval": (config(train_cfg={"val_begin": None}), "train_cfg cannot be used"),
    "entry that makes a check raise": (
        config(model={"type": 3}),
        "config.model: model is not as mmengine expects it",
    ),
    "too few rules": (
        save_best(["a", "b", "val_loss"], rule=["less", "less"]),
        "(CheckpointHook) cannot be built: AssertionError",
    ),
    "one rule in a list": (
        save_best(["a", "val_loss"], rule=["greater"]),
        "is the best",
    ),
    "no such rule": (
        hook(rule="bogus"),
        "Hook) cannot be built: ValueError",
    ),
    "min_delta of type str": (hook(min_delta="0"), "EarlyStoppingHook"),
    "unknown strategy": (
        config(custom_hooks=[{"type": "ValLossHook", "strategy": "nope"}]),
        "(ValLossHook) cannot be built: ValueError: strategy is 'nope'",
    ),
    "an option misspelt": (
        config(custom_hooks=[{"type": "ValLossHook", "strategie": "auto"}]),
        "(ValLossHook) cannot be built: TypeError",
    ),
    "an option of another release": (
        config(custom_hooks=[{"type": "ValLossHook", "trust": ["mine.Net"]}]),
        "(ValLossHook) cannot be built: TypeError",
    ),
    "no number of batches": (
        config(custom_hooks=[{"type": "ValLossHook", "limit_batches": 0}]),
        "(ValLossHook) cannot be built: ValueError: limit_batches is 0",
    ),
    "a loss data loader that shuffles": (
        with_loader(PACK, sampler={"type": "DefaultSampler", "shuffle": True}),
        "config.val_loss_hook: the sampler of the loss data loader (DefaultSampler)",
    ),
    "no evaluator": (
        config(val_evaluator=None),
        "without val_evaluator, but mmengine",
    ),
    "no validation": (
        config(val_cfg=None, val_dataloader=None, val_evaluator=None),
        "but a loss is monitored",
    ),
    "validation after the end": (
        config(train_cfg={"max_epochs": 5, "val_begin": 6}),
        "the training ends after 5 epochs without a validation",
    ),
    "a library's model": (
        config(default_scope="mmdet", model={"type": "RetinaNet"}),
        "of a library whose models append no loss element. Fix: add default_hooks=",
    ),
    "a library's model in another scope": (
        config(model={"type": "RetinaNet", "_scope_": "mmdet"}),
        "mmdet.models.detectors.RetinaNet, of a library whose models append no",
    ),
    "a library's model in one of the library": (
        config(model={"type": "RetinaNet", "detector": {"type": "mmdet.RetinaNet"}}),
        "which wraps mmdet.models.detectors.RetinaNet, of a library whose",
    ),
    "no model": (config(model=None), "no model with a type"),
    "model without a type": (config(model={"head": {}}), "no model with a type"),
    "model rejected by the hook": (
        config(
            default_scope="mmpretrain",
            model={"type": "MoCo"},
            custom_hooks=[STOPPING, {"type": "ValLossHook"}],
        ),
        "config.val_loss_hook: mmpretrain.MoCo: it learns without labels",
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
