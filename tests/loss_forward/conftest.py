"""A model that does something in mode ``'loss'``, and what was logged."""

from __future__ import annotations

import pytest
import torch

from loss_forward.models import Classifier, Head


class StatefulHead(Head):
    """Has a buffer, a list and a number to change."""

    def __init__(self):
        super().__init__()
        self.seen, self.last = [], 0.0
        self.register_buffer("count", torch.zeros(2))


class Changing(Classifier):
    """Calls ``act(model)`` in mode ``'loss'``, and adds what it returns to a loss."""

    def __init__(self, act):
        super().__init__()
        self.act, self.head = act, StatefulHead()

    def loss(self, scores, data_samples):
        added = self.act(self)
        losses = super().loss(scores, data_samples)
        if added is not None:
            losses["loss_cls"] = losses["loss_cls"] + added
        return losses


@pytest.fixture
def changing():
    """Make a model that does something in mode ``'loss'`` only."""
    return Changing


@pytest.fixture
def third_batch_raises(monkeypatch):
    """Make mode ``'loss'`` raise for a batch of three, the last one of the data."""
    plain = Classifier.loss

    def loss(self, scores, data_samples):
        if len(scores) == 3:
            raise ValueError("the last batch")
        return plain(self, scores, data_samples)

    monkeypatch.setattr(Classifier, "loss", loss)


@pytest.fixture
def logged(capsys):
    """Return what was logged since the last call, with single spaces."""
    return lambda: " ".join("".join(capsys.readouterr()).split())
