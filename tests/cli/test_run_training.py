"""``run SCRIPT`` with scripts that train: mmengine is patched when they import it."""

from __future__ import annotations

import json
import os
import sys

import pytest
from support.fresh import TESTS
from support.torchrun import needs_torchrun, torchrun

from cli.processes import as_command, python

pytestmark = pytest.mark.slow

#: For cold processes: what the tests find, and ``tiny``.
PATH = os.pathsep.join([TESTS, *sys.path])

# Nothing is imported until a process validates.
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
COLD = "import sys\nassert not [name for name in sys.modules if 'valloss' in name]\n"
MAIN = """
told = validate(sys.argv[1])
from mmengine.runner import loops
native = hasattr(loops, '_update_losses')
print(json.dumps([told, native, 'valloss_compat' in sys.modules]))
"""
SPAWN = """
import multiprocessing
if __name__ == '__main__':
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        print(json.dumps(pool.apply(validate, [sys.argv[1]])))
"""
RANKS = """
told = validate(sys.argv[1])
with open(sys.argv[1] + os.environ['RANK'], 'w') as file:
    json.dump([told, sys.argv[1:]], file)
import torch.distributed as dist
dist.barrier()
# Without an exit: gloo's threads may abort one (torch 2.15), or hang it (2.4).
os._exit(0)
"""


def write(folder, text):
    path = folder / "train.py"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("mode", ["default", "parity"])
def test_cli_runner_gives_a_script_its_val_loss(nursery, tmp_path, mode):
    """An unmodified script that knows nothing of us."""
    script = write(tmp_path, TRAIN + MAIN)
    argv = ["run", script, str(tmp_path / "work")]
    done = as_command(nursery, argv, tmp_path, {"VALLOSS_COMPAT": mode})
    assert done.json()[0] == 1.5
    assert done.json()[2]


def test_off_runs_it_unpatched(nursery, tmp_path):
    """VALLOSS_COMPAT=off: as without us, and nothing of ours is imported."""
    script = write(tmp_path, TRAIN + MAIN)
    env = {"VALLOSS_COMPAT": "off"}
    argv = ["run", script, str(tmp_path / "work")]
    val_loss, native, ours = as_command(nursery, argv, tmp_path, env).json()
    assert val_loss == (1.5 if native else None)
    assert not ours


def test_where_the_patches_are_on_already(nursery, tmp_path):
    """Called from a process that has imported the package: they stay."""
    script = write(tmp_path, TRAIN + MAIN)
    argv = ["run", script, str(tmp_path / "work")]
    code = "import sys, valloss_compat\nfrom valloss_compat._cli import main\n"
    code += "sys.path.insert(0, '')\n"  # what the script's folder takes the place of
    code += f"main({argv!r})\n"
    code += "assert sys.modules['valloss_compat'] is valloss_compat\n"
    assert nursery.run(code).json()[0] == 1.5


def test_a_script_that_imports_the_package_itself(nursery, tmp_path):
    """Its import applies at once, as without us, and before it uses mmengine."""
    text = "import valloss_compat\nassert valloss_compat.status().active\n"
    text += "import json\nprint(json.dumps(valloss_compat.status().mode))"
    done = as_command(nursery, ["run", write(tmp_path, text)], tmp_path)
    assert done.json() == "default"


def test_in_spawned_children(tmp_path):
    """A child that spawn makes is patched as well, when it imports mmengine."""
    script = write(tmp_path, COLD + TRAIN + SPAWN)
    done = python(
        ["-m", "valloss_compat", "run", script, str(tmp_path / "work")],
        tmp_path,
        env={"PYTHONPATH": PATH},
    )
    assert done.json() == 1.5


LOOKED_UP = """
import copy, importlib.util
spec = importlib.util.find_spec('mmengine.runner')
assert spec.loader.is_package('mmengine.runner')
assert 'Runner' in spec.loader.get_source('mmengine.runner')
assert not hasattr(copy.copy(spec.loader), '_nothing')
import mmengine.runner
"""
ANEW = """
import sys
import mmengine.runner
before = mmengine.runner.ValLoop
for name in [n for n in sys.modules if n.split('.')[0] == 'mmengine']:
    del sys.modules[name]
"""
FAILED = """
class Old:
    def find_module(self, name, path=None):
        return None
sys.meta_path.insert(1, Old())
sys.modules['mmengine.model'] = None
try:
    import mmengine.runner
except ImportError:
    del sys.modules['mmengine.model']
"""
IMPORTED = """
import mmengine.runner
assert mmengine.runner.ValLoop is not before
"""
PATCHED = """
import json
assert 'valloss_compat' in sys.modules
import valloss_compat
status = valloss_compat.status()
print(json.dumps([status.mode, status.notes]))
"""


def test_a_look_up_is_no_import(tmp_path):
    """A script that only asks whether mmengine is there is patched all the same."""
    script = write(tmp_path, COLD + LOOKED_UP + PATCHED)
    done = python(
        ["-W", "ignore", "-m", "valloss_compat", "run", script],
        tmp_path,
        env={"OMP_NUM_THREADS": "1"},
    )
    assert done.json() == ["default", []]


@pytest.mark.parametrize("mode", ["default", "parity"])
@pytest.mark.parametrize("between", ["", FAILED], ids=["anew", "after a failure"])
def test_mmengine_loaded_anew(nursery, tmp_path, between, mode):
    """Each import is patched, also one that failed and is tried again."""
    script = write(tmp_path, ANEW + between + IMPORTED + PATCHED)
    before = "import warnings\nwarnings.simplefilter('ignore')\n"
    env = {"VALLOSS_COMPAT": mode}
    done = as_command(nursery, ["run", script], tmp_path, env, before)
    assert done.json() == [mode, []]


def test_an_import_hook_that_is_there_before(nursery, tmp_path):
    """Does not find mmengine past us: here one that finds all that is on sys.path."""
    script = write(tmp_path, ANEW + IMPORTED + PATCHED)
    before = "import sys, warnings\nwarnings.simplefilter('ignore')\n"
    before += "from importlib.machinery import PathFinder\n"
    before += "sys.meta_path.insert(0, PathFinder)\n"
    done = as_command(nursery, ["run", script], tmp_path, before=before)
    assert done.json() == ["default", []]


AGAIN = """
import importlib, multiprocessing.spawn as spawn, sys
import mmengine.runner
import valloss_compat
valloss_compat.revert()
importlib.reload(mmengine.runner)
assert valloss_compat.status().mode == 'off'
assert importlib.util.find_spec('mmengine.runner.nothing') is None
known = spawn.get_preparation_data
from valloss_compat._cli import post_import
post_import._tell_children()
assert spawn.get_preparation_data is known
finder = post_import._After({'nothing_of_this_name': print, 'folder': print})
sys.meta_path.append(finder)
assert importlib.util.find_spec('nothing_of_this_name') is None

class Folders:
    def find_spec(self, name, path=None, target=None):
        known = name == 'folder'
        return importlib.machinery.ModuleSpec(name, None) if known else None

sys.meta_path.append(Folders())
assert importlib.util.find_spec('folder').loader is None

class Behind:
    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name == 'behind' else None
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        pass

called = []
sys.meta_path += [post_import._After({'behind': lambda: called.append(1)}), Behind()]
import behind
assert called == [1]
"""


def test_what_is_done_stays_as_it_is(nursery, tmp_path):
    """What a script reverted stays off; children are told once."""
    done = as_command(nursery, ["run", write(tmp_path, AGAIN)], tmp_path)
    assert done.returncode == 0, done.stderr


@needs_torchrun
def test_under_torchrun(tmp_path):
    """Two processes: one val_loss, the same on both."""
    script = write(tmp_path, COLD + TRAIN + RANKS)
    work = str(tmp_path / "work")
    done = python(
        [*torchrun(), "-m", "valloss_compat", "run", script, work],
        tmp_path,
        env={"PYTHONPATH": PATH, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    told = [json.loads((tmp_path / f"work{rank}").read_text()) for rank in (0, 1)]
    assert told == [[6.5, [work]]] * 2
