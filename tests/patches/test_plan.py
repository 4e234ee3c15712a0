"""The table of patch points: data that names existing code."""

from __future__ import annotations

import importlib
import itertools
import operator
from collections import Counter

import pytest
from support.fresh import run_cold

from valloss_compat._patches import plan
from valloss_compat._patches.plan import PATCH_POINTS, PLANS

#: They came with mmengine 0.3.0 and 0.8.0.
NEWER_CLASSES = {"mmengine.model:BaseTTAModel", "mmengine.runner:FlexibleRunner"}


def load(name):
    """Import the object of an entry ``'module:name'`` or ``'module'``."""
    module, _, attribute = name.partition(":")
    found = importlib.import_module(module)
    return getattr(found, attribute, None) if attribute else found


READ = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location('plan', {path!r})
plan = importlib.util.module_from_spec(spec)
spec.loader.exec_module(plan)
imported = {{name.split('.')[0] for name in sys.modules}}
assert not imported & {{'mmengine', 'torch', 'valloss_compat'}}, imported
print(json.dumps([[point.target, point.wrapper] for point in plan.PATCH_POINTS]))
"""


def test_table_is_readable_without_mmengine_and_wrappers():
    """By the path of its file, in a new process."""
    rows = run_cold(READ.format(path=plan.__file__)).json()
    assert rows == [[point.target, point.wrapper] for point in PATCH_POINTS]


@pytest.mark.parametrize(
    "point", PATCH_POINTS, ids=lambda point: f"{point.target}.{point.attribute}"
)
def test_names_of_a_row_exist(point):
    """The target only where this mmengine has it, the attribute or its default."""
    target = load(point.target)
    if target is None:
        assert point.target in NEWER_CLASSES
    else:
        assert hasattr(target, point.attribute) or point.default
    for name in (point.wrapper, point.only, point.default):
        assert not name or callable(load(f"valloss_compat.{name}"))
    assert point.wrapper
    assert point.purpose


def test_plans_of_a_row_are_known():
    """Each plan has a row, and subclasses are patched only where the root is."""
    for point in PATCH_POINTS:
        assert set(point.subclasses) <= set(point.plans) <= set(PLANS)
    assert {name for point in PATCH_POINTS for name in point.plans} == set(PLANS)


def test_each_attribute_is_patched_once():
    places = Counter((point.target, point.attribute) for point in PATCH_POINTS)
    assert set(places.values()) == {1}


@pytest.mark.parametrize("name", PLANS)
def test_rows_of_a_class_tree_make_one_patcher(name):
    """They are adjacent, and choose the same subclasses."""
    rows = [point for point in PATCH_POINTS if name in point.plans]
    targets = []
    for target, group in itertools.groupby(rows, operator.attrgetter("target")):
        chosen = {point.only for point in group if name in point.subclasses}
        assert len(chosen) <= 1
        targets += [target] if chosen else []
    assert len(targets) == len(set(targets))
