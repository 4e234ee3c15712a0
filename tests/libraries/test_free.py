"""Backbones and necks: free of the tables of known parts, but not of all judgement."""

from __future__ import annotations

import pytest
from mmengine.model import BaseModule

from libraries.configs import config_of, refused
from libraries.mmdet_configs import DEFAULT, RETINA
from libraries.mmseg_configs import DEFAULT as SEG_DEFAULT
from libraries.mmseg_configs import FCN
from valloss_compat._libraries import components
from valloss_compat._libraries.base import Adapter


@pytest.mark.parametrize(
    ("library", "model", "pipeline", "backbone"),
    [
        ("mmseg", FCN, SEG_DEFAULT, "mmdet.TridentResNet"),
        ("mmdet", RETINA, DEFAULT, "mmseg.DDRNet"),
        ("mmdet", RETINA, DEFAULT, "mmseg.PIDNet"),
        ("mmpretrain", {"type": "ImageClassifier"}, (), "RevVisionTransformer"),
    ],
)
def test_what_a_library_refuses_is_refused_in_all(library, model, pipeline, backbone):
    model = {**model, "backbone": {"type": backbone}}
    said = refused(config_of(library, model, pipeline))
    assert f"{backbone.rpartition('.')[2]} (backbone)" in said


class Plain(BaseModule):
    """The same in both modes."""


class Branches(BaseModule):
    """Another output in training."""

    def forward(self, x):
        return (x, x) if self.training else x


#: Its source is in no file.
UNREADABLE = type("UNREADABLE", (BaseModule,), {"__module__": "nowhere"})


#: Its module has a source, and in it no such class.
UNFOUND = type("UNFOUND", (BaseModule,), {"__module__": __name__})


class Mixin:
    """Looks at the mode of what it is mixed into."""

    def scale(self):
        return 2 if self.training else 1


class Mixed(BaseModule, Mixin):
    """Has it from behind the base."""


class Whole(BaseModule):
    """A model with a backbone."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone


class Mine(Adapter):
    """Knows the model."""

    library = __name__.partition(".")[0]
    models = ("Whole",)


@pytest.mark.parametrize(
    ("backbone", "said"),
    [
        (Plain, ""),
        (Branches, "Branches looks at"),
        (Mixed, "Mixin looks at"),
        (UNREADABLE, "no source to be"),
        (UNFOUND, "no source to be"),
    ],
)
def test_a_backbone_of_the_users_may_not_look_at_the_mode(backbone, said):
    model = components.of_model(Whole(backbone()))
    refusal = Mine().refuse_model(model, ())
    assert said in str(refusal)
    assert (refusal is None) == (said == "")
    where = f"{backbone.__module__}.{backbone.__qualname__}"
    assert Mine().refuse_model(model, (where,)) is None


class ValLossHook:
    """Named as ours."""


@pytest.mark.parametrize(
    "kind", ["ValLossHook", "mmengine.ValLossHook", "mmseg.ValLossHook", ValLossHook]
)
def test_the_hook_is_found_by_its_name_in_each_scope(kind):
    config = config_of("mmseg", {**FCN, "decode_head": {"type": "MyHead"}}, SEG_DEFAULT)
    assert "does not know MyHead" in refused(config)
    config["custom_hooks"] = [
        {"type": "EMAHook"},
        {"type": kind, "trust": ["my.MyHead"]},
    ]
    assert refused(config) == ""


def test_a_hook_may_trust_nobody():
    config = config_of("mmseg", FCN, SEG_DEFAULT)
    config["custom_hooks"] = [{"type": "ValLossHook", "trust": None}]
    assert refused(config) == ""


def test_the_hook_among_the_default_hooks():
    """A Runner builds those too."""
    config = config_of("mmseg", {**FCN, "decode_head": {"type": "MyHead"}}, SEG_DEFAULT)
    loss = {"type": "ValLossHook", "trust": ["my.heads.MyHead"]}
    config["default_hooks"] = {"timer": None, "logger": {"interval": 1}, "loss": loss}
    assert refused(config) == ""
    loss["strategy"] = "dataloader"
    loss["dataloader"] = {"sampler": {"type": "InfiniteSampler"}, "dataset": {}}
    assert "InfiniteSampler" in refused(config)
