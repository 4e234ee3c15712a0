"""What has to be known of the models of libraries, by the names of their classes.

All others are accepted if the self-check of ``ValLossHook`` finds their loss to be a
function of the batch.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import torch

from valloss_compat import _config
from valloss_compat._libraries.pipelines import check_sampler
from valloss_compat.errors import Rejection

#: Models without a meaningful loss on labelled validation data, which would pass the
#: self-check, or fail it with an error that does not help: library, classes, why there
#: is no loss, and what to do.
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
    """Reject a whole config by names alone: nothing is imported or built.

    So is the data loader of the losses that a ``ValLossHook`` among its hooks has.
    """
    rejection = check_model(_config.names_of(config["model"], _config.scope_of(config)))
    for hook in _config.val_loss_hooks(config):
        if rejection is None and hook.get("dataloader") is not None:
            rejection = check_sampler(hook["dataloader"])
    return rejection


def preprocess(model: Any, batch: Any) -> Any:
    """Run the data preprocessor of a model, with the result that a training has.

    A model goes by the rule of the library that its class, or a base of it, is of.
    """
    libraries = [name.rpartition(".")[0] for name in _config.names_of(model)]
    library = next((one for one in libraries if one in _RULES), "")
    # In a training, that of mmyolo takes the batches of its own collate function.
    data = model.data_preprocessor(batch, library != "mmyolo")
    return _RULES[library](data, model) if library else data


def _mmocr(data: Any, model: Any) -> Any:
    """Have the heads of text detectors draw targets of the size of the input.

    In a training all images have one size, so that none is padded.
    """
    if hasattr(model, "det_head"):
        size = tuple(data["inputs"].shape[-2:])
        for sample in data["data_samples"]:
            sample.set_metainfo({"img_shape": size})
    return data


def _mmpretrain(data: Any, model: Any) -> Any:
    """Make one-hot labels floating point, as Mixup and CutMix of a training do."""
    for sample in data.get("data_samples") or ():
        score = sample.get("gt_score")
        if score is not None and not score.is_floating_point():
            sample.set_gt_score(score.float())
    return data


def _mmyolo(data: Any, model: Any) -> Any:
    """Make one table of the boxes of a batch, as the collate function of a training.

    Some heads take nothing else.
    """
    samples = data["data_samples"]
    kinds = {base.__name__ for base in type(model.data_preprocessor).__mro__}
    if "YOLOv5DetDataPreprocessor" not in kinds or not isinstance(samples, list):
        return data
    found: Dict[str, List[Any]] = {"bboxes_labels": []}
    for index, sample in enumerate(samples):
        instances = sample.gt_instances
        boxes = getattr(instances.bboxes, "tensor", instances.bboxes)
        labels = instances.labels[:, None].to(boxes)
        images = torch.full_like(labels, index)
        found["bboxes_labels"].append(torch.cat((images, labels, boxes), dim=1))
        for name in ("masks", "keypoints", "keypoints_visible"):
            if name in instances:
                found.setdefault(name, []).append(instances.get(name))
        if "gt_panoptic_seg" in sample:
            found.setdefault("masks", []).append(sample.gt_panoptic_seg.pan_seg)
    table = {name: torch.cat(values) for name, values in found.items()}
    size = {"batch_input_shape": data["inputs"].shape[2:]}
    return {**data, "data_samples": {**table, "img_metas": [size] * len(samples)}}


_RULES = {"mmocr": _mmocr, "mmpretrain": _mmpretrain, "mmyolo": _mmyolo}


def crop_size(model: Any) -> Optional[Tuple[int, int]]:
    """Return height and width of the window of slide mode (mmseg), if a model has one.

    It is the crop of the training; some backbones take images of this size alone.
    """
    test_cfg: Any = getattr(model, "test_cfg", None)
    slides = isinstance(test_cfg, dict) and test_cfg.get("mode") == "slide"
    size = test_cfg.get("crop_size") if slides else None
    return None if size is None else (int(size[0]), int(size[1]))


def crop(batch: Any, size: Tuple[int, int]) -> Any:
    """Take the centre of images and label maps: the same in each validation."""
    images = []
    for image, sample in zip(batch["inputs"], batch["data_samples"]):
        starts = [
            max(0, (whole - part) // 2) for whole, part in zip(image.shape[-2:], size)
        ]
        rows, columns = (slice(one, one + part) for one, part in zip(starts, size))
        images.append(image[..., rows, columns])
        for name in ("gt_sem_seg", "gt_edge_map", "gt_depth_map"):
            field = sample.get(name)
            if field is not None:
                data = field.data[..., rows, columns]
                del field.data  # a PixelData keeps its size otherwise
                field.data = data
        sample.set_metainfo({"img_shape": tuple(images[-1].shape[-2:])})
    return {**batch, "inputs": images}
