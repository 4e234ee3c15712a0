"""Models of libraries that nothing was proven for are refused with a reason."""

from __future__ import annotations

import pytest

from libraries.configs import config_of, refused


@pytest.mark.parametrize(
    ("scope", "kind", "reason"),
    [
        ("mmocr", "CRNN", "recognisers raise in mode 'loss'"),
        ("mmocr", "DBNet", "their loss writes into them"),
        ("mmyolo", "YOLODetector", "after LetterResize has moved and scaled"),
        ("mmagic", "SRGAN", "generative models have no mode 'loss'"),
        ("mmaction", "Recognizer2D", "nobody has compared its loss"),
        ("mmdet3d", "VoxelNet", "nobody has compared its loss"),
        ("mmelse", "Model", "valloss_compat does not know Model"),
    ],
)
def test_model_is_refused_unless_the_user_answers_for_it(scope, kind, reason):
    config = config_of(scope, {"type": kind}, ["LoadImageFromFile"])
    assert reason in refused(config)
    assert f"trust=['my.module.{kind}']" in refused(config)
    assert refused(config, trust=[f"{scope}.models.{kind}"]) == ""


def test_the_way_out_is_what_there_is():
    """Something else to do where that is known; else trust alone."""
    trust = "if its loss is right in eval mode, say so: ValLossHook(trust=["
    said = refused(config_of("mmaction", {"type": "Recognizer2D"}, []))
    assert f"Way out: {trust}" in said
    said = refused(config_of("mmocr", {"type": "CRNN"}, []))
    assert "Way out: a subclass of the model whose predict" in said
    assert f"; or, {trust}" in said


def test_model_that_is_trusted_shares_nothing():
    from valloss_compat._libraries import adapter_for, components

    model = components.of_config({"type": "Recognizer2D"}, "mmaction")
    assert adapter_for(model).shared(object()) == []
