"""The class under test: a stand-in, or the real one where its library is."""

from __future__ import annotations

import pytest

from integration.downstream_loops.rows import Real


@pytest.fixture
def cls(request):
    """What :func:`rows.each` parametrises; real classes are loaded late."""
    source = request.param
    return source.load() if isinstance(source, Real) else source
