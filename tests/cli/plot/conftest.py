"""Fixtures of the tests of ``plot``."""

from __future__ import annotations

import pytest

from cli.plot.work_dirs import epochs, write
from valloss_compat._cli.plot import figure


@pytest.fixture
def figures(monkeypatch):
    """Collect the figures instead of writing files."""
    drawn = []
    monkeypatch.setattr(figure.Figure, "savefig", lambda f, path: drawn.append(f))
    return drawn


@pytest.fixture
def run(tmp_path):
    """A work dir with the losses 3, 1, 2 of three out of five planned epochs."""
    config = "train_cfg = dict(by_epoch=True, max_epochs=5)\n"
    return write(tmp_path / "run" / "20260101_000000", epochs([3, 1, 2]), config=config)
