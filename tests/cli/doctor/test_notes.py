"""``doctor CONFIG``: configs that give a note and no problem."""

from __future__ import annotations

import pytest

from cli.doctor.configs import (
    PADDED,
    PIPELINE,
    config,
    findings_of,
    hook,
    of_library,
    save_best,
)

NOTES = {
    "a hook that needs run": (
        config(
            custom_imports=None,
            custom_hooks=[{"type": "ValLossHook", "trust": ["mine.Net"]}],
        ),
        "does not import valloss_compat, without which nobody knows ValLossHook: run",
    ),
    "no import": (config(custom_imports=None), "does not import valloss_compat"),
    "another import": (
        config(custom_imports={"imports": ["projects.mine", "zoo.models"]}),
        "does not import valloss_compat",
    ),
    "a failure is hidden": (
        config(
            custom_imports={"imports": "valloss_compat", "allow_failed_imports": True}
        ),
        "say allow_failed_imports=False",
    ),
    "nothing monitors": (
        config(custom_hooks=None, default_hooks=None),
        "no hook monitors val_loss",
    ),
    "min_delta by default": (
        config(
            custom_hooks=[{"type": "mmengine.EarlyStoppingHook", "monitor": "loss"}]
        ),
        "min_delta=0.1 (the default)",
    ),
    "min_delta as given": (hook(min_delta=1), "has min_delta=1:"),
    "a named loss": (hook(monitor="loss_cls"), "only if the model's loss element has"),
    "a prefix": (hook(monitor="teacher/val_loss"), "prefixes its passes"),
    "auto": (save_best("auto"), "save_best=...) is 'auto'"),
    "a metric": (save_best(["accuracy"]), "monitors 'accuracy', which is no loss"),
    "a metric behind val_loss in a dictionary": (
        save_best("wer"),
        "monitors 'wer', which is no loss",
    ),
    "no validation": (
        config(
            val_cfg=None,
            val_dataloader=None,
            val_evaluator=None,
            custom_hooks=None,
            default_hooks=None,
        ),
        "this config does not validate",
    ),
    "a loop": (config(val_cfg={"type": "MyLoop"}), "val_cfg has a class of its own"),
    "an evaluator": (
        config(val_evaluator={"type": "mmdet.MultiDatasetsEvaluator", "metrics": []}),
        "val_evaluator has a class of its own, mmdet.MultiDatasetsEvaluator",
    ),
    "a library's model": (
        of_library("mmdet", "RetinaNet", []),
        "the model is mmdet.RetinaNet, of a library whose models append no loss",
    ),
    "a model of mine in a library's scope": (
        of_library("mmdet", "MyNet", []),
        "the model is mmdet.MyNet: its forward",
    ),
    "a wrapped model": (
        config(model={"type": "Wrap", "detector": {"type": "mmdet.RetinaNet"}}),
        "the model is mine.Wrap, which wraps mmdet.RetinaNet: its forward",
    ),
    "a model that wraps two": (
        config(
            model={
                "type": "Wrap",
                "detector": {"type": "mmdet.RetinaNet"},
                "segmentor": {"type": "mmseg.EncoderDecoder"},
            }
        ),
        "the model is mine.Wrap, which wraps mmdet.RetinaNet: its forward",
    ),
    "resized before": (
        of_library("mmdet", "RetinaNet", PIPELINE),
        "Resize comes before LoadAnnotations in the validation pipeline of mmdet",
    ),
    "resized twice": (
        of_library("mmdet", "RetinaNet", [{"type": "FixShapeResize"}, *PIPELINE]),
        "FixShapeResize comes before LoadAnnotations in the validation pipeline",
    ),
    "no ground truth": (
        of_library("mmseg", "EncoderDecoder", PIPELINE[:2]),
        "has no LoadAnnotations: validation samples have no ground truth",
    ),
    "several dataloaders": (
        {
            **of_library("mmdet", "RetinaNet", []),
            "val_dataloader": [
                {"dataset": {"pipeline": PIPELINE[2:]}},
                {"dataset": {"pipeline": PIPELINE}},
            ],
            "val_evaluator": [[{"type": "A"}], [{"type": "B"}]],
            "val_cfg": {"type": "MultiValLoop"},
        },
        "Resize comes before LoadAnnotations in the validation pipeline of mmdet",
    ),
    "no targets": (
        of_library("mmpose", "TopdownPoseEstimator", PIPELINE),
        "has no GenerateTarget: mmpose's heads",
    ),
    "padded": (
        of_library("mmseg", "EncoderDecoder", PIPELINE, data_preprocessor=PADDED),
        "pads the input (size_divisor=32), but not the labels",
    ),
    "unknown to the hook": (
        of_library("mmdet", "RetinaNet", PIPELINE, backbone={"type": "torch.nn.What"}),
        "ValLossHook",
    ),
}


@pytest.mark.parametrize("case", sorted(NOTES))
def test_note_is_reported_without_a_problem(case):
    cfg, expected = NOTES[case]
    assert any(expected in text for text in findings_of(cfg, "note")), findings_of(
        cfg, "note"
    )
    assert findings_of(cfg, "problem") == []


@pytest.mark.parametrize("library", ["mmdet", "mmyolo"])
def test_padding_is_reported_for_segmentors_only(library):
    """Labels of other libraries do not have the size of the input."""
    cfg = of_library(library, "RetinaNet", PIPELINE, data_preprocessor=PADDED)
    assert not any("pads the input" in text for text in findings_of(cfg, "note"))
