"""``run SCRIPT`` with scripts that train: mmengine is patched when they import it."""

from __future__ import annotations

import json
import os
import sys

import pytest
from support.fresh import TESTS
from support.torchrun import needs_torchrun, torchrun

from cli.processes import RUN, as_command, python, write

pytestmark = pytest.mark.slow

#: For processes that import mmengine themselves: the path of the tests, and ``tiny``.
PATH = os.pathsep.join([TESTS, *sys.path])

# mmengine is not imported before a process validates.
TRAIN = """
import json, os, sys

def validate(folder):
    import torch
    import torch.distributed as dist
    from support.tiny import element, make_runner, sample
    rank = 0
    if 'RANK' in os.environ:
        dist.init_process_group('gloo')
        rank = dist.get_rank()

    def respond(index, inputs):
        return [sample(), element(loss=torch.tensor(rank * 10 + index + 1.0))]
    return make_runner(folder, respond).val().get('val_loss')
"""
NOT_IMPORTED = """
import sys
assert not [n for n in sys.modules if n.startswith(('valloss', 'mmengine', 'torch'))]
"""
MAIN = """
val_loss = validate(sys.argv[1])
from mmengine.runner import loops
native = hasattr(loops, '_update_losses')
print(json.dumps([val_loss, native, 'valloss_compat' in sys.modules]))
"""
SPAWN = """
import multiprocessing
if __name__ == '__main__':
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        print(json.dumps(pool.apply(validate, [sys.argv[1]])))
"""
RANKS = """
val_loss = validate(sys.argv[1])
with open(sys.argv[1] + os.environ['RANK'], 'w') as file:
    json.dump([val_loss, sys.argv[1:]], file)
import torch.distributed as dist
dist.barrier()
# Without an exit: gloo's threads may abort one (torch 2.15), or hang it (2.4).
os._exit(0)
"""


def train_script(folder, text):
    return str(write(folder, text, "train.py"))


@pytest.mark.parametrize("mode", ["default", "parity"])
def test_unmodified_script_reports_val_loss(nursery, tmp_path, mode):
    """In both modes."""
    script = train_script(tmp_path, TRAIN + MAIN)
    argv = ["run", script, str(tmp_path / "work")]
    done = as_command(nursery, argv, tmp_path, {"VALLOSS_COMPAT": mode})
    assert done.json()[0] == 1.5
    assert done.json()[2]


def test_off_runs_the_script_unpatched(nursery, tmp_path):
    """VALLOSS_COMPAT=off: nothing of this package is imported."""
    script = train_script(tmp_path, TRAIN + MAIN)
    env = {"VALLOSS_COMPAT": "off"}
    argv = ["run", script, str(tmp_path / "work")]
    val_loss, native, imported = as_command(nursery, argv, tmp_path, env).json()
    assert val_loss == (1.5 if native else None)
    assert not imported


def test_run_keeps_patches_that_are_active_already(nursery, tmp_path):
    """As ``main()`` is called in a process that has imported the package."""
    script = train_script(tmp_path, TRAIN + MAIN)
    argv = ["run", script, str(tmp_path / "work")]
    code = "import sys, valloss_compat\nfrom valloss_compat._cli import main\n"
    code += "sys.path.insert(0, '')\n"  # the script's folder replaces it
    code += f"main({argv!r})\n"
    code += "assert sys.modules['valloss_compat'] is valloss_compat\n"
    assert nursery.run(code).json()[0] == 1.5


def test_import_in_the_script_patches_at_once(nursery, tmp_path):
    """As with plain python, before the script uses mmengine."""
    text = "import valloss_compat\nassert valloss_compat.status().active\n"
    text += "import json\nprint(json.dumps(valloss_compat.status().mode))"
    done = as_command(nursery, ["run", train_script(tmp_path, text)], tmp_path)
    assert done.json() == "default"


def test_patches_that_the_script_reverted_stay_off(nursery, tmp_path):
    """Another import of mmengine.runner does not apply them again."""
    text = "import importlib, json, mmengine.runner, valloss_compat\n"
    text += "valloss_compat.revert()\nimportlib.reload(mmengine.runner)\n"
    text += "print(json.dumps(valloss_compat.status().mode))"
    done = as_command(nursery, ["run", train_script(tmp_path, text)], tmp_path)
    assert done.json() == "off"


LOOK_UP = """
import importlib.util
spec = importlib.util.find_spec('mmengine.runner')
assert spec.loader.is_package('mmengine.runner')
assert 'Runner' in spec.loader.get_source('mmengine.runner')
assert 'valloss_compat' not in sys.modules
"""
FAIL = """
sys.modules['mmengine.model'] = None
try:
    import mmengine.runner
    raise AssertionError
except ImportError:
    del sys.modules['mmengine.model']
assert 'valloss_compat' not in sys.modules
"""
STATUS = """
import json
import mmengine.runner
status = sys.modules['valloss_compat'].status()
print(json.dumps([status.mode, status.active, status.notes]))
"""


def test_only_a_completed_import_of_mmengine_is_patched(tmp_path):
    """Neither a look-up of the module nor an import that fails."""
    script = train_script(tmp_path, "import sys" + LOOK_UP + FAIL + STATUS)
    words = ["-W", "ignore", *RUN, script]
    assert python(words, tmp_path).json() == ["default", True, []]


#: ``python -m valloss_compat``, where only ``sys.path`` has the package and mmengine.
LAUNCH = f"""
import runpy, sys
sys.path[:0] = {[TESTS, *sys.path]!r}
sys.argv[0] = '-m'
runpy._run_module_as_main('valloss_compat')
"""


def test_spawned_children_are_patched(tmp_path):
    """Also in an isolated interpreter (-I), whose children are isolated too."""
    script = train_script(tmp_path, NOT_IMPORTED + TRAIN + SPAWN)
    words = ["-I", "-c", LAUNCH, "run", script, str(tmp_path / "work")]
    assert python(words, tmp_path).json() == 1.5


DATA_LOADER = """
import json, sys
import mmengine.runner
from torch.utils.data import DataLoader

class Numbers:
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return index, 'valloss_compat' in sys.modules

if __name__ == '__main__':
    items = []
    for method in sys.argv[1:]:
        loader = DataLoader(Numbers(), num_workers=1, multiprocessing_context=method)
        items += [[int(index), bool(imported)] for index, imported in loader]
    print(json.dumps(items))
"""


def test_data_loader_workers_are_patched(tmp_path):
    """Spawned, and of a fork server, which has imported mmengine unpatched."""
    script = train_script(tmp_path, DATA_LOADER)
    done = python(["-W", "ignore", *RUN, script, "spawn", "forkserver"], tmp_path)
    assert done.json() == [[0, True], [1, True]] * 2


HIDE = """
import os, sys
sys.path[:] = [p for p in sys.path if not os.path.isdir(p + '/valloss_compat')]
import mmengine.runner
assert 'valloss_compat' in sys.modules
"""


def test_package_is_found_where_sys_path_lacks_it(tmp_path):
    """As if it was in the current folder, which the folder of the script replaces."""
    for name in ("__init__.py", "runner.py"):
        write(tmp_path / "mmengine", "", name)
    done = python([*RUN, train_script(tmp_path, HIDE)], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "VallossCompatWarning" in done.stderr  # this mmengine is not OpenMMLab's


@needs_torchrun
def test_torchrun_reports_the_same_val_loss_on_both_ranks(tmp_path):
    """Arguments arrive, and mmengine is imported by the script alone."""
    script = train_script(tmp_path, NOT_IMPORTED + TRAIN + RANKS)
    work = str(tmp_path / "work")
    done = python(
        [*torchrun(), *RUN, script, work],
        tmp_path,
        env={"PYTHONPATH": PATH, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    results = [json.loads((tmp_path / f"work{rank}").read_text()) for rank in (0, 1)]
    assert results == [[6.5, [work]]] * 2
