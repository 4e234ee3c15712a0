"""A map by identity that keeps no key alive."""

from __future__ import annotations

import types

from valloss_compat._recording.context import WeakIdentityMap


def test_weak_identity_map_forgets_collected_keys():
    """It neither hashes its keys nor keeps them alive."""

    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

    values = WeakIdentityMap(list)
    owner = Unhashable()
    values[owner].append(1)
    assert values[owner] == [1]
    assert len(values) == 1
    del owner
    assert len(values) == 0


def test_object_without_weak_references_has_a_new_value_each_time():
    """As a SimpleNamespace in the place of a runner."""
    values = WeakIdentityMap(list)
    owner = types.SimpleNamespace()
    values[owner].append(1)
    assert values[owner] == []
    assert len(values) == 0
