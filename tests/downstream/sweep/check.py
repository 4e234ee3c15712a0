"""The verdict of ``ValLossHook`` on one config: what it does before a training."""

from __future__ import annotations

import copy
import functools
import importlib
import itertools
import logging
from pathlib import Path
from typing import Any, List, NamedTuple

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from support.tiny import silent_visualizer

from downstream.oracle.model import built, progress, seed, tracks
from downstream.oracle.reported import Count
from downstream.sweep import made
from downstream.sweep.files import Files
from downstream.sweep.shipped import message, one_line

ACCEPTED, REJECTED, NOT_CHECKED = "accepted", "rejected", "not checked"
#: What ``ValLossHook`` writes into the log begins with it; what its self-check found is
#: no repair.
_PREFIX, _FINDING = "valloss_compat: ValLossHook: ", "mode 'loss' of "
#: What an operation of mmcv raises that is written for CUDA alone.
_NEEDS_DEVICE = "implementation for device cpu not found"

_count = itertools.count()


class Verdict(NamedTuple):
    """What became of a config.

    Attributes:
        verdict (str): ``'accepted'``, ``'rejected'`` or ``'not checked'``.
        repair (str): What the hook added or chose, as it wrote into the log.
        reason (str): Why it is not accepted, with the fix.
    """

    verdict: str
    repair: str
    reason: str


class _Lines(logging.Handler):
    """Keeps what the hook writes into the log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: List[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text.startswith(_PREFIX) and not text.startswith(_PREFIX + _FINDING):
            self.lines.append(text[len(_PREFIX) :])


def verdict(library: str, whole: Any, batch: int, folder: Path) -> Verdict:
    """Check a config that ``smaller`` has shrunk.

    Args:
        library (str): The package that ships it.
        whole (Config): It is changed.
        batch (int): Samples of a batch.
        folder (Path): Of made data and of the runner.
    """
    from valloss_compat.errors import UnsupportedError

    scope = whole.get("default_scope") or library
    DefaultScope.get_instance(f"sweep-{next(_count)}", scope_name=scope)
    step = "model"
    lines = _Lines()
    try:
        model = built(whole.model, scope)
        files = Files(folder / "files", whole.model)
        loaders = [whole.val_dataloader, whole.train_dataloader]
        step = "data"
        with made.records(scope, loaders, files):
            runner = _runner(scope, whole, model, batch, folder)
            runner.logger.addHandler(lines)
            dataloader = runner.val_loop.dataloader
            first = next(iter(dataloader))
            step = "predictions"
            predict(model, first)
            try:
                for hook in runner.hooks:
                    if type(hook).__name__ == "ValLossHook":
                        hook.before_run(runner)
                        hook.before_train(runner)
            except UnsupportedError as error:
                reason = one_line(error.rejection)
                runs = _NEEDS_DEVICE not in reason
                return Verdict(
                    REJECTED if runs else NOT_CHECKED, _repair(lines), reason
                )
    except Exception as error:
        return Verdict(NOT_CHECKED, "", f"{step}: {message(error)}")
    return Verdict(ACCEPTED, _repair(lines), "")


def predict(model: Any, batch: Any) -> None:
    """Predict, with batch norms that take the statistics of the data.

    Deep networks diverge with initial ones.
    """
    norms = [module for module in model.modules() if tracks(module)]
    before = copy.deepcopy([module.state_dict() for module in norms])
    model.eval()
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    try:
        with torch.no_grad():
            model.val_step(copy.deepcopy(batch))
        return
    except (ValueError, RuntimeError, IndexError):  # one value has no variance
        for norm, state in zip(norms, before):
            norm.load_state_dict(state)
    finally:
        for norm in norms:
            norm.eval()
    with torch.no_grad():
        model.val_step(copy.deepcopy(batch))


def _runner(scope: str, whole: Any, model: Any, batch: int, folder: Path) -> Any:
    dataloader = in_process(whole.val_dataloader, batch)
    config = Config({k: v for k, v in whole.items() if k != "val_dataloader"})
    config.val_dataloader = dataloader
    _without_reports()
    seed(0)
    runner = Runner(
        model=model,
        work_dir=str(folder / "run"),
        val_dataloader=dataloader,
        val_cfg=dict(whole.get("val_cfg") or {}),
        val_evaluator=Evaluator(Count()),
        default_hooks={"logger": None, "checkpoint": None},
        custom_hooks=[{"type": "ValLossHook"}],
        default_scope=scope,
        visualizer=silent_visualizer(),
        log_level="INFO",
        randomness={"seed": 0},
        cfg=config,
    )
    progress(runner.message_hub)
    return runner


def in_process(dataloader: Any, batch: int) -> Any:
    """A copy of a config of a data loader, without workers, of batches of some size."""
    dataloader = copy.deepcopy(dataloader)
    dataloader.update(batch_size=batch, num_workers=0, persistent_workers=False)
    for name in ("prefetch_factor", "timeout", "pin_memory"):
        dataloader.pop(name, None)
    return dataloader


@functools.lru_cache(maxsize=None)
def _without_reports() -> None:
    """Have a Runner report no environment and no config: that takes it seconds."""
    module = importlib.import_module("mmengine.runner.runner")
    module.collect_env = dict
    Config.pretty_text = ""
    Runner.dump_config = lambda runner: None


def _repair(lines: _Lines) -> str:
    return "; ".join(lines.lines)
