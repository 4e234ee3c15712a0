"""Work dirs of mmengine, written by hand or by a real training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

import torch
from support.tiny import element, loader, make_runner, sample

from valloss_compat._cli import main
from valloss_compat._cli.plot import curves, scalars
from valloss_compat._cli.plot.curves import TrainLength

Lines = List[Dict[str, float]]


def epochs(
    losses: List[float], length: int = 10, interval: int = 5, begin: int = 1
) -> Lines:
    """Lines of an epoch-based training with a validation after each epoch.

    ``LoggerHook(ignore_last=True)`` logs them: at each interval within an epoch,
    but not at its end.
    """
    lines: Lines = []
    for epoch, loss in enumerate(losses, begin):
        for inner in range(interval, length + 1, interval):
            step = (epoch - 1) * length + inner
            train = {"lr": 0.1, "loss": 1 / step, "epoch": epoch, "iter": step}
            lines.append({**train, "step": step})
        lines.append({"val/loss_cls": loss / 2, "val_loss": loss, "step": epoch})
    return lines


def iterations(losses: List[float], length: int = 10, own: bool = True) -> Lines:
    """Lines of an iteration-based training, as logged by releases before 0.5.

    Args:
        losses (list[float]): The loss of each validation.
        length (int): Iterations between validations. Defaults to 10.
        own (bool): Whether validations log iterations, as with
            ``log_metric_by_epoch=False``. Defaults to True.
    """
    lines: Lines = []
    for step, loss in zip(range(length, 10**6, length), losses):
        lines.append({"base_lr": 0.1, "lr": 0.1, "loss": 1 / step, "step": step})
        lines.append({"val_loss": loss, "step": step if own else 0})
    return lines


def write(start: Path, lines: Lines, tail: str = "", config: str = "") -> Path:
    """Write ``START/vis_data/scalars.json``.

    Args:
        start (Path): The TIMESTAMP folder; its parent is the work dir.
        lines (list[dict]): The lines.
        tail (str): Text after the lines. Defaults to "".
        config (str): Text of ``config.py`` in the same folder. Defaults to "",
            which means no config.

    Returns:
        Path: The work dir.
    """
    folder = start / "vis_data"
    folder.mkdir(parents=True)
    text = "".join(json.dumps(line) + "\n" for line in lines) + tail
    (folder / "scalars.json").write_text(text, encoding="utf-8")
    if config:
        (folder / "config.py").write_text(config, encoding="utf-8")
    return start.parent


def train(work_dir: Path, losses: List[float], **options: Any) -> None:
    """Train a real Runner with the given validation losses.

    Args:
        work_dir (Path): The work dir.
        losses (list[float]): The loss of each validation.
        **options: Arguments of the Runner, and ``samples`` (iterations in an
            epoch, 2 by default), ``logger`` and ``checkpoint``.
    """

    def respond(index: int, inputs: Any) -> Any:
        return [sample(), element(loss_cls=torch.tensor(losses[index]))]

    logger = {"type": "LoggerHook", "interval": 1, **options.pop("logger", {})}
    checkpoint = {"type": "CheckpointHook", **options.pop("checkpoint", {})}
    make_runner(
        work_dir,
        respond,
        length=1,
        visualizer={
            "type": "Visualizer",
            "vis_backends": [{"type": "LocalVisBackend"}],
        },
        train_dataloader=loader(options.pop("samples", 2)),
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        default_hooks={"logger": logger, "checkpoint": checkpoint},
        **options,
    ).train()


def plot(*arguments: Any) -> int:
    """Run the command in this process."""
    return main(["plot", *map(str, arguments)])


def join(work_dir, planned=TrainLength()):  # noqa: B008
    """Read a work dir and join its starts."""
    starts = [start for file in scalars.find(str(work_dir)) for start in read(file)]
    return curves.join(starts, planned)


def read(file):
    """Read a file without its notes."""
    return scalars.read(str(file))[0]


def positions(run, unit="epoch", tag="val_loss", train=False):
    """Return the positions of a tag."""
    return [point.position(unit) for point in run.curve(tag, train)]


def values(run, tag="val_loss"):
    """Return the values of a tag in the validations."""
    return [point.scalars[tag] for point in run.curve(tag, train=False)]
