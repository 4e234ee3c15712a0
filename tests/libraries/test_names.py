"""A name of a library, and a name that the user trusts, stand for one class alone."""

from __future__ import annotations

import pytest

from libraries.configs import config_of, refused
from libraries.mmseg_configs import DEFAULT, FCN
from valloss_compat._libraries import adapter_for, components, look


def segmentor(**head):
    """A config whose decode head is this, or has this."""
    return config_of(
        "mmseg", {**FCN, "decode_head": {"type": "FCNHead", **head}}, DEFAULT
    )


@pytest.mark.parametrize("library", ["mmpretrain", "mmyolo"])
def test_the_same_name_in_another_library_is_another_class(library):
    """Of a library before the model's and after it in the alphabet."""
    assert refused(segmentor(loss_decode={"type": "CrossEntropyLoss"})) == ""
    said = refused(segmentor(loss_decode={"type": f"{library}.CrossEntropyLoss"}))
    assert f"does not know {library}.CrossEntropyLoss" in said


@pytest.mark.parametrize("trusted", ["my.heads.AHead", "my.heads.ZHead"])
def test_who_trusts_another_class_does_not_trust_this(trusted):
    assert "does not know MyHead" in refused(segmentor(type="MyHead"), trust=[trusted])


def test_who_trusts_a_head_does_not_trust_what_is_in_it():
    config = segmentor(type="MyHead", loss_decode={"type": "MyLoss"})
    assert "does not know MyLoss" in refused(config, trust=["my.heads.MyHead"])


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("MyHead", "my.module.MyHead"),
        ("mylib.MyHead", "my.module.MyHead"),  # a scope is no module
        ("mylib.heads.MyHead", "mylib.heads.MyHead"),
        ("mylib.models.heads.MyHead", "mylib.models.heads.MyHead"),
    ],
)
def test_the_name_to_trust_is_as_full_as_it_shows(kind, name):
    assert f"ValLossHook(trust=['{name}'])" in refused(segmentor(type=kind))


@pytest.mark.parametrize("kind", ["AnyHook", "ZHook"])
def test_other_hooks_that_trust_somebody_are_not_ours(kind):
    config = segmentor(type="MyHead")
    config["custom_hooks"] = [{"type": kind, "trust": ["my.heads.MyHead"]}]
    assert "does not know MyHead" in refused(config)


def test_no_dataloader_helps_a_model_that_nobody_knows():
    assert not look(config_of("mmseg", {"type": "other.Model"}, DEFAULT)).needs_loader


@pytest.mark.parametrize(
    ("library", "model", "draws", "waits"),
    [
        ("mmdet", "RetinaNet", True, True),
        ("mmdet3d", "VoxelNet", True, True),
        ("mmpose", "TopdownPoseEstimator", False, False),
        ("mmpretrain", "ImageClassifier", False, False),
        ("mmseg", "EncoderDecoder", False, False),
    ],
)
def test_what_the_losses_of_a_library_may_do(library, model, draws, waits):
    """Choose boxes at random, and average over the samples of all ranks."""
    adapter = adapter_for(components.of_config({"type": model}, library))
    assert (adapter.may_draw, adapter.may_sync) == (draws, waits)
