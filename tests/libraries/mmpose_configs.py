"""Models and transforms as mmpose's configs have them, small."""

from __future__ import annotations

CODEC = {"type": "MSRAHeatmap", "input_size": (192, 256), "sigma": 2}
TARGET = {
    "type": "GenerateTarget",
    "encoder": {**CODEC, "input_size": [192, 256], "_scope_": "mmpose"},
}
RIGHT = (
    "LoadImage",
    "GetBBoxCenterScale",
    "TopdownAffine",
    TARGET,
    "PackPoseInputs",
)
TOPDOWN = {
    "type": "TopdownPoseEstimator",
    "data_preprocessor": {"type": "PoseDataPreprocessor"},
    "backbone": {"type": "ResNet"},
    "head": {
        "type": "HeatmapHead",
        "loss": {"type": "KeypointMSELoss"},
        "decoder": CODEC,
    },
}
