"""What the README says under 'Pitfalls', where no other test says it."""

from __future__ import annotations

import base64
import pickle

from fresh import Nursery
from mmengine.runner import LogProcessor, ValLoop

import valloss_compat
from valloss_compat.wrapper import mark_of


def test_a_function_that_was_taken_out_before_is_the_unpatched_one() -> None:
    """The patch is in the class, and only there."""
    valloss_compat.revert()
    taken_out = ValLoop.run_iter
    valloss_compat.apply()
    assert mark_of(taken_out) is None
    assert mark_of(ValLoop.run_iter).original is taken_out


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


def test_a_log_processor_with_its_own_log_is_named_and_left_alone() -> None:
    """It logs what it likes."""

    class Mine(LogProcessor):
        def get_log_after_epoch(self, *args: object, **kwargs: object) -> str:
            return "mine"

    valloss_compat.apply()
    name = f"{__name__}.{Mine.__qualname__}.get_log_after_epoch"
    assert name in valloss_compat.status().overriding
    assert mark_of(vars(Mine)["get_log_after_epoch"]) is None


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
