"""Python processes that run a script with and without this package's ``run``."""

from __future__ import annotations

import os
import subprocess
import sys

from support.fresh import Result

#: The words that stand before a script or ``-m MODULE``.
PLAIN, RUN = [], ["-m", "valloss_compat", "run"]

#: In a nursery: ``python -m valloss_compat ARGS``, with mmengine imported already.
#: What starts compilers and git to ask for versions is left out.
AS_COMMAND = """
import runpy, sys
from mmengine.hooks import runtime_info_hook
from mmengine.runner import runner as runner_module
runner_module.collect_env = dict
runtime_info_hook.get_git_hash = runner_module.get_git_hash = str
sys.argv[:] = ['-m', *{argv!r}]
sys.path.insert(0, {cwd!r})
runpy._run_module_as_main('valloss_compat')
"""


def python(words, cwd, env=None, flags=()):
    """Run ``python WORDS`` in a folder."""
    merged = {k: v for k, v in os.environ.items() if k != "VALLOSS_COMPAT"}
    merged.update(env or {})
    done = subprocess.run(
        [sys.executable, *flags, *words],
        cwd=str(cwd),
        env=merged,
        capture_output=True,
        text=True,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def both(words, cwd, env=None, flags=()):
    """The same script without us and with us."""
    return [python([*before, *words], cwd, env, flags) for before in (PLAIN, RUN)]


def write(folder, text, name="probe.py"):
    """Write a script into a folder."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def assert_same(words, cwd, env=None, flags=()):
    """With us it prints the same and ends the same; how it is without us."""
    plain, ours = both(words, cwd, env, flags)
    assert ours == plain, (ours, plain)
    return plain


def as_command(nursery, argv, cwd, env=None, before=""):
    """Run a command of ours in a process that has mmengine imported."""
    code = AS_COMMAND.format(argv=list(argv), cwd=str(cwd))
    return nursery.run(before + code, env=env)
