"""What all tests share: the patched state they start from, fresh processes."""

from __future__ import annotations

from typing import Iterator

import pytest
from fresh import Nursery

_nursery = Nursery()  # first: it must never have seen the package

import valloss_compat  # noqa: E402
from valloss_compat import options  # noqa: E402


@pytest.fixture(autouse=True)
def _default_mode() -> Iterator[None]:
    """Each test starts and ends with the default options and patches."""
    yield
    options._chosen = {}
    valloss_compat.apply()


@pytest.fixture(scope="session", autouse=True)
def nursery() -> Iterator[Nursery]:
    """Runs scripts in fresh processes that have mmengine imported."""
    yield _nursery
    _nursery.close()
