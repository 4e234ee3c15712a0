"""``run SCRIPT``: a script behaves as it does with plain ``python``."""

from __future__ import annotations

import json
import os
import sys

import pytest

from cli.processes import RUN, assert_same, python, write

# The results depend on Python, not on mmengine.
pytestmark = pytest.mark.slow

KILL = "import os, signal\nos.kill(os.getpid(), signal.{})\nwhile 1: pass"
#: A shell script ignores SIGINT in its background jobs, and they inherit that.
HANDLE_SIGINT = """import signal
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
"""
#: How a script can end.
ENDS = {
    "sys.exit with an int": "import sys\nsys.exit(7)",
    "sys.exit with a string": "import sys\nsys.exit('some words')",
    "sys.exit with None": "import sys\nsys.exit()",
    "sys.exit with an object": "import sys\nsys.exit([1])",
    "last line": "print('done')",
    "closed stdout": "import sys\nprint(1)\nsys.stdout.close()",
    "os._exit": "import os\nos._exit(9)",
    "syntax error": "print(1)\nx = = 1",
    "exception": "raise ValueError('x')",
    "missing module": "import nothing_of_this_name",
    "Ctrl-C": HANDLE_SIGINT + KILL.format("SIGINT"),
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "SIGTERM": KILL.format("SIGTERM"),
    "exit handler": "import atexit\natexit.register(print, 'bye')\n1 / 0",
    "thread": """
import threading
threading.Thread(target=lambda: print('late')).start()
1 / 0""",
    "excepthook": """
import sys
sys.excepthook = lambda kind, error, trace: print(kind)
1 / 0""",
}


@pytest.mark.parametrize("end", sorted(ENDS))
def test_script_ends_as_with_plain_python(end, tmp_path):
    """Exit code, output and error are the same."""
    write(tmp_path, ENDS[end])
    assert_same(["probe.py"], tmp_path)


@pytest.mark.parametrize("end", ["sys.exit with an int", "exit handler", "Ctrl-C"])
def test_module_ends_as_with_plain_python(end, tmp_path):
    """Exit code, output and error are the same."""
    write(tmp_path, ENDS[end])
    assert_same(["-m", "probe"], tmp_path)


def test_traceback_ends_with_the_lines_of_the_script(tmp_path):
    """Frames of the command line may only come before them."""
    write(tmp_path, "def fail():\n    raise ValueError('x')\nfail()")
    plain, run = assert_same(["probe.py"], tmp_path)
    header, *lines = plain.stderr.splitlines()
    assert run.stderr.splitlines()[0] == header
    if sys.version_info >= (3, 9):  # before, the path of a script was left relative
        assert run.stderr.splitlines()[-len(lines) :] == lines
    assert run.stderr.count("probe.py") == plain.stderr.count("probe.py") == 2


#: Contents of a broken mmengine: file -> text.
BROKEN = {
    "runner missing": {"__init__.py": ""},
    "error in runner": {"__init__.py": "", "runner.py": "raise RuntimeError(1)"},
    "runner is an empty folder": {"__init__.py": "", "runner/README": ""},
}


@pytest.mark.parametrize("files", list(BROKEN.values()), ids=list(BROKEN))
def test_broken_mmengine_fails_as_with_plain_python(files, tmp_path):
    """The import hook changes no error."""
    for name, text in files.items():
        write(tmp_path / "mmengine", text, name)
    write(tmp_path, "import mmengine.runner\nprint('done')")
    assert_same(["probe.py"], tmp_path)


@pytest.mark.parametrize("name", ["gone", "folder", "folder.gone"])
def test_missing_module_ends_with_exit_code_1(name, tmp_path):
    """Also a package without a ``__main__``."""
    write(tmp_path, "", "folder/__init__.py")
    run = python([*RUN, "-m", name], tmp_path)
    assert run.returncode == 1
    assert run.stderr == f"{sys.executable}: No module named {name}\n"


def test_missing_script_ends_with_exit_code_2(tmp_path):
    """One line names the file, as python does."""
    run = python([*RUN, "none.py"], tmp_path)
    path = os.path.realpath(str(tmp_path / "none.py"))
    assert run.returncode == 2
    assert run.stderr == (
        f"python -m valloss_compat run: error: can't open file {path!r}: "
        "[Errno 2] No such file or directory\n"
    )


def test_script_on_standard_input_is_rejected(tmp_path):
    """One line says so."""
    run = python([*RUN, "-"], tmp_path)
    assert run.returncode == 2
    assert run.stderr == (
        "python -m valloss_compat run: error: the script is '-', the standard input, "
        "but a file is expected. Fix: write the script into one\n"
    )


def test_main_has_a_loader(tmp_path):
    """``warnings.warn_explicit`` reads it from Python 3.12 on."""
    write(
        tmp_path,
        "import warnings\n"
        "warnings.simplefilter('ignore')\n"
        "warnings.warn_explicit('x', UserWarning, 'f', 1, module_globals=globals())\n"
        "print(__loader__.get_source('__main__') is not None)",
    )
    assert python([*RUN, "probe.py"], tmp_path).stdout == "True\n"


def test_invalid_environment_variable_is_an_error(tmp_path):
    """It is reported before the script runs; exit code 2."""
    write(tmp_path, "print('ran')")
    run = python([*RUN, "probe.py"], tmp_path, env={"VALLOSS_COMPAT": "nonsense"})
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("python -m valloss_compat run: error: the environment")
    assert sys.executable not in run.stderr


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_before_the_script_is_that_of_run(option, tmp_path):
    """It documents what child processes inherit."""
    run = python([*RUN, option], tmp_path)
    assert run.returncode == 0
    assert "SCRIPT [ARGS ...]" in run.stdout
    assert "multiprocessing, but not in other commands" in run.stdout


PROBE = '''"""The script's own docstring."""
import atexit, json, os, pickle, sys

class Item:
    """Pickled by its name in __main__."""
    number: int = 0

def can_pickle():
    return type(pickle.loads(pickle.dumps(Item()))) is Item

if __name__ == '__main__':
    print(json.dumps({
        'main': sys.modules['__main__'].__dict__ is globals(),
        'doc': __doc__,
        'file': os.path.abspath(__file__),
        'package': __package__,
        'annotations': repr(Item.__annotations__),
        'argv': sys.argv,
        'path': sys.path,
        'flags': list(sys.flags),
        'warnings': sys.warnoptions,
        'variables': sorted(set(os.environ) - {'LC_CTYPE'}),
        'loaded': [n for n in sys.modules if n.startswith(('valloss', 'mmengine'))],
        'can pickle': can_pickle(),
    }))
    atexit.register(lambda: print(can_pickle()))
'''


@pytest.mark.parametrize(
    "words",
    [
        ["probe.py", "config.py", "--opt", "-m", "--", "x y", ""],
        ["./probe.py"],
        ["../here/sub/linked.py", "-h"],
        ["-m", "probe", "run", "-m", "--version"],
        ["-m", "sub.package", "a"],
    ],
    ids=" ".join,
)
def test_script_sees_what_it_sees_with_plain_python(words, tmp_path):
    """Arguments, ``__main__``, ``sys.path``, flags; its classes can be pickled.

    The script never imports mmengine: neither it nor this package is imported.
    """
    here = tmp_path / "here"
    for name in ("probe.py", "sub/package/__main__.py"):
        write(here, PROBE, name)
    write(here, "", "sub/package/__init__.py")
    os.symlink(str(here / "probe.py"), str(here / "sub" / "linked.py"))
    plain, run = assert_same(words, here)
    assert (run.returncode, run.stderr) == (0, "")
    seen, pickled_at_exit = run.stdout.splitlines()
    assert json.loads(seen)["main"]
    assert json.loads(seen)["can pickle"]
    assert not json.loads(seen)["loaded"]
    assert pickled_at_exit == "True"
    assert plain.stdout == run.stdout


def test_interpreter_flags_are_kept(tmp_path):
    """The script runs in the interpreter that was started."""
    write(tmp_path, PROBE)
    flags = ["-W", "ignore::ImportWarning", "-O", "-B"]
    _, run = assert_same(["probe.py"], tmp_path, flags=flags)
    seen = json.loads(run.stdout.splitlines()[0])
    assert "ignore::ImportWarning" in seen["warnings"]


#: ``python -m valloss_compat``, where only ``sys.path`` has the package.
LAUNCH = f"""
import runpy, sys
sys.path += {sys.path!r}
sys.argv[0] = '-m'
runpy._run_module_as_main('valloss_compat')
"""


@pytest.mark.parametrize("flag", ["-I", "-E", "-S", "-P"])
def test_isolating_flags_of_the_interpreter_work(flag, tmp_path):
    """Flags that keep the folder of a script off ``sys.path`` also do so here."""
    if flag == "-P" and sys.version_info < (3, 11):
        pytest.skip("Python 3.11 introduced -P")
    folder = tmp_path / "folder"
    write(folder, PROBE)
    words = [flag, "-c", LAUNCH, "run", "folder/probe.py"]
    run = python(words, tmp_path)
    assert run.returncode == 0, run.stderr
    has_folder = (
        os.path.realpath(str(folder)) in json.loads(run.stdout.split("\n")[0])["path"]
    )
    assert has_folder == (flag in ("-E", "-S"))


def test_imports_next_to_the_script_work(tmp_path):
    """Those of a script's folder, and relative ones of a module's package."""
    write(tmp_path, "word = 'found'", "tools/helper.py")
    write(tmp_path, "from helper import word\nprint(word)", "tools/train.py")
    write(tmp_path, "from .helper import word\nprint(word)", "tools/relative.py")
    for words in (["tools/train.py"], ["-m", "tools.relative"]):
        _, run = assert_same(words, tmp_path)
        assert run.stdout == "found\n"


def test_future_imports_of_the_package_do_not_apply_to_the_script(tmp_path):
    """Annotations of a script are evaluated, unless it chooses otherwise."""
    write(tmp_path, "def f(x: 1 + 1): pass\nprint(f.__annotations__)")
    assert_same(["probe.py"], tmp_path)


MULTIPROCESSING = """
import multiprocessing, sys

class Item:
    def __init__(self, number):
        self.number = number

def work(item):
    main = sys.modules['__main__']
    return [item.number, type(item) is Item, __name__, sys.argv[1:], sys.path[0],
            sorted(n for n in vars(main) if n[0] != '_'),
            [n for n in sys.modules if n.startswith('valloss')]]

if __name__ == '__main__':
    for method in sys.argv[1:]:
        with multiprocessing.get_context(method).Pool(1) as pool:
            print(method, pool.map(work, [Item(1)]))
"""


def test_child_processes_see_what_they_see_with_plain_python(tmp_path):
    """fork, spawn and forkserver: classes of ``__main__``, arguments, path."""
    write(tmp_path, MULTIPROCESSING)
    _, run = assert_same(["probe.py", "fork", "spawn", "forkserver"], tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("[[1, True, ") == 3


def test_other_commands_of_the_script_are_not_patched(tmp_path):
    """Where they import mmengine, this package is not imported."""
    for name in ("__init__.py", "runner.py"):
        write(tmp_path / "mmengine", "", name)
    code = "import sys, mmengine.runner; print('valloss_compat' in sys.modules)"
    command = [sys.executable, "-c", code]
    write(tmp_path, f"import subprocess\nsubprocess.check_call({command!r})")
    _, run = assert_same(["probe.py"], tmp_path)
    assert run.stdout == "False\n"


def test_cprofile_measures_the_script(tmp_path):
    """``python -m cProfile -m valloss_compat run SCRIPT``."""
    write(tmp_path, "import sys\ndef measured(): print(sys.argv)\nmeasured()")
    run = python(["-m", "cProfile", *["-m", *RUN[1:]], "probe.py", "a"], tmp_path)
    assert run.returncode == 0, run.stderr
    assert "['probe.py', 'a']" in run.stdout
    assert "probe.py:2(measured)" in run.stdout


def test_pdb_debugs_the_script(tmp_path):
    """``python -m pdb -m valloss_compat run SCRIPT``: breakpoints and variables."""
    path = write(tmp_path, "import sys\nword = sys.argv[1]\nprint(word + '!')")
    commands = tmp_path / "commands"
    commands.write_text(f"b {path}:3\nc\np 'stopped at ' + word\nc\nq\n")
    with open(str(commands)) as stdin:
        run = python(["-m", "pdb", *RUN, "probe.py", "here"], tmp_path, stdin=stdin)
    assert run.returncode == 0, run.stderr
    assert "'stopped at here'" in run.stdout
    assert "here!\n" in run.stdout
