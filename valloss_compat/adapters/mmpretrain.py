"""What is known of mmpretrain."""

from __future__ import annotations

from valloss_compat.adapters.base import Adapter


class MMPretrain(Adapter):
    """Classifiers of mmpretrain: their ground truth is in no frame."""

    library = "mmpretrain"
    models = ("ImageClassifier",)
    known = ("LinearClsHead", "CrossEntropyLoss", "GlobalAveragePooling")
