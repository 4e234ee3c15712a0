"""One row of the oracle table: a model, its expected and its reported loss.

The modules of the libraries (``mmpretrain_rows`` and so on) list their rows; the tests
check each one, ``benchmarks/val_loss_hook.py`` measures their cost.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Callable, Dict, NamedTuple, Optional

import torch
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
        build (Callable, optional): ``build(config)`` returns the model. Defaults to
            None: the runner builds it, and its head gets random weights.
        large (Callable, optional): As ``config``, with images and batches as in the
            shipped config, for the benchmark: with small images the constant costs
            would weigh too much. Defaults to None: as ``config``.
    """

    library: str
    name: str
    config: Callable[[Path], Any]
    oracle: Callable[[Any, Any], Dict[str, float]]
    build: Optional[Callable[[Any], Any]] = None
    large: Optional[Callable[[Path], Any]] = None


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
    return Runner(**arguments)


def spread(model: Any) -> None:
    """Set random weights: with initial ones all samples have the same loss."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in getattr(model, "head", model).parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
