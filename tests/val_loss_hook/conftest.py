"""What the package would know of the model under test."""

from __future__ import annotations

import pytest

from val_loss_hook.models import Known
from valloss_compat import adapters


@pytest.fixture(autouse=True)
def _known(monkeypatch):
    monkeypatch.setattr(adapters, "_registered", {})
    adapters.register(Known)
