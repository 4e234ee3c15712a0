"""What the package would know of the model under test, and one that does more."""

from __future__ import annotations

import pytest
import torch

from loss_forward.models import Classifier, Head, Known
from valloss_compat import _libraries
from valloss_compat._libraries import base


@pytest.fixture(autouse=True)
def _known(monkeypatch):
    monkeypatch.setattr(base, "_registered", {})
    _libraries.register(Known)


class Changing(Head):
    """Does something in mode ``'loss'`` only, as told."""

    def __init__(self, act):
        super().__init__()
        self.act, self.seen, self.last = act, [], 0.0
        self.register_buffer("count", torch.zeros(2))

    def forward(self, features):
        scores = super().forward(features)
        if self.losing:
            self.act(self)
        return scores


@pytest.fixture
def changing(monkeypatch):
    """Makes a model whose head does something in mode ``'loss'``."""
    monkeypatch.setattr(Known, "known", ("Head", "Changing"))

    def make(act):
        model = Classifier()
        model.head = Changing(act)
        model.head.losing = False
        inner = model._run_forward

        def run_forward(data, mode):
            vars(model.head)["losing"] = mode == "loss"
            try:
                return inner(data, mode)
            finally:
                vars(model.head)["losing"] = False

        vars(model)["_run_forward"] = run_forward
        return model

    return make
