"""Loops that never call val_step: mmpretrain's and mmaction2's RetrievalValLoop."""

from __future__ import annotations

import pytest
from support.tiny import Seen

import valloss_compat
from integration.downstream_loops import stand_ins
from integration.downstream_loops.models import Retriever
from integration.downstream_loops.rows import each
from integration.downstream_loops.validation import Validation, clean, labelled

LOOP = stand_ins.RetrievalValLoop


@pytest.fixture
def metric():
    """The metric that gets the predictions."""
    return Seen()


@pytest.fixture
def validation(tmp_path, cls, metric):
    """A Runner that retrieves three texts for two images, by either name."""
    sizes = {"img_size": 2, "num_videos": 2, "text_size": 3, "num_texts": 3}
    return Validation(
        tmp_path,
        Retriever(),
        metric=metric,
        val_cfg={"type": cls},
        val_dataloader=labelled(2, **sizes),
    )


@each(LOOP)
def test_metrics_are_unchanged(validation):
    """The val_step of the model, which would append a loss, is not called."""
    expected = [{"i2t/n/seen": 2.0, "t2i/n/seen": 3.0}]
    assert validation.run()[0] == expected
    assert not validation.runner.val_loop.val_loss
    valloss_compat.revert()
    assert validation.run()[0] == expected


@each(LOOP)
def test_hooks_get_the_unchanged_features(validation):
    """A dict of tensors has no loss element."""
    validation.run()
    pairs = zip(validation.spy.outputs, validation.model.features)
    assert [one is other for one, other in pairs] == [True, True]


@each(LOOP)
def test_losses_in_predictions_count_for_their_direction(validation, metric):
    """Evaluated predictions may end with a loss element; the batch is unknown."""
    valloss_compat.configure(weighting="sample")
    for _ in range(2):
        ((metrics,), _) = validation.run(losses=True)
        assert metrics == {
            "i2t/n/seen": 2.0,
            "i2t/loss": 2.0,
            "i2t/val_loss": 2.0,
            "t2i/n/seen": 3.0,
            "t2i/loss": 3.0,
            "t2i/val_loss": 3.0,
        }
    assert clean(metric)
    assert validation.runner.message_hub.get_scalar("val/t2i/val_loss").current() == 3.0


@each(LOOP)
def test_raising_validation_leaves_nothing_behind(validation):
    """The next validation is not affected."""
    expected = validation.run(losses=True)[0]
    validation.fail(2)
    assert validation.run()[0] == expected
