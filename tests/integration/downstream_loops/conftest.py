"""The class under test: a stand-in, or the real class if its library is installed."""

from __future__ import annotations

import pytest

from integration.downstream_loops.rows import Real


@pytest.fixture
def cls(request):
    """A parameter of :func:`rows.each`; real classes are loaded here."""
    source = request.param
    return source.load() if isinstance(source, Real) else source
