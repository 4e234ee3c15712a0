"""The real classes are tested where the downstream libraries are installed."""

from __future__ import annotations

import os
import sys

import pytest

from integration.downstream_loops import stand_ins, stand_ins_multi
from integration.downstream_loops.rows import IN_DOWNSTREAM, REALS, Real, sources
from integration.downstream_loops.stub_packages import real

downstream = pytest.mark.skipif(
    not IN_DOWNSTREAM, reason="no downstream libraries: tox's `downstream` has them"
)


@downstream
def test_all_real_classes_are_found():
    """Each is imported from the installed file."""
    for place in REALS:
        cls = real(*place)
        assert (cls.__module__, cls.__name__) == (place.module, place.name)
        path = sys.modules[cls.__module__].__file__
        assert "site-packages" in path
        known = path.replace(os.sep, "/")
        assert known.endswith(place.module.replace(".", "/") + ".py")


def test_each_real_class_has_a_stand_in():
    """And is a parameter of the same tests; mmagic's evaluator has no row."""
    for place in REALS:
        name = place.name
        if name == "Evaluator":
            name = "SampledEvaluator"
            assert hasattr(stand_ins_multi, name)
            continue
        module = stand_ins if hasattr(stand_ins, name) else stand_ins_multi
        values = [source.values[0] for source in sources(getattr(module, name))]
        assert place in values


def test_class_of_a_missing_library_is_skipped():
    """The reason names the tox environment that has it."""
    assert real("no_such_library", "no_such_library.module", "Name") is None
    with pytest.raises(pytest.skip.Exception, match="`downstream`"):
        Real("no_such_library", "no_such_library.module", "Name").load()
