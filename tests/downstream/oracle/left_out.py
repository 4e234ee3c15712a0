"""Models of the libraries that are in no table, and why."""

from __future__ import annotations

from typing import NamedTuple


class LeftOut(NamedTuple):
    """Models without a row.

    Attributes:
        library (str): Their package.
        models (str): Names of classes.
        reason (str): Why nothing can be compared on a CPU.
    """

    library: str
    models: str
    reason: str


LEFT_OUT = (
    LeftOut("mmpretrain", "RepLKNet", "its shipped config cannot be read"),
    LeftOut("mmseg", "SideAdapterCLIPHead", "its weights cannot be drawn, only loaded"),
    LeftOut(
        "mmpretrain",
        "BarlowTwins, BEiT, BYOL, CAE, DenseCL, EVA, iTPN, MAE, MaskFeat, MFF, MILAN, "
        "MixMIM, MoCo, MoCoV3, SimCLR, SimMIM, SimSiam, SparK, SwAV",
        "self-supervised: no predictions",
    ),
    LeftOut(
        "mmpretrain",
        "Blip*, ChineseCLIP, CLIPZeroShot, Flamingo, Llava, MiniGPT4, OFA, Otter",
        "tokenizers and language models that are downloaded",
    ),
    LeftOut(
        "mmpretrain",
        "ImageToImageRetriever",
        "rejected: its validation ranks pictures of other classes than its loss",
    ),
    LeftOut(
        "mmpretrain", "EfficientFormer, LeViT", "no training, as they are distilled"
    ),
    LeftOut(
        "mmdet",
        "ByteTrack, DeepSORT, OCSORT, StrongSORT",
        "tracking: no loss of their own",
    ),
    LeftOut(
        "mmdet",
        "Mask2FormerVideo, MaskTrackRCNN, QDTrack",
        "trained on pairs of frames, validated on whole videos",
    ),
    LeftOut("mmdet", "SoftTeacher", "trained on labelled and unlabelled pictures"),
    LeftOut("mmdet", "BaseReID", "trained on triplets of pictures"),
    LeftOut("mmdet", "Detectron2Wrapper", "needs detectron2"),
    LeftOut(
        "mmdet",
        "GARetinaHead, GARPNHead",
        "the masked convolution of their predictions needs CUDA",
    ),
    LeftOut("mmdet", "FPN_CARAFE", "its operator needs CUDA"),
    LeftOut("mmdet", "CascadeRPNHead in RPN", "its shipped config cannot be built"),
    LeftOut("mmseg", "VPD", "needs Stable Diffusion"),
    LeftOut("mmpose", "AssociativeEmbeddingHead", "shipped for predictions only"),
    LeftOut("mmpose", "DWPoseDistiller", "no predictions"),
    LeftOut("mmpose", "InternetHead", "needs hands with depths"),
    LeftOut("mmaction", "DRN", "not in the wheel"),
    LeftOut("mmaction", "ResNetTIN", "its operator needs CUDA"),
    LeftOut(
        "mmaction",
        "CLIPSimilarity, VindLU*",
        "tokenizers and language models that are downloaded",
    ),
    LeftOut(
        "mmaction",
        "FBOHead, LFBInferHead, PEM, TCANet",
        "need features that another model wrote",
    ),
    LeftOut(
        "mmyolo", "FpnTeacherDistill, RTMDetRotatedHead", "need mmrazor and mmrotate"
    ),
    LeftOut("mmyolo", "RTMDetInsSepBNHead", "its loss is not implemented"),
    LeftOut("mmyolo", "YOLOXPoseHead", "its predictions raise in mmyolo 0.6.0"),
    LeftOut(
        "mmdet3d",
        "Cylinder3D, DynamicVoxelNet, MinkSingleStage3DDetector, MinkUNet, PartA2, "
        "PointVoxelRCNN, SASSD, SECOND's SparseEncoder",
        "sparse convolutions and dynamic scatter need CUDA",
    ),
    LeftOut(
        "mmdet3d",
        "DGCNN, GroupFree3DNet, H3DNet, ImVoteNet, PAConv, PointNet2, PointRCNN, "
        "SSD3DNet, VoteNet",
        "the sampling and grouping of points need CUDA",
    ),
)
