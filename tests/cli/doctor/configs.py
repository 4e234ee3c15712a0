"""Configs for the tests of ``doctor CONFIG``, and the findings on them."""

from __future__ import annotations

import copy
from unittest import mock

from valloss_compat._cli.doctor import check_config, check_model

STOPPING = {"type": "EarlyStoppingHook", "monitor": "val_loss", "min_delta": 1e-4}
#: A config without a problem.
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
    """Return the good config with entries replaced. None removes an entry."""
    entries = {**copy.deepcopy(GOOD), **changed}
    return {key: value for key, value in entries.items() if value is not None}


def resolve(registry, model, config):
    """Replace ``registered``: only mmdet and ``projects.mine`` are installed."""
    name = model["type"]
    if not name.endswith("Net") or name == "Net":
        return None
    module = "mmdet.models.detectors" if "Retina" in name else "projects.mine"
    return type(name.rpartition(".")[2], (), {"__module__": module})


def findings_of(entries, severity, failed=()):
    """Return the findings of one severity as ``check: text``."""
    with mock.patch.object(check_model, "registered", resolve):
        findings = check_config.check_config(entries, failed)
    assert {f.severity for f in findings} <= {"ok", "note", "problem", "not checked"}
    return [f"{f.check}: {f.text}" for f in findings if f.severity == severity]


def hook(**settings):
    return config(custom_hooks=[{**STOPPING, **settings}])


def save_best(name, **settings):
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
    """Return a config of a downstream library."""
    dataset = {"type": "Data", "pipeline": pipeline}
    return config(
        default_scope=library,
        model={"type": model, **changed},
        val_dataloader={"dataset": {"type": "RepeatDataset", "dataset": dataset}},
        custom_hooks=None,
        default_hooks=None,
    )


def with_loader(*pipeline, sampler=None, **changed):
    """Return a config of mmpretrain with a separate data loader for the losses."""
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
