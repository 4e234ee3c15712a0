"""Pitfalls of the README that no other test covers."""

from __future__ import annotations

import base64
import copy
import pickle
import types
from typing import Any

from mmengine.runner import LogProcessor, ValLoop
from support.fresh import Nursery

import valloss_compat
from valloss_compat._patches.patch import MARKER, marker_of, wrap


def test_reference_from_before_the_patch_is_unpatched() -> None:
    """Only the attribute of the class is replaced."""
    valloss_compat.revert()
    reference = ValLoop.run
    valloss_compat.apply()
    assert marker_of(reference) is None
    assert marker_of(ValLoop.run).original is reference


def test_unpickled_method_is_that_of_the_reading_process(
    nursery: Nursery,
) -> None:
    """Functions are pickled by name."""
    text = pickle.dumps(ValLoop.run)
    assert pickle.loads(text) is ValLoop.run
    read = "import base64, pickle\n"
    read += f"run = pickle.loads(base64.b64decode({base64.b64encode(text)!r}))\n"
    nursery.run(
        read + "assert not hasattr(run, '__valloss_compat__')\nprint('{}')"
    ).json()
    nursery.run(
        f"import valloss_compat\n{read}"
        "assert hasattr(run, '__valloss_compat__')\nprint('{}')"
    ).json()


BY_VALUE = """
import io, pickle, types
import valloss_compat
from mmengine.evaluator import Evaluator
from mmengine.runner import ValLoop

class MainLoop(ValLoop):
    def run(self):
        return super().run()

class MainEvaluator(Evaluator):
    def process(self, data_samples, data_batch=None):
        return super().process(data_samples, data_batch)

by_value = {}

class ByValue(pickle.Pickler):
    def persistent_id(self, thing):  # cloudpickle knows how to send these
        if getattr(thing, "__module__", "") == "__main__" and isinstance(
            thing, (type, types.FunctionType)):
            by_value[str(id(thing))] = thing
            return str(id(thing))

class Back(pickle.Unpickler):
    def persistent_load(self, name):
        return by_value[name]

for method in (MainLoop.run, MainEvaluator.process):
    marker, sent = method.__valloss_compat__, io.BytesIO()
    ByValue(sent).dump(marker)
    sent.seek(0)
    there = Back(sent).load()
    assert marker in [cell.cell_contents for cell in method.__closure__]
    assert there.wrapper is None and marker.wrapper is not None
    for name in ("owner", "version", "target", "attribute", "original"):
        assert getattr(there, name) == getattr(marker, name)
print('{}')
"""


def test_class_of_main_can_be_pickled_by_value(nursery: Nursery) -> None:
    """As cloudpickle, ray and submitit do; the wrapper is not pickled."""
    nursery.run(BY_VALUE).json()


def test_copied_wrapper_only_calls_the_original() -> None:
    """The one that it was copied from stays enabled."""

    class Doubles:
        def double(self, number: int) -> int:
            return 2 * number

    def negative(original: Any, args: Any, kwargs: Any) -> int:
        return -int(original(*args))

    wrapper = wrap(vars(Doubles)["double"], Doubles, "double")
    original_marker = marker_of(wrapper)
    original_marker.wrapper = negative
    marker = copy.copy(original_marker)
    cells = {"marker": (lambda: marker).__closure__}
    cells["call"] = (wrapper.__closure__[wrapper.__code__.co_freevars.index("call")],)
    closure = tuple(cells[name][0] for name in wrapper.__code__.co_freevars)
    sent = types.FunctionType(wrapper.__code__, wrapper.__globals__, closure=closure)
    marker.installed = sent
    setattr(sent, MARKER, marker)
    assert marker_of(sent) is marker
    assert (wrapper(None, 2), sent(None, 2)) == (-4, 4)


def test_log_processor_with_its_own_log_is_reported_and_not_patched() -> None:
    """It decides what it logs."""

    class OwnLog(LogProcessor):
        def get_log_after_epoch(self, *args: object, **kwargs: object) -> str:
            return "own"

    valloss_compat.apply()
    name = f"{__name__}.{OwnLog.__qualname__}.get_log_after_epoch"
    assert name in valloss_compat.status().overrides
    assert marker_of(vars(OwnLog)["get_log_after_epoch"]) is None


SPAWN = """
import json, os, sys, tempfile
FOLDER = tempfile.mkdtemp()
with open(FOLDER + '/asked.py', 'w') as file:
    file.write('import sys\\ndef patched(_):\\n')
    file.write('    return "valloss_compat" in sys.modules\\n')
sys.path.insert(0, FOLDER)
import valloss_compat
import multiprocessing
from asked import patched
print(json.dumps([
    multiprocessing.get_context(method).Pool(1).map(patched, [0])[0]
    for method in ('fork', 'spawn')]))
"""


def test_forked_worker_is_patched_and_spawned_one_is_not(nursery: Nursery) -> None:
    """A spawned one imports only what it needs."""
    assert nursery.run(SPAWN).json() == [True, False]
