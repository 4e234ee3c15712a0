"""mmpretrain's ImageClassifier with a validation loss, by four lines.

The recipe of mmengine's pull request 1503, for a model that reports its loss itself:
``predict`` appends a ``BaseDataElement`` with ``loss`` as its only data field.
``ValLossHook`` (examples/mmpretrain_digits.py) needs no subclass.

``python examples/digits_folder.py`` writes the images; then run it with
``python examples/mmpretrain_val_loss.py``.
"""

# First, so that the loops are ready before a Runner is built.
import valloss_compat

# isort: split
import argparse
from pathlib import Path
from typing import Any, List, Optional, Sequence

import mmpretrain
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from mmpretrain.models import ImageClassifier
from mmpretrain.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class ImageClassifierWithValLoss(ImageClassifier):
    """An ImageClassifier that appends the losses of the batch to its predictions."""

    def predict(
        self, inputs: Tensor, data_samples: Optional[List[Any]] = None, **kwargs: Any
    ) -> List[Any]:
        """Predicts, and computes the losses from the same features.

        Args:
            inputs (Tensor): Images of shape (N, C, H, W).
            data_samples (list[DataSample], optional): With the labels; without
                labels, as in inference, there is no loss.
            **kwargs: For the head's ``predict``.

        Returns:
            list: The N data samples with their predictions and, last, the loss
            element.
        """
        feats = self.extract_feat(inputs)
        predictions: List[Any] = self.head.predict(feats, data_samples, **kwargs)
        if data_samples and "gt_label" in data_samples[0]:
            losses = self.head.loss(feats, data_samples)
            return [*predictions, BaseDataElement(loss=losses)]
        return predictions


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Trains until early stopping ends it, and prints the best checkpoint.

    Args:
        argv (Sequence[str], optional): Arguments instead of ``sys.argv``.
    """
    parser = argparse.ArgumentParser(description="ImageClassifier with val_loss")
    parser.add_argument("--data", default="data/digits/")
    parser.add_argument("--work-dir", default="work_dirs/mmpretrain_val_loss")
    args = parser.parse_args(argv)

    config = Config.fromfile(str(Path(__file__).with_name("mmpretrain_digits.py")))
    for split in ("train", "val"):
        config[f"{split}_dataloader"].dataset.data_root = f"{args.data}/{split}"
    config.model.type = "ImageClassifierWithValLoss"
    config.default_hooks.pop("val_loss")  # the ValLossHook
    config.work_dir = args.work_dir
    runner = Runner.from_cfg(config)
    runner.train()
    best = runner.message_hub.get_info("best_ckpt")
    print(
        f"valloss_compat {valloss_compat.__version__}, mmpretrain "
        f"{mmpretrain.__version__}: stopped after epoch {runner.epoch}, best is {best}"
    )


if __name__ == "__main__":
    main()
