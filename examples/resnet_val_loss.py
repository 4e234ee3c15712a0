"""A ResNet that reports its validation loss, on any mmengine release.

The model appends one item to what it returns in mode ``'predict'``: a
``BaseDataElement`` with ``loss`` as its only data field. mmengine from 0.10.5 on
(and ``valloss_compat`` on every release) extracts that item before the metrics
get the predictions, and reports its mean as ``val_loss``.

Run it with ``python examples/resnet_val_loss.py``.
"""

# First, so that the loops are ready before a Runner is built.
import valloss_compat

# isort: split
import argparse
from typing import Any, ClassVar, Dict, List, Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

Prediction = Tuple[Tensor, Tensor, BaseDataElement]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut.

    Args:
        in_channels (int): Channels of the input.
        out_channels (int): Channels of the output.
        stride (int): Stride of the first convolution. Defaults to 1.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(
            in_channels, out_channels, 3, stride=stride, padding=1, bias=False
        )
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != out_channels:
            # The sum needs both sides in one shape: project the input.
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, in_channels, H, W) to (N, out_channels, H/stride, W/stride)."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


class ResNet(nn.Module):
    """A small residual network for images from 8x8 upwards.

    Args:
        in_channels (int): Channels of the images. Defaults to 1.
        num_classes (int): Number of classes. Defaults to 10.
        widths (Sequence[int]): Channels of each stage; every stage but the
            first halves the resolution. Defaults to (8, 16, 32).
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 10,
        widths: Sequence[int] = (8, 16, 32),
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, widths[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        )
        stages = []
        previous = widths[0]
        for index, width in enumerate(widths):
            stride = 1 if index == 0 else 2
            stages += [BasicBlock(previous, width, stride), BasicBlock(width, width)]
            previous = width
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(previous, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Maps images (N, in_channels, H, W) to class scores (N, num_classes)."""
        features: Tensor = self.stages(self.stem(images))
        scores: Tensor = self.head(features.mean(dim=(2, 3)))
        return scores


class ResNetWithValLoss(BaseModel):
    """The ResNet as a model of mmengine that returns its validation loss.

    Args:
        in_channels (int): Channels of the images. Defaults to 1.
        num_classes (int): Number of classes. Defaults to 10.
    """

    def __init__(self, in_channels: int = 1, num_classes: int = 10) -> None:
        super().__init__()
        self.resnet = ResNet(in_channels, num_classes)

    def forward(
        self, images: Tensor, labels: Optional[Tensor] = None, mode: str = "tensor"
    ) -> Union[Tensor, Dict[str, Tensor], Prediction]:
        """Runs the network in one of mmengine's modes.

        Args:
            images (Tensor): Images of shape (N, in_channels, H, W).
            labels (Tensor, optional): Class indices of shape (N,). Not needed
                in mode ``'tensor'``.
            mode (str): ``'tensor'``, ``'loss'`` or ``'predict'``.

        Returns:
            Tensor or dict or tuple: The scores (N, num_classes) in mode
            ``'tensor'``; the named losses in mode ``'loss'``; scores, labels
            and the loss element, which comes last, in mode ``'predict'``.
        """
        x: Tensor = self.resnet(images)
        if mode == "tensor":
            return x
        if labels is None:
            raise ValueError(f"mode {mode!r} needs labels")
        loss = {"loss": F.cross_entropy(x, labels)}
        if mode == "loss":
            return loss
        if mode == "predict":
            return x, labels, BaseDataElement(loss=loss)
        raise ValueError(f"unknown mode {mode!r}")


class Accuracy(BaseMetric):
    """The share of images with the highest score at the true class."""

    # An empty prefix, unlike None, keeps the plain key `accuracy` unwarned.
    default_prefix = ""

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Counts the hits of one batch.

        Args:
            data_batch (Any): The batch as the dataloader gave it. Not used.
            data_samples (Sequence): The items of the model's tuple: scores
                (N, num_classes) and labels (N,), without the loss element.
        """
        scores, labels = data_samples
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
    """Images (N, C, H, W) and labels (N,), one pair a sample."""

    # Every loop of mmengine reads it, and older ones warn if it is missing.
    metainfo: ClassVar[Dict[str, Any]] = {}


def load_images() -> Tuple[Tensor, Tensor]:
    """Loads scikit-learn's handwritten digits, or draws some noisy stripes.

    Returns:
        tuple: Images (N, 1, 8, 8) of type float32 and labels (N,).
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        print("scikit-learn is not installed: drawn stripes instead of digits")
        labels = torch.arange(800) % 8
        images = torch.rand(800, 1, 8, 8)
        images[torch.arange(800), :, labels] += 1
        return images, labels
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
    return images, torch.tensor(digits.target)


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Trains a few epochs and prints what each validation reported.

    Args:
        argv (Sequence[str], optional): Arguments instead of ``sys.argv``.
    """
    parser = argparse.ArgumentParser(description="ResNet with a validation loss")
    parser.add_argument("--work-dir", default="work_dirs/resnet_val_loss")
    parser.add_argument("--epochs", type=int, default=3)
    args = parser.parse_args(argv)

    torch.manual_seed(0)
    images, labels = load_images()
    order = torch.randperm(len(images))
    train, val = order[: len(order) // 2], order[len(order) // 2 :]
    runner = Runner(
        model=ResNetWithValLoss(),
        work_dir=args.work_dir,
        train_dataloader=DataLoader(
            ImageDataset(images[train], labels[train]), batch_size=32, shuffle=True
        ),
        val_dataloader=DataLoader(
            ImageDataset(images[val], labels[val]), batch_size=100
        ),
        train_cfg={"by_epoch": True, "max_epochs": args.epochs},
        val_cfg={},
        val_evaluator=[Accuracy()],
        optim_wrapper={"optimizer": {"type": "Adam", "lr": 0.002}},
        default_hooks={
            "checkpoint": {"type": "CheckpointHook", "save_best": "val_loss"}
        },
        experiment_name="resnet_val_loss",
    )
    runner.train()
    best = runner.message_hub.get_info("best_ckpt")
    print(f"valloss_compat {valloss_compat.__version__}: best by val_loss is {best}")


if __name__ == "__main__":
    main()
