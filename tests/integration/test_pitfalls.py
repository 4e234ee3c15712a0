"""What the README says under 'Pitfalls', where no other test says it."""

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


def test_a_function_that_was_taken_out_before_is_the_unpatched_one() -> None:
    """The patch is in the class, and only there."""
    valloss_compat.revert()
    taken_out = ValLoop.run
    valloss_compat.apply()
    assert marker_of(taken_out) is None
    assert marker_of(ValLoop.run).original is taken_out


def test_a_pickled_method_is_that_of_the_process_which_reads_it(
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


def test_a_class_of_main_can_be_sent_to_another_process(nursery: Nursery) -> None:
    """By value, as cloudpickle, ray and submitit do; the seam stays at home."""
    nursery.run(BY_VALUE).json()


def test_a_wrapper_that_was_sent_only_calls_the_original() -> None:
    """The one that it was copied from stays enabled."""

    class Doubles:
        def double(self, number: int) -> int:
            return 2 * number

    def negative(original: Any, *args: Any) -> int:
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


def test_a_log_processor_with_its_own_log_is_named_and_left_alone() -> None:
    """It logs what it likes."""

    class Mine(LogProcessor):
        def get_log_after_epoch(self, *args: object, **kwargs: object) -> str:
            return "mine"

    valloss_compat.apply()
    name = f"{__name__}.{Mine.__qualname__}.get_log_after_epoch"
    assert name in valloss_compat.status().overrides
    assert marker_of(vars(Mine)["get_log_after_epoch"]) is None


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


def test_a_forked_worker_is_patched_and_a_spawned_one_is_not(nursery: Nursery) -> None:
    """A spawned one imports anew what it needs."""
    assert nursery.run(SPAWN).json() == [True, False]
