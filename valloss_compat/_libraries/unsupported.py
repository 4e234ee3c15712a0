"""Libraries whose models have no right validation loss that a hook could ask for.

One table: what is in the way, and what to do instead. A model of these that the
user answers for (``trust``) gets a plain second forward.
"""

from __future__ import annotations

from typing import Any, ClassVar, Collection, List, Mapping, Optional, Tuple

from valloss_compat._libraries.base import TRUST, Adapter
from valloss_compat._libraries.components import Part
from valloss_compat.errors import Rejection

_SUBCLASS = "a subclass of the model whose predict appends the loss element"
_REASONS: Mapping[str, Tuple[str, str]] = {
    "mmocr": (
        "recognisers raise in mode 'loss' in eval mode, polygons of text detectors are "
        "loaded after the image is resized, and their loss writes into them",
        _SUBCLASS,
    ),
    "mmyolo": (
        "boxes are loaded after LetterResize has moved and scaled the image, and heads "
        "of YOLOv6, YOLOv8 and PPYOLOE give no loss in eval mode",
        _SUBCLASS,
    ),
    "mmagic": (
        "ground truth is not normalised in eval mode, and generative models have no "
        "mode 'loss'",
        "monitor the metric of the task, such as PSNR",
    ),
}
_NOT_PROVEN = ("nobody has compared its loss in eval mode with that of a training", "")


class Elsewhere(Adapter):
    """Refuses all models of a library, but those that are trusted."""

    may_draw = True
    may_sync = True

    def refuse_model(self, model: Part, trust: Collection[str]) -> Optional[Rejection]:
        """Only a model that the user answers for is not refused."""
        if model.trusted(trust):
            return None
        reason, way_out = _REASONS.get(self.library, _NOT_PROVEN)
        ask = TRUST.format(where=model.to_trust)
        return Rejection(
            str(model), reason, f"{way_out}; or, {ask}" if way_out else ask
        )

    def shared(self, model: Any) -> List[Any]:
        """Nothing is shared."""
        return []


class MMOCR(Elsewhere):
    """Text detectors and recognisers."""

    library: ClassVar[str] = "mmocr"


class MMYOLO(Elsewhere):
    """Detectors of the YOLO family."""

    library: ClassVar[str] = "mmyolo"


class MMagic(Elsewhere):
    """Restorers and generative models."""

    library: ClassVar[str] = "mmagic"


class MMAction(Elsewhere):
    """Recognisers of actions in videos."""

    library: ClassVar[str] = "mmaction"


class MMDet3D(Elsewhere):
    """Detectors of objects in space."""

    library: ClassVar[str] = "mmdet3d"
