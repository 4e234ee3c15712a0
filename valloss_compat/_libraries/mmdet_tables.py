"""Which classes of mmdet give the right loss in eval mode, and which do not.

What is in ``KNOWN`` was compared with the model's own loss on data whose
annotations are loaded before they are resized (tests/downstream). A class that
derives from one of these is not known by that.
"""

from __future__ import annotations

from typing import Dict, Tuple

MODELS = (
    "ATSS",
    "CascadeRCNN",
    "DETR",
    "FasterRCNN",
    "GFL",
    "MaskRCNN",
    "RTMDet",
    "RetinaNet",
    "YOLOX",
)

KNOWN = (
    "DetDataPreprocessor",
    # heads
    "ATSSHead",
    "CascadeRoIHead",
    "DETRHead",
    "FCNMaskHead",
    "GFLHead",
    "Integral",
    "RPNHead",
    "RTMDetSepBNHead",
    "RetinaHead",
    "Shared2FCBBoxHead",
    "SingleRoIExtractor",
    "StandardRoIHead",
    "YOLOXHead",
    # DETR's transformer
    "DetrTransformerDecoder",
    "DetrTransformerDecoderLayer",
    "DetrTransformerEncoder",
    "DetrTransformerEncoderLayer",
    "SinePositionalEncoding",
    # losses
    "CrossEntropyLoss",
    "DistributionFocalLoss",
    "FocalLoss",
    "GIoULoss",
    "IoULoss",
    "L1Loss",
    "QualityFocalLoss",
    "SmoothL1Loss",
    # assigners and their costs, samplers, priors, coders
    "ATSSAssigner",
    "AnchorGenerator",
    "BBoxL1Cost",
    "BboxOverlaps2D",
    "ClassificationCost",
    "DeltaXYWHBBoxCoder",
    "DistancePointBBoxCoder",
    "DynamicSoftLabelAssigner",
    "HungarianAssigner",
    "IoUCost",
    "MaxIoUAssigner",
    "MlvlPointGenerator",
    "PseudoSampler",
    "RandomSampler",
    "SimOTAAssigner",
)

_NO_WAY = (
    "none with the model as it is: a subclass whose predict appends the loss element"
)
_IN_EVAL = "its forward gives something else in eval mode, so that the loss is wrong"
_RAISES = "its mode 'loss' raises in eval mode"
_STATE = "its loss changes what the training goes on with"
_DRAWS = "its loss draws random numbers that are not torch's, or hides them"


def _table(reason: str, *names: str) -> Dict[str, Tuple[str, str]]:
    return dict.fromkeys(names, (reason, _NO_WAY))


REFUSED: Dict[str, Tuple[str, str]] = {
    # Wrong, without an error.
    **_table(
        _IN_EVAL,
        "FCOS",
        "FCOSHead",
        "NASFCOS",
        "NASFCOSHead",
        "CondInst",
        "CondInstBboxHead",
        "CondInstMaskHead",
        "BoxInst",
        "BoxInstBboxHead",
        "BoxInstMaskHead",
        "CenterNetUpdateHead",
        "SOLO",
        "SOLOHead",
        "DecoupledSOLOHead",
        "DecoupledSOLOLightHead",
        "SOLOv2",
        "SOLOV2Head",
        "GuidedAnchorHead",
        "GARetinaHead",
        "GARPNHead",
        "GridRCNN",
        "GridHead",
        "TridentFasterRCNN",
        "TridentResNet",
        "TridentRoIHead",
    ),
    # Raising.
    **_table(
        _RAISES,
        "DeformableDETR",
        "DeformableDETRHead",
        "DINO",
        "DINOHead",
        "DDQDETR",
        "DDQDETRHead",
        "GLIP",
        "GroundingDINO",
        "GroundingDINOHead",
        "VFNet",
        "VFNetHead",
        "RepPointsDetector",
        "RepPointsHead",
        "YOLACT",
        "YOLACTHead",
    ),
    # Stateful.
    **_table(
        _STATE,
        "DynamicRoIHead",
        "SeesawLoss",
        "EQLV2Loss",
        "GHMC",
        "GHMR",
        "SoftTeacher",
        "SemiBaseDetector",
    ),
    # Random, beyond a choice of boxes.
    **_table(
        _DRAWS,
        "Mask2Former",
        "Mask2FormerHead",
        "PointRend",
        "MaskPointHead",
        "PointRendRoIHead",
        "CombinedSampler",
        "IoUBalancedNegSampler",
        "InstanceBalancedPosSampler",
        "ScoreHLRSampler",
        "GridRoIHead",
    ),
    # Writes into the ground truth.
    "FastRCNN": (
        "its loss takes the proposals out of the data samples",
        _NO_WAY,
    ),
}
