"""Runs one case in a real mmengine ``Runner`` and records a trace.

The code is the same on every release, native or not, patched or not: a difference of
two traces is a difference of two mmengines.
"""

from __future__ import annotations

import itertools
import os.path as osp
from contextlib import ExitStack
from glob import glob
from typing import Any, Dict
from unittest import mock

import torch
from mmengine.evaluator import Evaluator
from mmengine.hooks import runtime_info_hook
from mmengine.runner import Runner
from mmengine.runner import runner as runner_module
from mmengine.runner.amp import autocast
from mmengine.visualization import Visualizer

from .cases import Case
from .describe import number, pairs
from .recorders import (
    AnyResultEvaluator,
    Model,
    PackageWarnings,
    RecordingHook,
    RecordingMetric,
    Samples,
    loop_of,
)

Trace = Dict[str, Any]

SEVERAL_ELEMENTS = "several elements in Tensor.item()"
"""Replaces the exception that this torch raises there: it depends on the release."""

_run_numbers = itertools.count()


def unavailable(case: Case) -> str | None:
    """Check whether torch and mmengine can run the case.

    Args:
        case (Case): The case.

    Returns:
        str, optional: The reason why not, with the message of mmengine.
    """
    if not case.fp16:
        return None
    try:
        with autocast(enabled=True):
            return None
    except Exception as error:
        return f"autocast with torch {torch.__version__}: {error}"


def run_case(case: Case, work_dir: str) -> Trace:
    """Run one case.

    Args:
        case (Case): The case.
        work_dir (str): An empty folder.

    Returns:
        dict: The trace, as JSON. ``returned``: one list of (name, value) for each
        ``runner.val()`` or ``runner.test()``. ``raised`` and ``message``: the
        exception that ended the run, or None. ``calls``: hooks, steps and metrics
        in order, with their arguments. ``at_start``: the names in ``loop.val_loss``
        (``test_loss``) at the first ``before_val_iter`` of each epoch. ``losses``:
        the means there after the run. ``best``: file and score of ``save_best``.
        ``warnings``: those of the package.
    """
    trace: Trace = {"returned": [], "raised": None, "message": None, "calls": []}
    trace.update(at_start=[], losses={}, best=None, warnings=[])
    with ExitStack() as stack:
        # Both start processes (compilers, git) to log versions.
        stack.enter_context(mock.patch.object(runner_module, "collect_env", dict))
        stack.enter_context(mock.patch.object(runtime_info_hook, "get_git_hash", str))
        runner = _build_runner(case, work_dir, trace)
        for handler in runner.logger.handlers:
            stack.callback(handler.close)
        runner.logger.addHandler(PackageWarnings(trace["warnings"]))
        _run(runner, case, trace)
    for stage in ("val", "test"):
        losses = getattr(loop_of(runner, stage), f"{stage}_loss", None)
        if losses is not None:
            trace["losses"][stage] = [[k, number(v.mean())] for k, v in losses.items()]
    if case.save_best and trace["raised"] is None:
        files = sorted(osp.basename(f) for f in glob(osp.join(work_dir, "best_*.pth")))
        score = runner.message_hub.get_info("best_score")
        trace["best"] = {"files": files, "score": number(score)}
    return trace


def _build_runner(case: Case, work_dir: str, trace: Trace) -> Runner:
    return Runner(
        model=Model(case, trace["calls"]),
        work_dir=work_dir,
        custom_hooks=[RecordingHook(trace)],
        log_level="ERROR",
        default_scope="mmengine",
        experiment_name=f"conformance_{next(_run_numbers)}",
        # One for all cases: each new one draws matplotlib figures.
        visualizer=Visualizer.get_instance("conformance"),
        **_loops(case, trace["calls"]),
    )


def _run(runner: Runner, case: Case, trace: Trace) -> None:
    try:
        for run in case.runs:
            if run == "train":
                runner.train()
            else:
                metrics = runner.val() if run == "val" else runner.test()
                trace["returned"].append(pairs(metrics))
    except Exception as error:
        trace["raised"] = _name(error)
        trace["message"] = str(error)


def _loops(case: Case, calls: list[Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if "train" in case.runs:
        sampler = {"type": case.train_sampler, "shuffle": False}
        settings["train_dataloader"] = _dataloader(4, 2, sampler)
        settings["train_cfg"] = dict(case.train_cfg)
        settings["optim_wrapper"] = {"optimizer": {"type": "SGD", "lr": 0.1}}
        settings["log_processor"] = {"by_epoch": case.train_cfg["by_epoch"]}
    if case.save_best:
        settings["default_hooks"] = {"checkpoint": _save_best(case)}
    for stage in ("val", "test"):
        if stage in case.runs or (stage == "val" and "train" in case.runs):
            sampler = {"type": "DefaultSampler", "shuffle": False}
            loader = _dataloader(case.samples, case.batch_size, sampler)
            metrics = [RecordingMetric(p, v, calls) for p, v in case.metrics]
            evaluator = AnyResultEvaluator if case.any_result else Evaluator
            settings[f"{stage}_dataloader"] = loader
            settings[f"{stage}_evaluator"] = evaluator(metrics)
            settings[f"{stage}_cfg"] = {"fp16": True} if case.fp16 else {}
    return settings


def _save_best(case: Case) -> dict[str, Any]:
    return {
        "type": "CheckpointHook",
        "by_epoch": case.train_cfg["by_epoch"],
        "interval": -1,
        "save_best": "val_loss",
        "rule": "less",
    }


def _dataloader(
    length: int, batch_size: int, sampler: dict[str, Any]
) -> dict[str, Any]:
    return {
        "dataset": Samples(length),
        "batch_size": batch_size,
        "sampler": sampler,
        "num_workers": 0,
    }


def _name(error: Exception) -> str:
    try:
        torch.ones(2).item()
    except Exception as of_item:
        if (type(error), str(error)) == (type(of_item), str(of_item)):
            return SEVERAL_ELEMENTS
    return type(error).__name__
