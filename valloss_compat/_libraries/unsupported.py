"""Models without a meaningful loss on labelled validation data, by class name.

Everything else is accepted if the self-check of ``ValLossHook`` finds its loss to be a
function of the batch. These would pass it, or fail it with an error that does not help.
"""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

from valloss_compat import _config
from valloss_compat._libraries.components import names_of
from valloss_compat._libraries.pipelines import check_sampler
from valloss_compat.errors import Rejection

#: Library, classes, why there is no loss, and what to do.
_TABLE = (
    (
        "mmpretrain",
        "BaseSelfSupervisor BarlowTwins BEiT BYOL CAE DenseCL EVA MAE MFF MILAN "
        "MaskFeat MixMIM MoCo MoCoV3 SimCLR SimMIM SimSiam SparK SwAV iTPN",
        "it learns without labels and has no mode 'predict' to validate by",
        "validate the classifier that is trained on top of it",
    ),
    (
        "mmpretrain",
        "ImageToImageRetriever Blip2Retrieval BlipRetrieval",
        "its validation ranks other images or texts than its loss compares",
        "monitor the metric of the retrieval, such as retrieval/Recall@1",
    ),
    (
        "mmpretrain",
        "Blip2Caption Blip2VQA BlipCaption BlipGrounding BlipNLVR BlipVQA "
        "CLIPImageClassification CLIPZeroShot ChineseCLIP Flamingo Llava MiniGPT4 OFA "
        "Otter RAM RAMNormal RAMOpenset",
        "it has no loss in a training, or one on texts that the validation lacks",
        "monitor the metric of its task",
    ),
    (
        "mmagic",
        "BaseGAN BaseConditionalGAN BaseTranslationModel AblatedDiffusionModel "
        "DiscoDiffusion StableDiffusion",
        "generative models have no mode 'loss', as their losses alternate between "
        "networks",
        "monitor the metric of the task, such as PSNR",
    ),
    (
        "mmdet",
        "BaseMOTModel ByteTrack DeepSORT Mask2FormerVideo MaskTrackRCNN OCSORT "
        "QDTrack StrongSORT",
        "trackers have no mode 'loss', as their detectors are trained separately",
        "validate the detector with its own config",
    ),
    (
        "mmdet",
        "SemiBaseDetector SoftTeacher",
        "its loss needs batches of several branches, which a validation does not have",
        "monitor the metric of the student or teacher",
    ),
    (
        "mmpose",
        "DWPoseDistiller",
        "its loss compares with a teacher, not with the ground truth",
        "validate the student with its own config",
    ),
)
_REASONS = {
    f"{library}.{name}": (reason, fix)
    for library, names, reason, fix in _TABLE
    for name in names.split()
}


def check_model(names: Sequence[str]) -> Optional[Rejection]:
    """Reject the names of a model of the table, or of one that derives from it."""
    found = next((name for name in names if name in _REASONS), None)
    return None if found is None else Rejection(names[0], *_REASONS[found])


def check_config(config: Mapping[str, Any]) -> Optional[Rejection]:
    """Reject a config by names alone: nothing is imported or built.

    Args:
        config (dict): A whole config. A ``ValLossHook`` among its hooks is respected,
            with the data loader of its losses.
    """
    rejection = check_model(names_of(config["model"], _config.scope_of(config)))
    for hook in _config.val_loss_hooks(config):
        if rejection is None and hook.get("dataloader") is not None:
            rejection = check_sampler(hook["dataloader"])
    return rejection
