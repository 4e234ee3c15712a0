"""One row of the oracle table: a model, its expected and its reported loss.

The modules of the libraries (``mmpretrain_rows`` and so on) list their rows; the tests
check each one, ``benchmarks/val_loss_hook.py`` prints them.
"""

from __future__ import annotations

import copy
import statistics
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from support.tiny import silent_visualizer


class Row(NamedTuple):
    """A model of a library.

    Attributes:
        library (str): Its package.
        name (str): Its name in the table.
        config (Callable): ``config(folder)`` writes the data set and returns the
            whole config, with a val_dataloader that reads it.
        oracle (Callable): ``oracle(config, model)`` returns the losses of mode
            ``'loss'`` of the model, on data loaded as for training: name -> mean
            over the batches, and their sum as ``val_loss``.
        target (float): The highest cost of a validation, relative to one without
            the hook.
        build (Callable, optional): ``build(config)`` returns the model. Defaults to
            None: the runner builds it, and its head gets random weights.
        large (Callable, optional): As ``config``, with images and batches as in the
            shipped config, for :func:`cost`: with small images the constant costs
            would weigh too much. Defaults to None: as ``config``.
    """

    library: str
    name: str
    config: Callable[[Path], Any]
    oracle: Callable[[Any, Any], Dict[str, float]]
    target: float = 1.15
    build: Optional[Callable[[Any], Any]] = None
    large: Optional[Callable[[Path], Any]] = None


class Seed(Hook):
    """Samplers of boxes draw: each batch starts from the seed of the oracle."""

    def before_val_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None
    ) -> None:
        torch.manual_seed(0)


class Measured(NamedTuple):
    """The results of a row.

    Attributes:
        oracle (float): The expected ``val_loss``.
        ours (float): The ``val_loss`` that the hook reports.
        cost (float): CPU time of a validation with the hook, relative to one
            without.
        theirs (float): The part of it that the model spends in mode ``'loss'``,
            plus 1: reuse cannot reduce it.
    """

    oracle: float
    ours: float
    cost: float
    theirs: float

    @property
    def difference(self) -> float:
        """The relative difference from the oracle."""
        return abs(self.ours - self.oracle) / abs(self.oracle)


def runner_of(config: Any, folder: Path, model: Any = None, **hook: Any) -> Runner:
    """A Runner for a config, with a ``ValLossHook`` if it is given options."""
    config = copy.deepcopy(config)
    config.work_dir = str(folder / "work")
    config.log_level = "ERROR"
    config.custom_hooks = [{"type": "ValLossHook", **hook}] if hook else []
    config.randomness = {"seed": 0}
    config.load_from = None
    arguments = dict(config, cfg=config, visualizer=silent_visualizer())
    known = Runner.__init__.__code__.co_varnames[: Runner.__init__.__code__.co_argcount]
    if model is not None:
        arguments["model"] = model
    arguments = {name: arguments[name] for name in known if name in arguments}
    runner = Runner(**arguments)
    runner.register_hook(Seed())
    return runner


def spread(model: Any) -> None:
    """Set random weights: with initial ones all samples have the same loss."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in getattr(model, "head", model).parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))


def measure(row: Row, folder: Path, repeats: int = 5) -> Measured:
    """Compare a row with its oracle, and a validation with one without the hook.

    Args:
        row (Row): The row.
        folder (Path): For data and logs.
        repeats (int): Validations of each kind, in turn; the median counts.
    """
    config = row.config(folder / "small")
    runner = _hooked(row, config, folder)
    ours = runner.val()["val_loss"]
    oracle = row.oracle(config, runner.model)["val_loss"]
    if row.large is not None:
        config = row.large(folder / "large")
        runner = _hooked(row, config, folder)
        runner.val()
    return Measured(oracle, ours, *cost(runner, config, folder, repeats))


def _hooked(row: Row, config: Any, folder: Path) -> Runner:
    built = row.build(config) if row.build else None
    runner = runner_of(config, folder, model=built, strategy="auto")
    if built is None:
        spread(runner.model)
    return runner


def cost(
    with_hook: Runner, config: Any, folder: Path, repeats: int
) -> Tuple[float, float]:
    """Return ``cost`` and ``theirs`` of :class:`Measured`."""
    model = with_hook.model
    without = runner_of(config, folder, model=model)
    without.val()
    times: Dict[bool, List[float]] = {True: [], False: []}
    theirs: List[float] = []
    forward = model._run_forward

    def run_forward(data: Any, mode: str) -> Any:
        start = time.process_time()
        try:
            return forward(data, mode=mode)
        finally:
            if mode == "loss":
                theirs[-1] += time.process_time() - start

    for turn in range(2 * repeats):
        hooked = turn % 2 == 0
        if hooked:
            theirs.append(0.0)
            model._run_forward = run_forward
        start = time.process_time()
        (with_hook if hooked else without).val_loop.run()
        times[hooked].append(time.process_time() - start)
        vars(model).pop("_run_forward", None)
    plain = statistics.median(times[False])
    return (
        statistics.median(times[True]) / plain,
        1 + statistics.median(theirs) / plain,
    )
