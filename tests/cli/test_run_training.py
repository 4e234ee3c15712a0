"""``run SCRIPT`` with scripts that train: mmengine is patched when they import it."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import sys

from fresh import TESTS

from cli.processes import as_command, python

#: For cold processes: what the tests find, and ``tiny``.
PATH = os.pathsep.join([TESTS, *sys.path])

# Nothing is imported until a process validates.
TRAIN = """
import json, os, sys

def validate(folder):
    import torch
    import torch.distributed as dist
    from tiny import element, make_runner, sample
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
"""


def write(folder, text):
    path = folder / "train.py"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_script_gets_its_val_loss(nursery, tmp_path):
    """An unmodified script that knows nothing of us."""
    script = write(tmp_path, TRAIN + MAIN)
    done = as_command(nursery, ["run", script, str(tmp_path / "work")], tmp_path)
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
    code = "import sys, valloss_compat\nfrom valloss_compat.cli import main\n"
    code += "sys.path.insert(0, '')\n"  # what the script's folder takes the place of
    done = nursery.run(f"{code}main({argv!r})")
    assert done.json()[0] == 1.5


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


def test_under_torchrun(tmp_path):
    """Two processes: one val_loss, the same on both."""
    script = write(tmp_path, COLD + TRAIN + RANKS)
    launcher = ["-m", "torch.distributed.run"]
    if importlib.util.find_spec("torch.distributed.run") is None:  # torch 1.8
        launcher = ["-m", "torch.distributed.launch", "--use_env"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher += ["--nproc_per_node", "2", "--master_port", str(port)]
    work = str(tmp_path / "work")
    done = python(
        [*launcher, "-m", "valloss_compat", "run", script, work],
        tmp_path,
        env={"PYTHONPATH": PATH, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    told = [json.loads((tmp_path / f"work{rank}").read_text()) for rank in (0, 1)]
    assert told == [[6.5, [work]]] * 2
