"""The output of the digits demo: a table of epochs, and how the run ended."""

import inspect
from typing import Any, List, NamedTuple, Optional

import torch
import torch.nn.functional as F
from mmengine.hooks import CheckpointHook, Hook
from torch.utils.data import DataLoader

from valloss_compat._cli.plot.curves import RunCurves
from valloss_compat._cli.plot.figure import draw


class Epoch(NamedTuple):
    """The numbers of one epoch; ``val_loss`` is None if none was reported."""

    number: int
    train_loss: float
    val_loss: Optional[float]
    accuracy: float
    keys: List[str]


class CurveRecorder(Hook):
    """Keep the curves of the run and print one line an epoch.

    The validation loss is that of the metrics in ``after_val_epoch``: the value of the
    epoch. In their logs, some releases of mmengine smooth it over several epochs.
    """

    def __init__(self) -> None:
        self.epochs: List[Epoch] = []
        self._losses: List[float] = []

    @property
    def best(self) -> Optional[Epoch]:
        """The epoch with the lowest validation loss, if any was reported."""
        known = [epoch for epoch in self.epochs if epoch.val_loss is not None]
        return min(known, key=lambda epoch: epoch.val_loss or 0.0, default=None)

    def before_train(self, runner: Any) -> None:
        """Print the head of the table."""
        print("epoch   train loss   val loss   accuracy")

    def before_train_epoch(self, runner: Any) -> None:
        """Reset the mean of the training loss."""
        self._losses.clear()

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Keep the training loss of an iteration."""
        self._losses.append(float(outputs["loss"]))

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        """Keep and print the numbers of the epoch."""
        # The train loop has already counted this epoch, so there is no `+ 1`.
        epoch = Epoch(
            number=runner.epoch,
            train_loss=sum(self._losses) / len(self._losses),
            val_loss=metrics.get("val_loss"),
            accuracy=metrics["accuracy"],
            keys=sorted(metrics),
        )
        self.epochs.append(epoch)
        val_loss = "-" if epoch.val_loss is None else f"{epoch.val_loss:.4f}"
        line = f"{epoch.number:5d}   {epoch.train_loss:10.4f}   {val_loss:>8}"
        note = "   lowest so far" if epoch is self.best else ""
        print(f"{line}   {epoch.accuracy:8.3f}{note}", flush=True)


class SaveBest(CheckpointHook):
    """A ``CheckpointHook`` with which a missing metric does not end the run.

    ``CheckpointHook(save_best='val_loss')`` raises ``KeyError: 'val_loss'`` at the
    first validation without that metric. This hook counts such validations, so that
    a run without the shim continues and can report their number.
    """

    missed = 0

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        """Save the best checkpoint, or count a missing ``val_loss``."""
        try:
            super().after_val_epoch(runner, metrics)
        except KeyError as error:
            if error.args != ("val_loss",):
                raise
            self.missed += 1


def explain_stop(
    recorder: CurveRecorder, max_epochs: int, stopping: Optional[Any], stopped: bool
) -> str:
    """Explain where the training ended and why.

    Args:
        recorder (CurveRecorder): The curves of the run.
        max_epochs (int): The planned number of epochs.
        stopping (EarlyStoppingHook, optional): The hook for early stopping, if any.
        stopped (bool): Whether the training ended before its last epoch.

    Returns:
        str: One sentence.
    """
    last, best = recorder.epochs[-1], recorder.best
    if stopped and stopping is not None and best is not None:
        return (
            f"Stopped after epoch {last.number} of {max_epochs}: val_loss had its "
            f"lowest value, {best.val_loss:.4f}, at epoch {best.number} and did not "
            f"get lower in the {stopping.wait_count} epochs since "
            f"(patience={stopping.patience})."
        )
    if stopping is None:
        reason = "without early stopping"
    elif best is None:
        reason = "early stopping never had its metric and could not act"
    else:
        reason = "early stopping had no reason to act"
    return f"Ran to the end, epoch {last.number} of {max_epochs}: {reason}."


def check_checkpoint(
    path: str, model: torch.nn.Module, dataloader: DataLoader
) -> float:
    """Compute the loss of a checkpoint again, in plain PyTorch.

    Args:
        path (str): The checkpoint.
        model (nn.Module): The model that gets its weights. It maps images of shape
            (N, 1, 8, 8) to scores of shape (N, 10).
        dataloader (DataLoader): Batches of images and labels of shape (N,).

    Returns:
        float: Mean over the batches of their mean cross entropy.
    """
    # torch 2.6 loads only weights by default, and old releases have no such option.
    # The file can be trusted: this run wrote it.
    known = "weights_only" in inspect.signature(torch.load).parameters
    checkpoint = torch.load(path, **({"weights_only": False} if known else {}))
    model.load_state_dict(checkpoint["state_dict"])
    model.eval()
    with torch.no_grad():
        losses = [
            float(F.cross_entropy(model(images), labels))
            for images, labels in dataloader
        ]
    return sum(losses) / len(losses)


def draw_curves(recorder: CurveRecorder, max_epochs: int, path: str) -> None:
    """Draw both curves with the best epoch and the stop, as ``plot`` does.

    Args:
        recorder (CurveRecorder): The curves of the run.
        max_epochs (int): The planned number of epochs.
        path (str): The picture to write.
    """
    epochs, best = recorder.epochs, recorder.best
    known = [epoch for epoch in epochs if epoch.val_loss is not None]
    last = epochs[-1].number
    run = RunCurves(
        name="digits",
        train=([epoch.number for epoch in epochs], [e.train_loss for e in epochs]),
        val=([epoch.number for epoch in known], [e.val_loss or 0.0 for e in known]),
        best=best and (best.number, best.val_loss or 0.0),
        best_label=f"epoch {best.number}, {best.val_loss:.3f}" if best else "",
        end=last,
        planned=max_epochs if last < max_epochs else None,
    )
    title = "Early stopping on val_loss: handwritten digits"
    if best is None:
        title = "No val_loss was reported: nothing to stop on"
    draw([run], path, ylabel="cross entropy per image", title=title)
