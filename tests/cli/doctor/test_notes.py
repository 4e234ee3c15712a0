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

RETINA = {"type": "mmdet.RetinaNet"}
_PLACE = "config.ground_truth: val_dataloader.dataset.pipeline"
NOTES = {
    "a hook that needs run": (
        config(custom_imports=None, custom_hooks=[{"type": "ValLossHook"}]),
        "does not import valloss_compat, which ValLossHook needs. That is fine if "
        "`python -m valloss_compat run` starts the train script",
    ),
    "no import": (config(custom_imports=None), "does not import valloss_compat"),
    "another import": (
        config(custom_imports={"imports": ["projects.mine", "zoo.models"]}),
        "custom_imports=dict(imports=['projects.mine', 'zoo.models', 'valloss_compat']",
    ),
    "a failure is hidden": (
        config(
            custom_imports={"imports": "valloss_compat", "allow_failed_imports": True}
        ),
        "Fix: allow_failed_imports=False",
    ),
    "nothing monitors": (
        config(custom_hooks=None, default_hooks=None),
        "nothing monitors val_loss: it is only logged. For early stopping add "
        "default_hooks=dict(early_stopping=dict(",
    ),
    "min_delta by default": (
        config(
            custom_hooks=[{"type": "mmengine.EarlyStoppingHook", "monitor": "loss"}]
        ),
        "min_delta=0.1, mmengine's default",
    ),
    "min_delta as given": (hook(min_delta=1), "has min_delta=1: a loss"),
    "a named loss": (hook(monitor="loss_cls"), "has to have a loss of that name"),
    "a prefix": (hook(monitor="teacher/val_loss"), "prefixes its passes"),
    "auto": (save_best("auto"), "monitors 'auto': that is the first metric"),
    "a metric": (save_best(["accuracy"]), "monitors 'accuracy', which is no loss"),
    "a metric behind val_loss in a dictionary": (
        save_best("wer", rule="less"),
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
        "so that nothing validates",
    ),
    "a loop": (
        config(val_cfg={"type": "MyLoop"}),
        "val_cfg has the class MyLoop, which",
    ),
    "an evaluator": (
        config(val_evaluator={"type": "mmdet.MultiDatasetsEvaluator", "metrics": []}),
        "val_evaluator has the class mmdet.MultiDatasetsEvaluator, which",
    ),
    "a library's model": (
        of_library("mmdet", "RetinaNet", []),
        "the model is mmdet.models.detectors.RetinaNet, of a library whose models app",
    ),
    "a model without a loss": (
        of_library("mmdet", "QDTrack", PIPELINE[2:]),
        "config.val_loss_hook: ValLossHook is no fix: mmdet.QDTrack: trackers",
    ),
    "no fix for a model without a loss": (
        of_library("mmdet", "QDTrack", PIPELINE[2:]),
        "whose models append no loss element. Fix: derive a model whose forward",
    ),
}


@pytest.mark.parametrize("case", sorted(NOTES))
def test_note_is_reported_without_a_problem(case):
    cfg, expected = NOTES[case]
    assert any(expected in text for text in findings_of(cfg, "note")), findings_of(
        cfg, "note"
    )
    assert findings_of(cfg, "problem") == []


UNCHECKED = {
    "a library's model that cannot be imported": (
        config(default_scope="mmpretrain", model={"type": "ImageClassifier"}),
        "the model is ImageClassifier, of a library whose models append no loss "
        "element. Fix: add default_hooks=dict(val_loss=dict(type='ValLossHook')), or ",
    ),
    "a model that cannot be imported in a library's scope": (
        config(default_scope="mmdet", model={"type": "Wrap", "detector": RETINA}),
        "the model is Wrap, which wraps mmdet.models.detectors.RetinaNet, of a lib",
    ),
    "a model of mine in a library's scope": (
        of_library("mmdet", "MyNet", []),
        "the model is projects.mine.MyNet: whether it returns a loss element is not",
    ),
    "a wrapped model": (
        config(model={"type": "Wrap", "detector": {"type": "mmdet.RetinaNet"}}),
        "the model is Wrap, which wraps mmdet.models.detectors.RetinaNet: whether",
    ),
    "a model that wraps two": (
        config(
            model={
                "type": "Wrap",
                "detector": {"type": "mmdet.RetinaNet"},
                "segmentor": {"type": "mmseg.EncoderDecoder"},
            }
        ),
        "the model is Wrap, which wraps mmdet.models.detectors.RetinaNet: whether",
    ),
}


@pytest.mark.parametrize("case", sorted(UNCHECKED))
def test_own_model_that_cannot_be_built_is_not_checked(case):
    """It has its full name where its class is known."""
    cfg, expected = UNCHECKED[case]
    (text,) = findings_of(cfg, "not checked")
    assert text.startswith(f"config.model: {expected}")
    assert findings_of(cfg, "problem") == []


@pytest.mark.parametrize("library", ["mmdet", "mmyolo"])
def test_padding_is_reported_for_segmentors_only(library):
    """Labels of other libraries do not have the size of the input."""
    cfg = of_library(library, "RetinaNet", PIPELINE, data_preprocessor=PADDED)
    assert not any("pads the input" in text for text in findings_of(cfg, "note"))


@pytest.mark.parametrize(
    "cfg",
    [
        of_library("mmdet", "RetinaNet", PIPELINE[2:]),
        of_library("mmseg", "EncoderDecoder", PIPELINE),
        of_library("mmpretrain", "ImageClassifier", PIPELINE[:1]),
        of_library("mmdet", "RetinaNet", [], data_preprocessor=PADDED),
    ],
)
def test_ground_truth_in_the_frame_of_the_input_has_no_note(cfg):
    """Nor has a validation without a pipeline in the config."""
    if not cfg["val_dataloader"]["dataset"]["dataset"]["pipeline"]:
        cfg["val_dataloader"] = {"dataset": {"type": "Opaque"}}
    assert not any("config.ground_truth" in text for text in findings_of(cfg, "note"))


def test_model_of_the_user_gets_no_advice_on_the_hook():
    """In the scope of a library too, as its class is in another module."""
    for scope in ("mmdet", "mine"):
        notes = findings_of(of_library(scope, "MyNet", []), "note")
        assert not any("ValLossHook" in text for text in notes)
