"""Early stopping on the validation loss: handwritten digits, end to end.

A small CNN learns 100 of the digit images that come with scikit-learn, few
enough to be memorised: the validation loss falls and then rises, while the
training loss goes to zero. ``EarlyStoppingHook`` and ``CheckpointHook``
watch ``val_loss``, which mmengine reports from 0.10.5 on and which
``valloss_compat`` brings to every release before that.

    python examples/digits.py
    VALLOSS_COMPAT=off python examples/digits.py   # the same without the shim
"""

# First, so that the loops are ready before a Runner is built.
import valloss_compat

# isort: split
import argparse
import os
import warnings
from typing import Any, ClassVar, Dict, List, Optional, Sequence, Tuple, Union

import mmengine
import torch
import torch.nn.functional as F
from digits_report import (
    CurveRecorder,
    SaveBest,
    check_checkpoint,
    draw_curves,
    explain_stop,
)
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

NUM_TRAIN, NUM_VAL, SEED, PATIENCE = 100, 600, 0, 10


class DigitsCNN(BaseModel):
    """Two convolutions and two linear layers, without any regularisation."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 4 * 4, 128),
            nn.ReLU(),
            nn.Linear(128, 10),
        )

    def forward(
        self, images: Tensor, labels: Optional[Tensor] = None, mode: str = "tensor"
    ) -> Union[Tensor, Dict[str, Tensor], Tuple[Tensor, Tensor, BaseDataElement]]:
        """Runs the network in one of mmengine's modes.

        Args:
            images (Tensor): Images of shape (N, 1, 8, 8).
            labels (Tensor, optional): Class indices of shape (N,). Not needed
                in mode ``'tensor'``.
            mode (str): ``'tensor'``, ``'loss'`` or ``'predict'``.

        Returns:
            Tensor or dict or tuple: The scores (N, 10), the named losses, or
            scores and labels followed by the loss element.
        """
        scores: Tensor = self.net(images)
        if labels is None:
            return scores
        loss = {"loss": F.cross_entropy(scores, labels)}
        if mode == "loss":
            return loss
        return scores, labels, BaseDataElement(loss=loss)


class DigitsAccuracy(BaseMetric):
    """The share of images with the highest score at the true class."""

    # An empty prefix, unlike None, keeps the plain key `accuracy` unwarned.
    default_prefix = ""

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Counts the hits of one batch.

        Args:
            data_batch (Any): The batch as the dataloader gave it. Not used.
            data_samples (Sequence): The items of the model's tuple: scores
                (N, 10) and labels (N,).
        """
        # On mmengine before 0.10.5 and with VALLOSS_COMPAT=off the loss element is
        # not extracted: it is a third item here, which this metric has to skip.
        scores, labels = data_samples[:2]
        hits = int((scores.argmax(dim=1) == labels).sum())
        self.results.append((hits, len(labels)))

    def compute_metrics(self, results: List[Tuple[int, int]]) -> Dict[str, float]:
        """Divides all hits by all images.

        Args:
            results (list): Hits and number of images of each batch.

        Returns:
            dict: The metric ``accuracy``.
        """
        hits, total = (sum(column) for column in zip(*results))
        return {"accuracy": hits / total}


class ImageDataset(TensorDataset):
    """Images (N, 1, 8, 8) and labels (N,), one pair a sample."""

    # Every loop of mmengine reads it, and older ones warn if it is missing.
    metainfo: ClassVar[Dict[str, Any]] = {}


def load_data() -> Tuple[DataLoader, DataLoader]:
    """Splits off the images to learn from and those to validate on.

    Returns:
        tuple: A train and a val dataloader of batches of images (N, 1, 8, 8),
        float32 in [0, 1], and labels (N,).
    """
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
    labels = torch.tensor(digits.target)
    shuffled = torch.randperm(
        len(images), generator=torch.Generator().manual_seed(SEED)
    )
    train, val = shuffled[: NUM_TRAIN + NUM_VAL].split([NUM_TRAIN, NUM_VAL])
    return (
        DataLoader(
            ImageDataset(images[train], labels[train]),
            batch_size=10,
            shuffle=True,
            generator=torch.Generator().manual_seed(SEED),
        ),
        DataLoader(ImageDataset(images[val], labels[val]), batch_size=100),
    )


def build_runner(args: argparse.Namespace, recorder: CurveRecorder) -> Runner:
    """Builds the runner as any mmengine train script would.

    Args:
        args (Namespace): The options of the command line.
        recorder (CurveRecorder): Keeps the curves.

    Returns:
        Runner: Ready to train.
    """
    train_dataloader, val_dataloader = load_data()
    hooks: Dict[str, Any] = {}
    if HOOKS.get("EarlyStoppingHook") is None:
        print("This mmengine has no EarlyStoppingHook: trains without.")
    else:
        # min_delta is 0.1 by default, far more than an epoch gains here.
        hooks["early_stopping"] = {
            "type": "EarlyStoppingHook",
            "monitor": "val_loss",
            "patience": PATIENCE,
            "min_delta": 1e-4,
            "strict": False,
        }
    hooks["checkpoint"] = {
        "type": SaveBest,
        "interval": 1,  # for --resume
        "save_best": "val_loss",
        "max_keep_ckpts": 1,
    }
    return Runner(
        model=DigitsCNN(),
        work_dir=args.work_dir,
        train_dataloader=train_dataloader,
        val_dataloader=val_dataloader,
        train_cfg={"by_epoch": True, "max_epochs": args.epochs, "val_interval": 1},
        val_cfg={},
        val_evaluator=[DigitsAccuracy()],
        optim_wrapper={"optimizer": {"type": "Adam", "lr": args.lr}},
        default_hooks=hooks,
        custom_hooks=[recorder],
        resume=args.resume,
        randomness={"seed": SEED},
        log_level="ERROR",
        experiment_name="valloss_compat_digits",
    )


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Trains, and prints how the training ended.

    Args:
        argv (Sequence[str], optional): Arguments instead of ``sys.argv``.
    """
    parser = argparse.ArgumentParser(description="Early stopping on the digits")
    parser.add_argument("--work-dir", default="work_dirs/digits")
    parser.add_argument("--epochs", type=int, default=40, help="at most so many")
    parser.add_argument("--lr", type=float, default=0.003, help="learning rate")
    parser.add_argument("--resume", action="store_true", help="go on in WORK_DIR")
    parser.add_argument("--picture", help="PNG file; WORK_DIR/digits.png by default")
    args = parser.parse_args(argv)

    # One thread: sums in another order would give other digits.
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    print(
        f"mmengine {mmengine.__version__}, valloss_compat "
        f"{valloss_compat.__version__} ({valloss_compat.status().mode}); "
        f"{NUM_TRAIN} images to learn from, {NUM_VAL} to validate on"
    )
    recorder = CurveRecorder()
    with warnings.catch_warnings(record=True) as caught:
        # Not shown while the table is printed, but after it.
        runner = build_runner(args, recorder)
        runner.train()
    for text in sorted({str(w.message) for w in caught if w.category is UserWarning}):
        print(f"warning: {text}")

    watching = [h for h in runner.hooks if type(h).__name__ == "EarlyStoppingHook"]
    stopping = watching[0] if watching else None
    stopped = recorder.epochs[-1].number < args.epochs
    (saving,) = [h for h in runner.hooks if isinstance(h, SaveBest)]
    print(explain_stop(recorder, args.epochs, stopping, stopped))
    if recorder.best is None:
        print(
            "val_loss never arrived. The only metrics were: "
            f"{', '.join(recorder.epochs[-1].keys)}.\n"
            "No best checkpoint was saved: CheckpointHook raised KeyError: "
            f"'val_loss' in {saving.missed} of {len(recorder.epochs)} validations."
        )
    else:
        path = runner.message_hub.get_info("best_ckpt")
        size = os.path.getsize(path) // 1024
        print(f"Best checkpoint: {path} ({size} KiB).")
        again = check_checkpoint(path, DigitsCNN(), runner.val_loop.dataloader)
        print(
            f"Loaded again and measured in plain PyTorch, its loss is {again:.4f}; "
            f"the run reported {runner.message_hub.get_info('best_score'):.4f}."
        )
    picture = args.picture or os.path.join(args.work_dir, "digits.png")
    draw_curves(recorder, args.epochs, picture)
    print(f"Picture: {picture}")


if __name__ == "__main__":
    main()
