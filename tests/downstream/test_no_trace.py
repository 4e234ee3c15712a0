"""A training is bit for bit what it is without ``ValLossHook``, for shipped models."""

from __future__ import annotations

import copy
import importlib.util
import json
import random
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner

pytest.importorskip("mmcv.ops", reason="mmcv has no ops: tox -m downstream-full has")

from downstream.leaves import leaves
from downstream.oracle import expected, run
from downstream.oracle.model import settle
from downstream.oracle.reported import COUNT, Count, Packed
from downstream.trained_rows import ROWS, register_head_with_queue

#: The libraries cause deprecation warnings; those of this package are errors.
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error::valloss_compat.VallossCompatWarning"),
]
#: What a training measures of its own speed.
TIMES = ("time", "data_time")
#: What a training is called, and the commit of the folder that it runs in.
NAMES = ("experiment_name", "mmengine_version")
EPOCHS = 3


class Watch(Hook):
    """Keeps what each step gives to hooks, and the metrics of each validation."""

    def __init__(self) -> None:
        self.steps: List[Dict[str, Any]] = []
        self.metrics: List[Dict[str, float]] = []

    def after_train_iter(self, runner: Any, *args: Any, **given: Any) -> None:
        self.steps.append(leaves(given))

    after_val_iter = after_train_iter

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        self.metrics.append(metrics)


def ready(library: str, title: str, changes: Dict[str, Any]) -> run.Sides:
    """Build a row's model, and set its batch norms to the statistics of the data."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    if changes.get("head.type") == "HeadWithQueue":
        register_head_with_queue()
    (row,) = (row for row in run.models([library]) if row.title == title)
    sides = run.ready(row._replace(changes={**row.changes, **changes}))
    batches = copy.deepcopy(sides.batches)
    settle(sides.model, lambda model: [expected.run(model, one) for one in batches])
    return sides


def trained(
    sides: run.Sides, folder: Path, *hooks: Any
) -> Tuple[Dict[str, Dict[str, Any]], List[Dict[str, float]]]:
    """All that a training leaves but the metrics of the hook, and the metrics."""
    watch, row = Watch(), sides.row
    loader = {
        "dataset": Packed(sides.samples),
        "batch_size": row.batch,
        "num_workers": 0,
        "sampler": {"type": "DefaultSampler", "shuffle": False},
    }
    runner = Runner(
        model=copy.deepcopy(sides.model),
        work_dir=str(folder),
        experiment_name=str(folder),  # of another training, else, in the same second
        train_dataloader={**loader, "collate_fn": sides.collate},
        val_dataloader={**loader, "collate_fn": run.pseudo_collate},
        train_cfg={"by_epoch": True, "max_epochs": EPOCHS, "val_interval": 1},
        val_cfg={},
        val_evaluator=Evaluator(Count()),
        optim_wrapper={
            "optimizer": {"type": "SGD", "lr": 1e-3, "momentum": 0.9},
            "clip_grad": {"max_norm": 1.0, "error_if_nonfinite": True},
        },
        default_hooks={
            "checkpoint": None,
            "logger": {"type": "LoggerHook", "interval": 1},
        },
        custom_hooks=[*hooks, watch],
        default_scope=row.library,
        log_level="ERROR",
        randomness={"seed": 0},
    )
    runner.train()
    reported = {name for metrics in watch.metrics for name in metrics} - {COUNT}
    reported |= {f"val/{name}" for name in reported}
    (file,) = folder.glob("*/vis_data/scalars.json")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    state = {
        "model": runner.model,
        "optimizer": runner.optim_wrapper.state_dict(),
        "random": (random.getstate(), np.random.get_state(), torch.get_rng_state()),
        "steps": watch.steps,
        "scalars.json": [
            _without(line, TIMES, reported if COUNT in line else ()) for line in lines
        ],
        "histories": {
            name: buffer.data
            for name, buffer in runner.message_hub.log_scalars.items()
            if name not in reported and name.split("/")[-1] not in TIMES
        },
        "hub": _without(runner.message_hub.runtime_info, NAMES),
    }
    return {part: leaves(value) for part, value in state.items()}, watch.metrics


def _without(line: Dict[str, Any], *names: Sequence[str]) -> Dict[str, Any]:
    return {k: v for k, v in line.items() if not any(k in some for some in names)}


def different(
    one: Dict[str, Dict[str, Any]], other: Dict[str, Dict[str, Any]]
) -> Dict[str, List[str]]:
    """The parts that are not equal, with the paths in them."""
    return {
        part: [
            path
            for path in {**one[part], **other[part]}
            if one[part].get(path, "none") != other[part].get(path, "none")
        ]
        for part in one
        if one[part] != other[part]
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_a_training_is_the_same(row, tmp_path):
    sides = ready(*row)
    plain, without = trained(sides, tmp_path / "plain")
    hooked, with_losses = trained(sides, tmp_path / "hooked", {"type": "ValLossHook"})
    assert different(plain, hooked) == {}
    assert [set(metrics) for metrics in without] == [{COUNT}] * EPOCHS
    assert ["val_loss" in metrics for metrics in with_losses] == [True] * EPOCHS


class Leak(Hook):
    """Changes something in each batch of the last validation."""

    def __init__(self, change: Any) -> None:
        self.change = change

    def after_val_iter(self, runner: Any, *args: Any, **given: Any) -> None:
        if runner.epoch == EPOCHS:
            self.change(runner, given["outputs"])


LEAKS = (
    ("model", lambda runner, _: list(runner.model.buffers())[-1].add_(1)),
    ("model", lambda runner, _: setattr(runner.model.head, "seen", 1)),
    ("optimizer", lambda runner, _: _momentum(runner).mul_(1.001)),
    ("random", lambda *_: torch.rand(())),
    ("random", lambda *_: random.random()),
    ("random", lambda *_: np.random.rand()),
    ("steps", lambda _, outputs: outputs[0].set_field(1, "seen")),
    ("scalars.json", lambda runner, _: runner.visualizer.add_scalar("seen", 1)),
    ("histories", lambda runner, _: runner.message_hub.update_scalar("seen", 1)),
    ("hub", lambda runner, _: runner.message_hub.update_info("seen", 1)),
)


def _momentum(runner: Any) -> torch.Tensor:
    states = runner.optim_wrapper.optimizer.state.values()
    return next(iter(states))["momentum_buffer"]


def test_each_comparison_can_fail(tmp_path):
    sides = ready(*ROWS[0])
    plain, _ = trained(sides, tmp_path / "plain")
    for number, (part, change) in enumerate(LEAKS):
        leaking, _ = trained(sides, tmp_path / str(number), Leak(change))
        assert set(different(plain, leaking)) == {part}
