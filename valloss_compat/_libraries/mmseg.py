"""What is known of mmseg: segmentors, and label maps of the size of the input.

Every default validation pipeline of mmseg resizes the image before it loads
the label map, so that the metrics are those of the original size. The loss of
the training is one at the size of the input: the map of a copy is brought
there, as the train pipeline's ``Resize`` does it.
"""

from __future__ import annotations

from typing import Any, ClassVar, Collection, Dict, List, Mapping, Optional, Tuple

from valloss_compat._libraries.base import LOADER, Adapter
from valloss_compat._libraries.components import Part, Pipeline, with_tools
from valloss_compat._libraries.pipelines import (
    STILL,
    WHERE,
    first,
    ground_truth_first,
    missing,
    not_packed,
    only_known,
    several,
)
from valloss_compat.errors import Rejection

_TRANSFORMS = ("LoadImageFromFile", "Resize", "LoadAnnotations", "PackSegInputs")
_WRONG_TRANSFORMS = {
    "RandomFlip": "it may flip the image, at random, before or after the label map",
    "TestTimeAug": "each image comes several times, augmented",
    "Pad": "the label map of a padded image is smaller than the image",
}
_ADD = f"add dict(type='LoadAnnotations') to {WHERE}, right before PackSegInputs"
_SUBCLASS = (
    "none with the model as it is: a subclass whose predict appends the loss element"
)


def _table(reason: str, *names: str) -> Dict[str, Tuple[str, str]]:
    return dict.fromkeys(names, (reason, _SUBCLASS))


class MMSeg(Adapter):
    """Segmentors of mmseg.

    In slide mode nothing is shared, and the loss is that of the whole image.
    """

    library = "mmseg"
    models = ("CascadeEncoderDecoder", "EncoderDecoder")
    known = (
        "SegDataPreProcessor",
        # heads
        "ASPPModule",
        "DepthwiseSeparableASPPHead",
        "DepthwiseSeparableASPPModule",
        "FCNHead",
        "OCRHead",
        "ObjectAttentionBlock",
        "PPM",
        "PSPHead",
        "SegformerHead",
        "SpatialGatherModule",
        "UPerHead",
        # losses
        "CrossEntropyLoss",
    )
    free = ("backbone", "neck")
    refused: ClassVar[Mapping[str, Tuple[str, str]]] = {
        **_table(
            "in eval mode it gives other things than its loss expects",
            "DDRNet",
            "DDRHead",
            "PIDNet",
            "PIDHead",
            "IterativeDecodeHead",
            "KernelUpdateHead",
        ),
        **_table(
            "its steps depend on the mode, and its bases change in training",
            "EMAHead",
            "LightHamHead",
        ),
        **_table(
            "its loss draws random points",
            "Mask2FormerHead",
            "MaskFormerHead",
            "PointHead",
        ),
        **_table(
            "its input is padded and its label map is not",
            "SideAdapterCLIPHead",
            "MultimodalEncoderDecoder",
        ),
        "DepthEstimator": ("its ground truth is no label map", _SUBCLASS),
    }

    def refuse_model(self, model: Part, trust: Collection[str]) -> Optional[Rejection]:
        """Judge all parts, and what they sample pixels with."""
        return super().refuse_model(with_tools(model), trust)

    def refuse_pipeline(self, model: Part, pipeline: Pipeline) -> Optional[Rejection]:
        """There has to be a label map, of a size that can be told."""
        return (
            only_known(pipeline, "mmseg", _TRANSFORMS, _WRONG_TRANSFORMS)
            or missing(pipeline, "LoadAnnotations", "so there is no label map", _ADD)
            or not_packed(pipeline, "PackSegInputs")
            or _refuse_backend(pipeline)
        )

    def refuse_data(
        self, model: Part, pipelines: List[Pipeline]
    ) -> Optional[Rejection]:
        """Judge each pipeline; all have to bring the label maps to one size."""
        return (
            _refuse_padding(model)
            or super().refuse_data(model, pipelines)
            or several(pipelines, {resized_before(pipeline) for pipeline in pipelines})
        )

    def refuse_loader(
        self, model: Part, pipelines: List[Pipeline]
    ) -> Optional[Rejection]:
        """Label maps are loaded before the image is resized, and so with it."""
        return ground_truth_first(pipelines, "LoadAnnotations", STILL, "PackSegInputs")

    def prepare(self, batch: Any, pipelines: List[Pipeline]) -> Any:
        """Bring the label maps of the copies to the size of the inputs."""
        if resized_before(pipelines[0]):
            for image, sample in zip(batch["inputs"], batch["data_samples"]):
                _resize(sample.gt_sem_seg, tuple(image.shape[-2:]))
        return batch

    def preprocess(self, model: Any, batch: Any, from_loader: bool) -> Any:
        """As for predictions; but where these are padded, as in training.

        Then label maps are padded with the inputs (with what no loss counts).
        Such a model has a loss from the loss dataloader only.
        """
        preprocessor = model.data_preprocessor
        if from_loader and getattr(preprocessor, "test_cfg", None):
            return preprocessor(batch, True)
        return super().preprocess(model, batch, from_loader)

    def shared(self, model: Any) -> List[Any]:
        """Backbone, neck, and each stage of the decode head; nothing in slide mode."""
        if (getattr(model, "test_cfg", None) or {}).get("mode") == "slide":
            return []  # or each crop would be copied, and none is what the loss gets
        heads = model.decode_head
        stages = list(heads) if hasattr(heads, "__iter__") else [heads]
        return [*super().shared(model), *stages]


def _refuse_padding(model: Part) -> Optional[Rejection]:
    """A preprocessor must not pad what it predicts from."""
    for part in model.parts:
        padding = part.get("test_cfg") if part.kind == "SegDataPreProcessor" else None
        if padding:
            return Rejection(
                str(part),
                f"its test_cfg ({dict(padding)}) pads the inputs of a validation, but "
                "not the label maps",
                LOADER,
            )
    return None


def resized_before(pipeline: Pipeline) -> bool:
    """Whether an image is resized before its label map is loaded."""
    return 0 <= first(pipeline, "Resize") < first(pipeline, "LoadAnnotations")


def _refuse_backend(pipeline: Pipeline) -> Optional[Rejection]:
    for transform in pipeline:
        if transform.kind == "Resize" and transform.get("backend", "cv2") != "cv2":
            return Rejection(str(transform), "its backend is not 'cv2'", LOADER)
    return None


def _resize(field: Any, size: Tuple[int, int]) -> None:
    """Give a ``PixelData`` its map (1, H, W) in another size (H, W)."""
    import cv2  # what mmcv resizes with; most trainings have no need of it here

    height, width = size
    # OpenCV takes no int64; a float32 holds each class exactly.
    whole = field.data[0].float().numpy()
    resized = cv2.resize(whole, (width, height), interpolation=cv2.INTER_NEAREST)
    new = field.data.new_tensor(resized)[None]
    # A PixelData takes no map of another size than the one it has.
    del field.data
    field.data = new
