"""Libraries, and kinds of configs that have no loss on labelled validation data."""

from __future__ import annotations

from typing import NamedTuple, Tuple

LIBRARIES = (
    "mmdet",
    "mmpretrain",
    "mmseg",
    "mmpose",
    "mmyolo",
    "mmaction",
    "mmocr",
    "mmdet3d",
)
#: A config that trains on labelled data and has a validation.
SUPERVISED = "supervised"


class Kind(NamedTuple):
    """Models of a kind.

    Attributes:
        kind (str): Its name in the table.
        library (str): The package that ships the configs.
        models (tuple[str]): Names of classes, of models or of their heads.
        reason (str): Why they are not supervised.
    """

    kind: str
    library: str
    models: Tuple[str, ...]
    reason: str


MODELS = (
    Kind(
        "self-supervised",
        "mmpretrain",
        (
            "BarlowTwins",
            "BEiT",
            "BYOL",
            "CAE",
            "DenseCL",
            "EVA",
            "iTPN",
            "MAE",
            "MaskFeat",
            "MFF",
            "MILAN",
            "MixMIM",
            "MoCo",
            "MoCoV3",
            "SimCLR",
            "SimMIM",
            "SimSiam",
            "SparK",
            "SwAV",
        ),
        "trains on images without labels",
    ),
    Kind(
        "generative",
        "mmpretrain",
        ("Blip2Caption", "Blip2VQA", "BlipCaption", "BlipVQA", "MiniGPT4"),
        "writes text, which a validation compares with several references",
    ),
    Kind(
        "prompt-only",
        "mmpretrain",
        ("ChineseCLIP", "CLIPZeroShot", "Flamingo", "Llava", "OFA", "Otter"),
        "is prompted and not trained",
    ),
    Kind(
        "metric data only",
        "mmpretrain",
        ("Blip2Retrieval", "BlipRetrieval", "ImageToImageRetriever"),
        "a validation ranks a gallery, whose data have no classes of the training",
    ),
    Kind(
        "tracking",
        "mmdet",
        (
            "ByteTrack",
            "DeepSORT",
            "MaskTrackRCNN",
            "Mask2FormerVideo",
            "OCSORT",
            "QDTrack",
            "StrongSORT",
        ),
        "validates on whole videos, of which a training sees single or paired frames",
    ),
    Kind(
        "metric data only",
        "mmdet",
        ("BaseReID",),
        "trains on triplets of persons, and a validation ranks other persons",
    ),
    Kind(
        "teacher-student",
        "mmdet",
        ("SoftTeacher",),
        "trains on labelled and unlabelled images at once",
    ),
    Kind(
        "teacher-student",
        "mmpose",
        ("DWPoseDistiller",),
        "trains on the outputs of a teacher, and has no predictions",
    ),
    Kind(
        "teacher-student",
        "mmyolo",
        ("FpnTeacherDistill",),
        "is a distiller of mmrazor, around a teacher",
    ),
    Kind(
        "metric data only",
        "mmaction",
        ("CLIPSimilarity", "VindLURetrieval", "VindLURetrievalMC"),
        "a validation ranks all texts for each video",
    ),
    Kind(
        "generative",
        "mmaction",
        ("VindLUVQA",),
        "writes text, which a validation compares with several references",
    ),
    Kind(
        "no training",
        "mmpretrain",
        ("EfficientFormerClsHead", "LeViTClsHead"),
        "raises in a training: the library has no distillation for it",
    ),
    Kind(
        "no training",
        "mmyolo",
        ("RTMDetInsSepBNHead",),
        "raises in a training: the library has only its predictions",
    ),
    Kind("no training", "mmaction", ("DRN",), "the wheel of the library lacks it"),
)
#: What configs ask of a class that the library lacks: of which library, the class, an
#: argument of it, and what is wrong.
REFUSED = (
    ("mmaction", "AudioDataset", "suffix", "takes no suffix, which it gets"),
    ("mmaction", "DecordDecode", "io_backend", "takes no io_backend, which it gets"),
    ("mmdet3d", "Collect3D", "keys", "the library has no transform of this name"),
)
