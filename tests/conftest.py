"""Fixtures of all tests: the patched state they start from, new processes."""

from __future__ import annotations

import gc
import os
import platform
from typing import Any, Dict, Iterator, List

import pytest
from support.blocks import Block, block_of
from support.fresh import Nursery

_nursery = Nursery()  # first: it must not import the package

import mmengine  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from mmengine.evaluator import Evaluator  # noqa: E402
from mmengine.registry import DefaultScope  # noqa: E402
from mmengine.runner import BaseLoop, LogProcessor  # noqa: E402

import valloss_compat  # noqa: E402
from valloss_compat import _api, options  # noqa: E402


def pytest_collection_modifyitems(config: pytest.Config, items: List[Any]) -> None:
    """On a row of several releases, only one of them runs the slow tests."""
    if os.environ.get("VALLOSS_COMPAT_SLOW_TESTS_ON"):
        slow = {item for item in items if item.get_closest_marker("slow")}
        config.hook.pytest_deselected(items=list(slow))
        items[:] = [item for item in items if item not in slow]


@pytest.fixture(autouse=True)
def _default_mode() -> Iterator[None]:
    """Each test starts and ends with the default options and patches."""
    yield
    options._chosen = {}
    _api.start()  # apply() also builds a status, which is slow
    # Each Runner leaves one, and mmengine copies all of them whenever it builds one.
    DefaultScope._instance_dict.clear()


@pytest.fixture(scope="module", autouse=True)
def _collect_classes_of_module() -> Iterator[None]:
    """Collect the classes that a module made: status() shows those still alive."""
    before = _number_of_classes()
    yield
    if _number_of_classes() > before:  # a collection takes a tenth of a second
        gc.collect()


def _number_of_classes() -> int:
    """Return how many classes derive from the patched ones."""
    found: Dict[int, type] = {}  # by id: some have no hash
    left: List[type] = [BaseLoop, Evaluator, LogProcessor]
    while left:
        kinds = type.__subclasses__(left.pop())
        left += [kind for kind in kinds if id(kind) not in found]
        found.update((id(kind), kind) for kind in kinds)
    return len(found)


@pytest.fixture(scope="session", autouse=True)
def nursery() -> Iterator[Nursery]:
    """Runs scripts in new processes that have mmengine imported."""
    yield _nursery
    _nursery.close()


@pytest.fixture
def block(request: pytest.FixtureRequest) -> Block:
    """Return the code block of README.md or docs/ that the test has in its name."""
    return block_of(request.function.__name__)


@pytest.fixture(scope="session", autouse=True)
def _report_versions(record_testsuite_property: Any) -> None:
    """Write versions into the JUnit report, for the picture of the matrix."""
    record_testsuite_property("commit", os.environ.get("VALLOSS_COMPAT_COMMIT", ""))
    record_testsuite_property("python", platform.python_version())
    for module in (torch, np, mmengine, valloss_compat):
        record_testsuite_property(module.__name__, module.__version__)
