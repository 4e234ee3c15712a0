"""``run SCRIPT``: however a script ends, what it prints and says is as without us."""

from __future__ import annotations

import pytest

from cli.processes import assert_same, both, write

# What a script sees hangs on the Python, not on mmengine.
pytestmark = pytest.mark.slow

KILL = "import os, signal\nos.kill(os.getpid(), signal.{})\nwhile 1: pass"
#: Where the tests run in the background of a shell script, SIGINT is ignored.
HEED = """import signal
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
"""
#: How a script can end.
ENDS = {
    "with an int": "import sys\nsys.exit(7)",
    "with words": "import sys\nsys.exit('some words')",
    "with None": "import sys\nsys.exit()",
    "with an object": "import sys\nsys.exit([1])",
    "at its last line": "print('done')",
    "with its stdout closed": "import sys\nprint(1)\nsys.stdout.close()",
    "by os._exit": "import os\nos._exit(9)",
    "by a syntax error": "print(1)\nx = = 1",
    "by an exception with a cause": """
def inner():
    raise ValueError('x')
def outer():
    try:
        inner()
    except ValueError as error:
        raise RuntimeError('y') from error
outer()""",
    "by a missing module": "import nothing_of_this_name",
    "by Ctrl-C": HEED + KILL.format("SIGINT"),
    "by KeyboardInterrupt": "raise KeyboardInterrupt",
    "by SIGTERM": KILL.format("SIGTERM"),
    "after atexit": "import atexit\natexit.register(print, 'bye')\n1 / 0",
    "after its threads": """
import threading
threading.Thread(target=lambda: print('late')).start()
1 / 0""",
    "by its own excepthook": """
import sys
def mine(kind, error, trace):
    frames = 0
    while trace:
        trace, frames = trace.tb_next, frames + 1
    print(kind, frames)
sys.excepthook = mine
1 / 0""",
    "by a missing part of mmengine": """
import os, shutil
os.mkdir('mmengine')
open(os.path.join('mmengine', '__init__.py'), 'w').close()
try:
    import mmengine.runner
finally:
    shutil.rmtree('mmengine')""",
    "by an error in mmengine": """
import os
os.mkdir('mmengine')
for name, text in (('__init__', ''), ('runner', 'raise RuntimeError(1)')):
    open(os.path.join('mmengine', name + '.py'), 'w').write(text)
try:
    import mmengine.runner
finally:
    [os.remove(os.path.join('mmengine', n + '.py')) for n in ('__init__', 'runner')]
    import shutil
    shutil.rmtree('mmengine')""",
}


@pytest.mark.parametrize("end", sorted(ENDS))
def test_a_script_ends_the_same(end, tmp_path):
    """Exit status, output and traceback, without a frame of ours."""
    write(tmp_path, ENDS[end])
    assert "valloss" not in assert_same(["probe.py"], tmp_path).stderr


@pytest.mark.parametrize("end", ["with an int", "after atexit", "by Ctrl-C"])
def test_a_module_ends_the_same(end, tmp_path):
    """With the interpreter's own frames above it, as python -m shows them."""
    write(tmp_path, ENDS[end])
    assert "valloss" not in assert_same(["-m", "probe"], tmp_path).stderr


def test_a_module_that_is_not_there(tmp_path):
    """The interpreter's own message and exit status."""
    plain = assert_same(["-m", "nothing_of_this_name"], tmp_path)
    assert "No module named nothing_of_this_name" in plain.stderr


def test_a_script_that_is_not_there(tmp_path):
    """Said as python says it; exit status 2."""
    plain, ours = both(["none.py"], tmp_path)
    assert ours.returncode == plain.returncode == 2
    said = plain.stderr[plain.stderr.index("can't open file") :]
    assert ours.stderr == f"python -m valloss_compat run: error: {said}"
