"""One row of the oracle table: a model, what its loss has to be, what ours is.

The rooms of the libraries (``mmpretrain_rows`` and so on) list their rows; the
tests check each one, ``benchmarks/val_loss_hook.py`` prints them.
"""

from __future__ import annotations

import copy
import statistics
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tiny import silent_visualizer


class Row(NamedTuple):
    """A model of a library.

    Attributes:
        library (str): Its package.
        name (str): What it is called in the table.
        config (Callable): ``config(folder)`` writes the data set and gives the
            whole config, its val_dataloader reading that.
        oracle (Callable): ``oracle(config, model)`` gives the losses by the
            model's own mode ``'loss'``, on data loaded as for training: name
            -> mean over the batches, the sum of these as ``val_loss``.
        target (float): What a validation may cost, compared with one without.
        build (Callable, optional): ``build(config)`` gives the model. Defaults
            to None: the runner builds it, and its head is given wild weights.
    """

    library: str
    name: str
    config: Callable[[Path], Any]
    oracle: Callable[[Any, Any], Dict[str, float]]
    target: float = 1.15
    build: Optional[Callable[[Any], Any]] = None


class Seed(Hook):
    """Samplers of boxes draw: the first batch starts from a seed, as for the oracle."""

    def before_val_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None
    ) -> None:
        torch.manual_seed(0)


class Measured(NamedTuple):
    """What a row came out as."""

    oracle: float
    ours: float
    cost: float

    @property
    def difference(self) -> float:
        """Relative to the oracle."""
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
    """Weights by which samples differ: fresh ones give all the same loss."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in getattr(model, "head", model).parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))


def measure(row: Row, folder: Path, repeats: int = 5) -> Measured:
    """Compare a row with its oracle, and a validation with one without the hook.

    Args:
        row (Row): The row.
        folder (Path): Where data and logs go.
        repeats (int): Validations of each kind, in turn; the median counts.
    """
    config = row.config(folder)
    built = row.build(config) if row.build else None
    with_hook = runner_of(config, folder, model=built, strategy="auto")
    model = with_hook.model
    if built is None:
        spread(model)
    without = runner_of(config, folder, model=model)
    ours = with_hook.val()["val_loss"]
    oracle = row.oracle(config, model)["val_loss"]
    without.val()
    times: Dict[bool, List[float]] = {True: [], False: []}
    for turn in range(2 * repeats):
        hooked = turn % 2 == 0
        start = time.process_time()
        (with_hook if hooked else without).val_loop.run()
        times[hooked].append(time.process_time() - start)
    cost = statistics.median(times[True]) / statistics.median(times[False])
    return Measured(oracle, ours, cost)
