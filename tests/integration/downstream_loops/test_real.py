"""Where the downstream libraries are installed, their own classes are tested."""

from __future__ import annotations

import os
import sys

import pytest

from integration.downstream_loops import stand_ins, stand_ins_multi
from integration.downstream_loops.rows import IN_DOWNSTREAM, REALS, Real, sources
from integration.downstream_loops.shells import real

downstream = pytest.mark.skipif(
    not IN_DOWNSTREAM, reason="no downstream libraries: tox's `downstream` has them"
)


@downstream
def test_no_real_class_is_missing():
    """Each is read from the installed file, whatever packages stand around it."""
    for place in REALS:
        cls = real(*place)
        assert (cls.__module__, cls.__name__) == (place.module, place.name)
        path = sys.modules[cls.__module__].__file__
        assert "site-packages" in path
        known = path.replace(os.sep, "/")
        assert known.endswith(place.module.replace(".", "/") + ".py")


def test_each_real_class_has_a_stand_in():
    """And is a parameter of what the stand-in is; mmagic's evaluator has no row."""
    for place in REALS:
        name = place.name
        if name == "Evaluator":
            name = "SampledEvaluator"
            assert hasattr(stand_ins_multi, name)
            continue
        home = stand_ins if hasattr(stand_ins, name) else stand_ins_multi
        values = [source.values[0] for source in sources(getattr(home, name))]
        assert place in values


def test_without_the_library_there_is_no_class():
    """Then the test is skipped, with the environment's name in the reason."""
    assert real("no_such_library", "no_such_library.module", "Name") is None
    with pytest.raises(pytest.skip.Exception, match="`downstream`"):
        Real("no_such_library", "no_such_library.module", "Name").load()
