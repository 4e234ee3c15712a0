"""Loops that never call val_step: mmpretrain's and mmaction2's RetrievalValLoop."""

from __future__ import annotations

import pytest
from support.tiny import Seen

import valloss_compat
from integration.downstream_loops import stand_ins
from integration.downstream_loops.models import Retriever
from integration.downstream_loops.rows import each
from integration.downstream_loops.scenes import Scene, clean, labelled

LOOP = stand_ins.RetrievalValLoop


@pytest.fixture
def metric():
    """The metric that is told the predictions."""
    return Seen()


@pytest.fixture
def scene(tmp_path, cls, metric):
    """A Runner that retrieves three texts for two images, by either name."""
    sizes = {"img_size": 2, "num_videos": 2, "text_size": 3, "num_texts": 3}
    return Scene(
        tmp_path,
        Retriever(),
        metric=metric,
        val_cfg={"type": cls},
        val_dataloader=labelled(2, **sizes),
    )


@each(LOOP)
def test_its_metrics_are_as_without_us(scene):
    """A model whose val_step would say a loss is not asked for it."""
    expected = [{"i2t/n/seen": 2.0, "t2i/n/seen": 3.0}]
    assert scene.run()[0] == expected
    assert not scene.runner.val_loop.val_loss
    valloss_compat.revert()
    assert scene.run()[0] == expected


@each(LOOP)
def test_hooks_get_the_very_features(scene):
    """A dict of tensors is no result to take a loss off."""
    scene.run()
    pairs = zip(scene.spy.outputs, scene.model.features)
    assert [one is other for one, other in pairs] == [True, True]


@each(LOOP)
def test_losses_among_the_predictions_are_of_their_direction(scene, metric):
    """What is evaluated may hold a loss element here as well, with no batch known."""
    valloss_compat.configure(weighting="sample")
    for _ in range(2):
        ((metrics,), _) = scene.run(losses=True)
        assert metrics == {
            "i2t/n/seen": 2.0,
            "i2t/loss": 2.0,
            "i2t/val_loss": 2.0,
            "t2i/n/seen": 3.0,
            "t2i/loss": 3.0,
            "t2i/val_loss": 3.0,
        }
    assert clean(metric)
    assert scene.runner.message_hub.get_scalar("val/t2i/val_loss").current() == 3.0


@each(LOOP)
def test_a_validation_that_raises_leaves_nothing_behind(scene):
    """The next one is as any other."""
    expected = scene.run(losses=True)[0]
    scene.fail(2)
    assert scene.run()[0] == expected
