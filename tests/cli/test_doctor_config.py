"""``doctor CONFIG``: what it says of a config, by names alone."""

from __future__ import annotations

import copy

import pytest
from mmengine import utils
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from valloss_compat.cli.checks import config as checks

STOPPING = {"type": "EarlyStoppingHook", "monitor": "val_loss", "min_delta": 0.0}
#: A config in which nothing is to be found fault with.
GOOD = {
    "default_scope": "mine",
    "custom_imports": {"imports": ["valloss_compat"], "allow_failed_imports": False},
    "model": {"type": "Net"},
    "train_cfg": {"max_epochs": 5},
    "val_dataloader": {"dataset": {"type": "Data"}},
    "val_evaluator": [{"type": "Accuracy"}],
    "val_cfg": {},
    "custom_hooks": [STOPPING],
    "default_hooks": {
        "checkpoint": {"type": "CheckpointHook", "save_best": "val_loss"}
    },
}


def config(**changed):
    """The good one, with entries replaced; None takes one away."""
    known = {**copy.deepcopy(GOOD), **changed}
    return {key: value for key, value in known.items() if value is not None}


def resolve(model):
    """The class of a model, where its library is installed: here mmdet is."""
    if not model["type"].endswith("Net") or model["type"] == "Net":
        return None
    module = "mmdet.models.detectors" if "Retina" in model["type"] else "projects.mine"
    return type(model["type"], (), {"__module__": module})


def found(known, severity, failed=()):
    """The findings of one severity, as ``check: text``."""
    findings = checks.look(known, failed, resolve)
    assert {f.severity for f in findings} <= {"ok", "note", "problem"}
    return [f"{f.check}: {f.text}" for f in findings if f.severity == severity]


def test_a_good_config():
    """No problem; what the model has to do is a note, as no config shows it."""
    assert found(config(), "problem") == []
    notes = found(config(), "note")
    assert any("the model is mine.Net: its forward" in note for note in notes)
    assert not any("config.monitor" in note for note in notes)
    assert sum("monitors 'val_loss'" in text for text in found(config(), "ok")) == 2


def hook(**settings):
    return config(custom_hooks=[{**STOPPING, **settings}])


def best(name, **settings):
    entry = {"type": "CheckpointHook", "save_best": name, **settings}
    return config(default_hooks={"checkpoint": entry})


PACK = {"type": "PackInputs"}
PIPELINE = [
    {"type": "LoadImageFromFile"},
    {"type": "Resize", "scale": (10, 10)},
    {"type": "LoadAnnotations"},
    {"type": "PackInputs"},
]


def of_library(library, model, pipeline, **changed):
    """A config of a downstream library."""
    dataset = {"type": "Data", "pipeline": pipeline}
    return config(
        default_scope=library,
        model={"type": model, **changed},
        val_dataloader={"dataset": {"type": "RepeatDataset", "dataset": dataset}},
        custom_hooks=None,
        default_hooks=None,
    )


def with_loader(*pipeline, sampler=None, **changed):
    """A config of mmpretrain whose losses have a dataloader of their own."""
    losses = {
        "dataset": {"type": "CustomDataset", "pipeline": list(pipeline)},
        "sampler": sampler or {"type": "DefaultSampler", "shuffle": False},
        "batch_size": 2,
    }
    entry = {"type": "ValLossHook", "strategy": "dataloader", "dataloader": losses}
    return config(
        default_scope="mmpretrain",
        model={"type": "ImageClassifier", "head": {"type": "LinearClsHead"}},
        custom_hooks=[STOPPING, {**entry, **changed}],
    )


PADDED = {"type": "SegDataPreProcessor", "test_cfg": {"size_divisor": 32}}
NOTES = {
    "a hook that nobody knows without run": (
        config(
            custom_imports=None,
            custom_hooks=[{"type": "ValLossHook", "trust": ["mine.Net"]}],
        ),
        "does not import valloss_compat, without which nobody knows ValLossHook: run",
    ),
    "no import": (config(custom_imports=None), "does not import valloss_compat"),
    "another import": (
        config(custom_imports={"imports": "projects.mine"}),
        "does not import valloss_compat",
    ),
    "a failure is hidden": (
        config(
            custom_imports={"imports": "valloss_compat", "allow_failed_imports": True}
        ),
        "say allow_failed_imports=False",
    ),
    "nothing monitors": (
        config(custom_hooks=None, default_hooks=None),
        "no hook monitors val_loss",
    ),
    "min_delta by default": (
        config(
            custom_hooks=[{"type": "mmengine.EarlyStoppingHook", "monitor": "loss"}]
        ),
        "min_delta=0.1 (the default)",
    ),
    "min_delta as given": (hook(min_delta=1), "has min_delta=1:"),
    "a named loss": (hook(monitor="loss_cls"), "only if the model's loss element has"),
    "a prefix": (hook(monitor="teacher/val_loss"), "prefixes its passes"),
    "auto": (best("auto"), "save_best=...) is 'auto'"),
    "a metric": (best(["accuracy"]), "monitors 'accuracy', which is no loss"),
    "no validation": (
        config(
            val_cfg=None,
            val_dataloader=None,
            val_evaluator=None,
            custom_hooks=None,
            default_hooks=None,
        ),
        "this config does not validate",
    ),
    "a loop": (config(val_cfg={"type": "MyLoop"}), "val_cfg has a class of its own"),
    "an evaluator": (
        config(val_evaluator={"type": "mmdet.MultiDatasetsEvaluator", "metrics": []}),
        "val_evaluator has a class of its own, mmdet.MultiDatasetsEvaluator",
    ),
    "a library's model": (
        of_library("mmdet", "RetinaNet", []),
        "the model is mmdet.RetinaNet, of a library whose models append no loss",
    ),
    "a model of mine in a library's scope": (
        of_library("mmdet", "MyNet", []),
        "the model is mmdet.MyNet: its forward",
    ),
    "a wrapped model": (
        config(model={"type": "Wrap", "detector": {"type": "mmdet.RetinaNet"}}),
        "the model is mine.Wrap, which wraps mmdet.RetinaNet: its forward",
    ),
    "resized before": (
        of_library("mmdet", "RetinaNet", PIPELINE),
        "Resize comes before LoadAnnotations in the validation pipeline of mmdet",
    ),
    "no ground truth": (
        of_library("mmseg", "EncoderDecoder", PIPELINE[:2]),
        "has no LoadAnnotations: validation samples have no ground truth",
    ),
    "several dataloaders": (
        {
            **of_library("mmdet", "RetinaNet", []),
            "val_dataloader": [
                {"dataset": {"pipeline": PIPELINE[2:]}},
                {"dataset": {"pipeline": PIPELINE}},
            ],
            "val_evaluator": [[{"type": "A"}], [{"type": "B"}]],
            "val_cfg": {"type": "MultiValLoop"},
        },
        "Resize comes before LoadAnnotations in the validation pipeline of mmdet",
    ),
    "no targets": (
        of_library("mmpose", "TopdownPoseEstimator", PIPELINE),
        "has no GenerateTarget: mmpose's heads",
    ),
    "padded": (
        of_library("mmseg", "EncoderDecoder", PIPELINE, data_preprocessor=PADDED),
        "pads the input (size_divisor=32), but not the labels",
    ),
    "unknown to the hook": (
        of_library("mmdet", "RetinaNet", PIPELINE, backbone={"type": "torch.nn.What"}),
        "ValLossHook",
    ),
}


@pytest.mark.parametrize("case", sorted(NOTES))
def test_notes(case):
    """Worth knowing, and no problem by itself."""
    known, said = NOTES[case]
    assert any(said in text for text in found(known, "note")), found(known, "note")
    assert found(known, "problem") == []


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


def test_the_rule_of_a_metric_beside_the_loss():
    """A list of rules has one for each name."""
    known = best(["accuracy", "val_loss"], rule=["greater", "less"])
    assert found(known, "problem") == []


def test_the_hook_takes_the_place_of_the_model():
    """With ValLossHook nothing is asked of the model; what it refuses is a problem."""
    known = config(
        custom_hooks=[STOPPING, {"type": "ValLossHook", "trust": ["mine.Net"]}]
    )
    assert found(known, "problem") == []
    assert any("ValLossHook will compute" in text for text in found(known, "ok"))
    assert not any("its forward" in text for text in found(known, "note"))


def test_the_hook_among_the_default_hooks():
    """Its arguments count there too."""
    loss = {"type": "ValLossHook", "trust": ["mine.Net"]}
    known = config(default_hooks={**GOOD["default_hooks"], "loss": loss})
    assert found(known, "problem") == []
    assert any("ValLossHook will compute" in text for text in found(known, "ok"))


class ValLossHook:
    """Named as ours, and of our package."""

    __module__ = "valloss_compat.hooks.val_loss"


@pytest.mark.parametrize("kind", ["valloss_compat.hooks.ValLossHook", ValLossHook])
def test_a_hook_by_its_class_imports_the_package(monkeypatch, kind):
    """As in a config of the new style; a release of before knows no full name."""
    entry = {"type": kind, "trust": ["mine.Net"]}
    known = config(custom_imports=None, custom_hooks=[STOPPING, entry])
    said = "does not import valloss_compat"
    monkeypatch.setattr(utils, "get_object_from_string", str, raising=False)
    assert found(known, "problem") == []
    assert any("this config imports valloss_" in text for text in found(known, "ok"))
    assert not any(said in text for text in found(known, "note"))
    monkeypatch.delattr(utils, "get_object_from_string")
    needed = isinstance(kind, str)
    assert any(said in text for text in found(known, "note")) == needed


OWN_HOOKS = (
    {"type": "MyEarlyStoppingHook", "metric": "val_loss"},
    {"type": "MyEarlyStoppingHook", "monitor": "val/loss", "patience": 0},
    {"type": "MyEarlyStoppingHook", "monitor": "val_loss", "rule": "greater"},
    {"type": "my.hooks.EarlyStoppingHook", "metric": "val_loss"},
    {"type": "MyCheckpointHook", "save_best": {"val_loss": "less"}},
    {"type": "MyCheckpointHook", "save_best": "test_loss", "rule": "any"},
)


@pytest.mark.parametrize("entry", OWN_HOOKS)
def test_a_hook_whose_name_only_ends_as_a_known_one(entry):
    """Nobody knows its arguments: what looks wrong is a note, and no default is."""
    assert found(config(custom_hooks=[entry]), "problem") == []
    notes = found(config(custom_hooks=[entry]), "note")
    doubted = any("that is" in t or "the worst epoch is" in t for t in notes)
    mistaken = {"val/loss", "test_loss"} & {
        entry.get("monitor"),
        str(entry.get("save_best")),
    }
    assert doubted == bool(mistaken or "greater" in entry.values())
    assert not any("the default" in text for text in notes)


@pytest.mark.parametrize("name", ["EarlyStoppingHook", "mine.EarlyStoppingHook"])
def test_a_hook_of_the_very_name_that_is_somebodys_own(monkeypatch, name):
    """One that mmengine finds, registered or by its module."""
    own = type("EarlyStoppingHook", (Hook,), {"__module__": "mine"})
    monkeypatch.setitem(vars(HOOKS), "get", {name: own}.get)
    entry = {"type": name, "metric": "val_loss"}
    assert found(config(custom_hooks=[entry]), "problem") == []


def test_a_hook_whose_module_does_not_import(monkeypatch):
    """It is taken for the one that its name says."""

    def get(name):
        raise ImportError(name)

    monkeypatch.setitem(vars(HOOKS), "get", get)
    entry = {"type": "mine.EarlyStoppingHook"}
    (said,) = found(config(custom_hooks=[entry]), "problem")
    assert "has no monitor" in said


@pytest.mark.parametrize(
    "kind", ["mmdet.EarlyStoppingHook", "mmengine.hooks.EarlyStoppingHook"]
)
def test_a_known_hook_by_its_scope_or_module(kind):
    """Is the known one."""
    (said,) = found(config(custom_hooks=[{"type": kind}]), "problem")
    assert "has no monitor" in said


PLAIN_FLIP = {"type": "RandomFlip", "prob": 0.0}


@pytest.mark.parametrize(
    "known",
    [
        with_loader(PACK),
        with_loader(PLAIN_FLIP, PACK),
        with_loader({"type": "Shift"}, PACK, trust=["mine.Shift"]),
    ],
    ids=["plain", "prob=0", "trusted"],
)
def test_a_loss_dataloader_that_is_right(known):
    """By what the hook itself judges it by."""
    assert found(known, "problem") == []
    assert any("ValLossHook will compute" in text for text in found(known, "ok"))


def test_whose_evaluator():
    """Metrics make an entry one of an evaluator, whatever its class is called."""
    own = config(val_evaluator={"type": "Judge", "metrics": [{"type": "Accuracy"}]})
    said = "val_evaluator uses mmengine's Evaluator"
    assert not any(said in text for text in found(own, "ok"))
    assert any(said in text for text in found(config(), "ok"))


def test_imports_that_failed():
    """What happens in a training hangs on allow_failed_imports."""
    failed = [("projects.mine", "ModuleNotFoundError: no")]
    assert any("would end" in text for text in found(config(), "problem", failed))
    lenient = {"imports": ["projects.mine"], "allow_failed_imports": True}
    notes = found(config(custom_imports=lenient), "note", failed)
    assert any("would go on without it" in text for text in notes)
