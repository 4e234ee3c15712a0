"""Models without a meaningful loss on labelled validation data are rejected."""

from __future__ import annotations

import pytest
import torch

from libraries.configs import library_class
from valloss_compat._config import names_of
from valloss_compat._libraries.models import check_model

DENIED = (
    ("mmpretrain", "MoCo", "it learns without labels"),
    ("mmpretrain", "BYOL", "it learns without labels"),
    ("mmpretrain", "SimCLR", "it learns without labels"),
    ("mmpretrain", "MAE", "it learns without labels"),
    ("mmpretrain", "BEiT", "it learns without labels"),
    ("mmpretrain", "BaseSelfSupervisor", "it learns without labels"),
    ("mmpretrain", "ImageToImageRetriever", "ranks other images or texts"),
    ("mmpretrain", "BlipRetrieval", "ranks other images or texts"),
    ("mmpretrain", "Flamingo", "it has no loss in a training"),
    ("mmpretrain", "CLIPZeroShot", "it has no loss in a training"),
    ("mmagic", "BaseGAN", "generative models have no mode 'loss'"),
    ("mmagic", "StableDiffusion", "generative models have no mode 'loss'"),
    ("mmdet", "QDTrack", "trackers have no mode 'loss'"),
    ("mmdet", "DeepSORT", "trackers have no mode 'loss'"),
    ("mmdet", "SoftTeacher", "needs batches of several branches"),
    ("mmdet", "SemiBaseDetector", "needs batches of several branches"),
    ("mmpose", "DWPoseDistiller", "compares with a teacher"),
)


@pytest.mark.parametrize(("library", "kind", "reason"), DENIED)
def test_denied_model_in_a_config_is_rejected_with_reason_and_fix(
    library, kind, reason
):
    """By its name in the scope, and by its name with a scope."""
    for scope, name in ((library, kind), ("mmengine", f"{library}.{kind}")):
        rejection = check_model(names_of({"type": name}, scope))
        assert rejection.component == f"{library}.{kind}"
        assert reason in rejection.reason
        assert rejection.fix
        assert str(rejection).endswith(f". Fix: {rejection.fix}")


@pytest.mark.parametrize(("library", "kind", "reason"), DENIED)
def test_subclass_of_a_denied_model_is_rejected_when_it_is_built(library, kind, reason):
    base = library_class(f"{library}.models.some", kind, torch.nn.Module)
    own = library_class("projects.mine", "Own", base)
    rejection = check_model(names_of(own()))
    assert rejection.component == "projects.Own"
    assert reason in rejection.reason


@pytest.mark.parametrize(
    ("library", "kind"),
    [
        ("mine", "MoCo"),
        ("mmdet", "MoCo"),
        ("mmpretrain", "SoftTeacher"),
        ("mmpretrain", "ImageClassifier"),
        ("mmdet", "MyTracker"),
        ("mmaction", "Recognizer2D"),
        ("mmengine", "QDTrack"),
        ("mmdet", "FastRCNN"),
    ],
)
def test_model_of_another_name_or_library_is_accepted(library, kind):
    assert check_model(names_of({"type": kind}, library)) is None
    model = library_class(f"{library}.models", kind, torch.nn.Module)()
    assert check_model(names_of(model)) is None


@pytest.mark.parametrize("name", ["backbone", "head"])
def test_part_with_the_name_of_a_denied_model_is_accepted(name):
    """Only the whole model has no loss: a pretrained part may have any class."""
    model = {"type": "ImageClassifier", name: {"type": "MoCo"}}
    assert check_model(names_of(model, "mmpretrain")) is None
