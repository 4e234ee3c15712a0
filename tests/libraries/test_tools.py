"""What a built head has and is no module takes part in the judgement."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from valloss_compat._libraries import adapter_for, components
from valloss_compat._libraries.components import with_tools


def of(module, name, *bases):
    """A class as if it were defined in a module of a library."""
    return type(name, bases, {"__module__": module})


Assigner = of("mmdet.models.task_modules", "MaxIoUAssigner")
Overlaps = of("mmdet.models.task_modules", "BboxOverlaps2D")
OwnSampler = of("mylib.samplers", "MySampler")
Head = of("mmdet.models.dense_heads", "RetinaHead", torch.nn.Module)
Detector = of("mmdet.models.detectors", "RetinaNet", torch.nn.Module)


@pytest.fixture
def detector():
    model, model_head = Detector(), Head()
    model_head.assigner = Assigner()
    model_head.assigner.iou_calculator = Overlaps()
    model_head.assigner.owner = model_head.assigner  # some refer to themselves
    model_head.costs = [torch.ones(1), model_head.assigner, Overlaps()]
    model_head.rng = np.random.mtrand._rand
    model_head.conv = torch.nn.Conv2d(1, 1, 1)
    model.bbox_head = model_head
    return model


def test_tools_of_tools_are_found_once(detector):
    parts = [str(part) for part in with_tools(components.of_model(detector)).parts]
    assert sorted(parts) == [
        "BboxOverlaps2D (bbox_head.assigner.iou_calculator)",
        "BboxOverlaps2D (bbox_head.costs)",
        "MaxIoUAssigner (bbox_head.assigner)",
        "RetinaHead (bbox_head)",
    ]


def test_tool_that_no_table_knows_is_refused(detector):
    model = components.of_model(detector)
    assert adapter_for(model).refuse_model(model, ()) is None
    detector.bbox_head.sampler = OwnSampler()
    model = components.of_model(detector)
    refusal = adapter_for(model).refuse_model(model, ())
    assert "does not know mylib.samplers.MySampler" in str(refusal)
    trust = ["mylib.samplers.MySampler"]
    assert adapter_for(model).refuse_model(model, trust) is None


def test_bricks_of_a_config_are_left_out():
    config = {
        "type": "RetinaNet",
        "bbox_head": {
            "type": "RetinaHead",
            "norm_cfg": {"type": "GN"},
            "init_cfg": {"type": "Normal", "override": {"type": "Normal", "std": 1}},
            "loss_cls": {"type": "FocalLoss"},
        },
    }
    whole = with_tools(components.of_config(config, "mmdet"))
    assert [part.path for part in whole.parts] == ["bbox_head", "bbox_head.loss_cls"]
