"""Trains a real Runner along a curve, and returns where and how it ended.

It never imports valloss_compat, because native mmengine is recorded with it.
"""

from __future__ import annotations

import os.path as osp
import warnings
from glob import glob
from typing import Any, Dict, List

import torch
from mmengine.hooks import Hook
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from support.tiny import element, loader, make_runner, sample

from .curves import Curve


class DerivedByEpoch(EpochBasedTrainLoop):
    """A loop with its own ``run``, as in downstream libraries."""

    def run(self) -> Any:
        """Train and validate."""
        self.runner.call_hook("before_train")
        while self._epoch < self._max_epochs and not self._is_stopped():
            self.run_epoch()
            self.runner.val_loop.run()
        self.runner.call_hook("after_train")
        return self.runner.model

    def _is_stopped(self) -> bool:
        return bool(getattr(self, "stop_training", False))


class DerivedByIter(IterBasedTrainLoop):
    """A loop with its own ``run_iter``."""

    def run_iter(self, data_batch: Any) -> None:
        """Train on one batch."""
        super().run_iter(data_batch)


for _loop in (DerivedByEpoch, DerivedByIter):
    LOOPS.register_module(name=_loop.__name__, module=_loop, force=True)


class EndRecorder(Hook):
    """Records the hook calls after the last validation."""

    def __init__(self) -> None:
        self.calls: List[str] = []
        self.validations = 0

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        """Count validations, and forget the calls before."""
        self.validations += 1
        self.calls = []

    def after_train_epoch(self, runner: Any) -> None:
        """Record the call, once in an iteration-based training."""
        self.calls.append("after_train_epoch")

    def after_train(self, runner: Any) -> None:
        """Record the call."""
        self.calls.append("after_train")

    def after_run(self, runner: Any) -> None:
        """Record the call."""
        self.calls.append("after_run")


def train(curve: Curve, work_dir: str, **options: Any) -> Dict[str, Any]:
    """Train along a curve.

    Args:
        curve (Curve): The losses and the setup of the training.
        work_dir (str): An empty folder.
        **options: More arguments of the Runner.

    Returns:
        dict: For each stage, in types of JSON: epochs and iterations done,
        validations, hooks called after the last one, best score, and files.
    """
    by_epoch = curve.train_cfg.get("by_epoch", True)
    length = "max_epochs" if by_epoch else "max_iters"
    whole = curve.train_cfg.get(length, len(curve.losses))
    ended = []
    for stage in (*curve.stages, whole):
        ended.append(_train(curve, work_dir, {length: stage}, bool(ended), options))
    return {"stages": ended}


def _train(
    curve: Curve, work_dir: str, length: Dict[str, int], resume: bool, options: Any
) -> Dict[str, Any]:
    train_cfg: Dict[str, Any] = {"by_epoch": True, **curve.train_cfg, **length}
    if curve.loop:
        del train_cfg["by_epoch"]
        train_cfg["type"] = curve.loop
    by_iter = "max_iters" in length
    interval = curve.train_cfg.get("val_interval", 1)
    runners: List[Any] = []

    def respond(index: int, inputs: Any) -> Any:
        done = runners[0].iter if by_iter else runners[0].epoch
        loss = curve.losses[done // (interval if by_iter else 1) - 1]
        value = torch.tensor(loss, dtype=torch.float64)
        return [sample(), element(loss=value, acc=value)]

    ends = EndRecorder()
    checkpoint = {"type": "CheckpointHook", "save_best": curve.save_best}
    checkpoint.update(interval=1, by_epoch=not by_iter)
    stopping = {"type": "EarlyStoppingHook", "monitor": curve.monitor, **curve.hook}
    runner = make_runner(
        work_dir,
        respond,
        length=1,
        train_dataloader=loader(20 if by_iter else 2),
        train_cfg=train_cfg,
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        default_hooks={"checkpoint": checkpoint},
        custom_hooks=[ends, stopping],
        resume=resume,
        **options,
    )
    runners.append(runner)
    raised = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mmengine warns about a missing metric
        try:
            runner.train()
        except Exception as error:
            raised = type(error).__name__
    return {
        "raised": raised,
        "epoch": runner.epoch,
        "iter": runner.iter,
        "limit": runner.max_iters if by_iter else runner.max_epochs,
        "validations": ends.validations,
        "calls": ends.calls,
        "best": {
            key: value
            for key, value in runner.message_hub.runtime_info.items()
            if key.startswith("best_score")
        },
        "files": sorted(map(osp.basename, glob(osp.join(work_dir, "*.pth")))),
    }
