"""Models and transforms as mmseg's configs have them, small."""

from __future__ import annotations

RESIZE = {"type": "Resize", "scale": (2048, 1024), "keep_ratio": True}
LOAD = {"type": "LoadAnnotations", "reduce_zero_label": True}
DEFAULT = ("LoadImageFromFile", RESIZE, LOAD, "PackSegInputs")
FCN = {
    "type": "EncoderDecoder",
    "data_preprocessor": {"type": "SegDataPreProcessor", "size": (512, 1024)},
    "backbone": {"type": "ResNetV1c"},
    "decode_head": {"type": "FCNHead", "loss_decode": {"type": "CrossEntropyLoss"}},
}
