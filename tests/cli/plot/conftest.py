"""What the tests of ``plot`` share: a work dir, and figures in place of files."""

from __future__ import annotations

import pytest

from cli.plot.work_dirs import epochs, write
from valloss_compat._cli.plot import figure


@pytest.fixture
def figures(monkeypatch):
    """The figures that were drawn, in place of the files."""
    drawn = []
    monkeypatch.setattr(figure.Figure, "savefig", lambda f, path: drawn.append(f))
    return drawn


@pytest.fixture
def run(tmp_path):
    """A work dir: 1, 3, 2 by epochs of ten iterations, of five that were planned."""
    config = "train_cfg = dict(by_epoch=True, max_epochs=5)\n"
    return write(tmp_path / "run" / "20260101_000000", epochs([3, 1, 2]), config=config)
