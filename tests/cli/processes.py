"""Python processes for the tests of the command line."""

from __future__ import annotations

import os
import subprocess
import sys

from support.fresh import Result

#: What precedes a script or ``-m MODULE``.
RUN = ["-m", "valloss_compat", "run"]

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


def python(words, cwd, env=None, flags=(), stdin=None):
    """Run ``python FLAGS WORDS`` in a folder."""
    merged = {k: v for k, v in os.environ.items() if k != "VALLOSS_COMPAT"}
    merged.update(env or {})
    done = subprocess.run(
        [sys.executable, *flags, *words],
        cwd=str(cwd),
        env=merged,
        stdin=stdin,
        capture_output=True,
        text=True,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def write(folder, text, name="probe.py"):
    """Write a script into a folder."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def assert_same(words, cwd, env=None, flags=()):
    """Check that ``run`` changes neither output, exit code nor error of a script.

    Returns:
        list[Result]: Without and with ``run``; the tracebacks may differ.
    """
    results = [python([*before, *words], cwd, env, flags) for before in ([], RUN)]
    outcomes = [(r.returncode, r.stdout, r.stderr.splitlines()[-1:]) for r in results]
    assert outcomes[0] == outcomes[1], results
    return results


def as_command(nursery, argv, cwd, env=None, before=""):
    """Run ``python -m valloss_compat ARGV`` in a process that has mmengine imported."""
    code = AS_COMMAND.format(argv=list(argv), cwd=str(cwd))
    return nursery.run(before + code, env=env)
