"""What is known of mmpretrain: its image classifiers.

Labels of images are in no frame: whatever the pipeline does to the image, the
label is that of the input. Mixup and CutMix act in training only.
"""

from __future__ import annotations

from typing import Any, ClassVar, List, Mapping, Optional, Tuple

from valloss_compat._libraries.base import Adapter
from valloss_compat._libraries.components import Part, Pipeline
from valloss_compat.errors import Rejection, UnsupportedError

_NO_PREDICT = (
    "it learns without labels and has no mode 'predict' to validate by",
    "validate the classifier that is trained on top of it",
)
_NO_LOSS = (
    "its losses keep queues, or need texts that the validation has not",
    "monitor the metric of its task",
)
_SELF_SUPERVISED = (
    "BaseSelfSupervisor",
    "BarlowTwins",
    "BEiT",
    "BYOL",
    "CAE",
    "DenseCL",
    "EVA",
    "MAE",
    "MFF",
    "MILAN",
    "MaskFeat",
    "MixMIM",
    "MoCo",
    "MoCoV3",
    "SimCLR",
    "SimMIM",
    "SimSiam",
    "SparK",
    "SwAV",
    "iTPN",
)
_MULTIMODAL = (
    "Blip2Caption",
    "Blip2Retrieval",
    "Blip2VQA",
    "BlipCaption",
    "BlipGrounding",
    "BlipNLVR",
    "BlipRetrieval",
    "BlipVQA",
    "CLIPImageClassification",
    "CLIPZeroShot",
    "ChineseCLIP",
    "Flamingo",
    "Llava",
    "MiniGPT4",
    "OFA",
    "Otter",
    "RAM",
    "RAMNormal",
    "RAMOpenset",
)


class MMPretrain(Adapter):
    """Image classifiers, on one label or several."""

    library = "mmpretrain"
    models = ("ImageClassifier",)
    known = (
        # Heads: predictions and loss are made of what forward returns in both modes.
        "ArcFaceClsHead",
        "CSRAClsHead",
        "CSRAModule",
        "ClsHead",
        "ConformerHead",
        "DeiTClsHead",
        "EfficientFormerClsHead",
        "LeViTClsHead",
        "BatchNormLinear",
        "LinearBlock",
        "LinearClsHead",
        "MultiLabelClsHead",
        "MultiLabelLinearClsHead",
        "NormProduct",
        "StackedLinearClsHead",
        "VigClsHead",
        "VisionTransformerClsHead",
        # Losses without a memory.
        "AsymmetricLoss",
        "CrossEntropyLoss",
        "FocalLoss",
        "LabelSmoothLoss",
    )
    refused: ClassVar[Mapping[str, Tuple[str, str]]] = {
        "SeesawLoss": (
            "it counts the samples of each class as it goes (cum_samples), and "
            "weighs by that: validation batches would be counted in",
            "CrossEntropyLoss as the head's loss, or a loss of your own without memory",
        ),
        "RevVisionTransformer": (
            "it keeps a seed of each layer's dropout, in eval mode too",
            "another backbone, such as VisionTransformer",
        ),
        "MultiTaskHead": (
            "its losses on validation samples are not known to be right",
            "one classifier a task, or a model that appends its loss element itself",
        ),
        "ImageToImageRetriever": (
            "its validation ranks images of classes that are not those of its loss",
            "monitor the retrieval's own metric, such as retrieval/Recall@1",
        ),
        **dict.fromkeys(_SELF_SUPERVISED, _NO_PREDICT),
        **dict.fromkeys(_MULTIMODAL, _NO_LOSS),
    }

    #: What is in train_cfg (Mixup, CutMix) does not act in a validation.
    free = (*Adapter.free, "train_cfg")
    #: LabelSmoothLoss notes the number of scores when it first sees some.
    may_change = ("num_classes",)

    def refuse_part(self, part: Part) -> Optional[Rejection]:
        """As the tables say; and heads whose loss is not that of a training."""
        distils = part.isa("mmpretrain.LeViTClsHead") and part.get("distillation", True)
        distils |= part.isa("mmpretrain.EfficientFormerClsHead") and (
            part.get("dist", True) if part.built else part.get("distillation", True)
        )
        if distils:
            return Rejection(
                str(part),
                "with distillation, mmpretrain has no loss for it in training",
                "head=dict(distillation=False)",
            )
        return super().refuse_part(part)

    def prepare(self, batch: Any, pipelines: List[Pipeline]) -> Any:
        """See that there are labels; nothing has to be done to them."""
        samples = batch.get("data_samples") if isinstance(batch, Mapping) else None
        for sample in samples or [None]:
            if sample is None or not ("gt_label" in sample or "gt_score" in sample):
                raise UnsupportedError(
                    Rejection(
                        "the validation dataset",
                        "its samples have neither gt_label nor gt_score",
                        "give it labels (CustomDataset: with_label=True) and end its "
                        "pipeline with PackInputs",
                    )
                )
        return batch

    def shared(self, model: Any) -> List[Any]:
        """Backbone, neck, and the scores of the head."""
        return [*super().shared(model), model.head]

    def preprocess(self, model: Any, batch: Any, from_loader: bool) -> Any:
        """One-hot labels as numbers: in training, Mixup and CutMix make them so."""
        data = super().preprocess(model, batch, from_loader)
        for sample in data.get("data_samples") or ():
            score = sample.get("gt_score")
            if score is not None and not score.is_floating_point():
                sample.set_gt_score(score.float())
        return data
