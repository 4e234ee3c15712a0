"""Models and transforms are seen alike, whether they are built or in a config."""

from __future__ import annotations

import pytest
from libraries.configs import library_class
from torch import nn

from valloss_compat._config import kind_of, names_of, setting

Detector = library_class("mmdet.models.detectors", "RetinaNet", nn.Module)


def test_a_built_model_has_the_names_of_its_class_and_bases():
    assert names_of(Detector()) == ("mmdet.RetinaNet", "torch.Module")
    assert kind_of(Detector()) == "RetinaNet"


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"type": "RetinaNet"}, "mmdet.RetinaNet"),
        ({"type": "mmseg.FCN"}, "mmseg.FCN"),
        ({"type": "A.b.Head"}, "A.Head"),
        ({"type": "Other", "_scope_": "mine"}, "mine.Other"),
        ({}, "mmdet.?"),
    ],
)
def test_a_configured_model_is_named_by_type_and_scope(config, name):
    assert names_of(config, "mmdet") == (name,)


def test_class_in_a_config_is_named_as_when_it_is_built():
    """As mmengine's new style of config has it."""
    assert names_of({"type": Detector}, "mine") == names_of(Detector())


def test_a_transform_may_be_a_function():
    assert names_of(len) == ("builtins.len",)
    assert kind_of(library_class) == "library_class"


def test_a_setting_is_an_entry_or_an_attribute():
    assert setting({"a": 1}, "a") == 1
    assert setting({}, "a", 2) == 2
    assert setting(nn.Identity(), "training") is True
    assert setting(None, "a") is None
