"""``run SCRIPT``: whatever a script can see or start is as without us."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
import zipfile

import pytest

from cli.processes import RUN, assert_same, python, write
from valloss_compat._cli import post_import, run_script

# What a script sees hangs on the Python, not on mmengine.
pytestmark = pytest.mark.slow

PROBE = '''"""The script's own docstring."""
import json, sys, os, pickle

def outline(value):
    if hasattr(value, 'get_code'):
        return [type(value).__name__, getattr(value, '__dict__', None)]
    return repr(value).split(' at 0x')[0]

class Here:
    """Pickled by the name of __main__."""
    number: int = 0

print(json.dumps({
    'names': list(globals())[:12],
    'main': {k: outline(v) for k, v in globals().items() if k.startswith('__')},
    'is main': sys.modules['__main__'].__dict__ is globals(),
    'argv': sys.argv,
    'path': sys.path,
    'flags': list(sys.flags),
    'ours': [name for name in sys.modules if name.startswith('valloss')],
    'annotations': repr(Here.__annotations__),
    'pickled': type(pickle.loads(pickle.dumps(Here()))) is Here,
    'warnings': sys.warnoptions,
    'excepthook': repr(sys.excepthook),
    'variables': sorted(set(os.environ) - {'LC_CTYPE'}),
}))
'''


@pytest.mark.parametrize(
    "words",
    [
        ["probe.py", "config.py", "--opt", "-m", "--", "x y", ""],
        ["./probe.py"],
        ["../here/sub/linked.py", "-h"],
        ["sub/relative.py"],
        ["-m", "probe", "run", "-m", "--version"],
        ["-m", "sub.package", "a"],
        ["folder", "a"],
        ["archive.zip", "a"],
    ],
    ids=" ".join,
)
def test_a_script_sees_the_same(words, tmp_path):
    """argv, __main__, sys.path, flags, and no module of ours."""
    here = tmp_path / "here"
    for name in ("probe.py", "sub/package/__main__.py", "folder/__main__.py"):
        write(here, PROBE, name)
    write(here, "", "sub/package/__init__.py")
    os.symlink(str(here / "probe.py"), str(here / "sub" / "linked.py"))
    os.symlink("linked.py", str(here / "sub" / "relative.py"))
    with zipfile.ZipFile(str(here / "archive.zip"), "w") as archive:
        archive.writestr("__main__.py", PROBE)
    plain = assert_same(words, here)
    told = json.loads(plain.stdout)
    assert told["is main"]
    assert told["pickled"]
    assert not told["ours"]


def test_flags_of_the_interpreter_are_kept(tmp_path):
    """Where -I keeps the current folder off sys.path, the script's stays off too."""
    write(tmp_path, PROBE)
    flags = ["-W", "ignore::ImportWarning", "-O", "-B"]
    told = json.loads(assert_same(["probe.py"], tmp_path, flags=flags).stdout)
    assert "ignore::ImportWarning" in told["warnings"]
    isolated = python(["-I", "-c", "import valloss_compat._version"], tmp_path)
    if isolated.returncode == 0:  # the package is installed, as in tox's environments
        assert_same(["probe.py"], tmp_path, flags=["-I"])


def test_a_compiled_script(tmp_path):
    """A .pyc, as python runs it."""
    import py_compile

    source = write(tmp_path, PROBE)
    py_compile.compile(str(source), cfile=str(tmp_path / "compiled.pyc"))
    assert_same(["compiled.pyc", "a"], tmp_path)


HIDING = """
import os, sys
sys.path[:] = [p for p in sys.path if not os.path.isdir(p + '/valloss_compat')]
sys.modules['mmengine'] = None
import valloss_compat
"""


def test_the_package_is_found_whatever_the_script_does_to_its_path(tmp_path):
    """As where it is in the folder of the command line, which is not the script's."""
    write(tmp_path, HIDING)
    done = python([*RUN, "probe.py"], tmp_path)
    assert "UnusableMMEngineError: valloss_compat patches mmengine" in done.stderr


MULTIPROCESSING = """
import multiprocessing, pickle, sys

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


def test_child_processes_find_the_same(tmp_path):
    """fork, spawn and forkserver: classes of __main__, argv, path; nothing of ours."""
    write(tmp_path, MULTIPROCESSING)
    plain = assert_same(["probe.py", "fork", "spawn", "forkserver"], tmp_path)
    assert plain.returncode == 0, plain.stderr
    assert plain.stdout.count("[[1, True, ") == 3


@pytest.mark.parametrize("options", [["-h"], ["--help"]])
def test_its_help(options, tmp_path):
    """Before the script an option is ours."""
    done = python([*RUN, *options], tmp_path)
    assert done.returncode == 0
    assert "SCRIPT [ARGS ...]" in done.stdout


def test_nonsense_in_the_environment(tmp_path):
    """Said before the script runs; exit status 2."""
    write(tmp_path, "print('ran')")
    done = python([*RUN, "probe.py"], tmp_path, env={"VALLOSS_COMPAT": "nonsense"})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "python -m valloss_compat run: error: the environment"
    )
    assert sys.executable not in done.stderr


@pytest.mark.parametrize(
    ("flags", "first"),
    [
        ({"isolated": 1}, "first"),
        ({"isolated": 0, "safe_path": True}, "first"),  # as with -P
        ({"isolated": 0}, "folder"),  # before Python 3.11 there is no -P
    ],
)
def test_an_isolated_interpreter_has_no_folder_of_the_script(monkeypatch, flags, first):
    """As with ``python -I``: the path stays as it is."""
    monkeypatch.setattr(sys, "path", ["first", "second"])
    monkeypatch.setattr(sys, "flags", types.SimpleNamespace(**flags))
    run_script._set_first_path("folder")
    assert sys.path == [first, "second"]


def test_only_the_package_is_found_where_it_is(monkeypatch, tmp_path):
    """What else is in its folder, a script finds on its own path or not at all."""
    names = ["aaa", "valloss_compat", "zzz"]
    for name in names:
        write(tmp_path, "", f"{name}.py")
    monkeypatch.setattr(post_import, "_FOLDER", str(tmp_path))
    found = [name for name in names if post_import._Fallback().find_spec(name)]
    assert found == ["valloss_compat"]


def test_only_the_package_is_forgotten(monkeypatch):
    """The modules of others stay, whatever they are called."""
    names = [
        "aaa",
        "valloss_compat",
        "valloss_compat._cli.post_import",
        "valloss_x",
        "zzz",
    ]
    with monkeypatch.context() as patched:
        patched.setattr(sys, "modules", dict.fromkeys(names))
        post_import.forget()
        left = list(sys.modules)
    assert left == ["aaa", "valloss_x", "zzz"]


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="no pipe has a name here")
@pytest.mark.parametrize("name", ["/dev/stdin", "/dev/fd/{}"])
def test_a_script_from_a_pipe(tmp_path, name):
    """As of a shell's ``<(...)``: there is no second time to read it."""
    code = b"import sys\nprint(sys.argv, sys.path[0], __file__)\nsys.exit(3)"
    ends = []
    for before in ([], RUN):
        read, write = os.pipe()
        os.write(write, code)
        os.close(write)
        words = [sys.executable, *before, name.format(read), "an argument"]
        with os.fdopen(read, "rb") as pipe:
            ends.append(
                subprocess.run(
                    words,
                    stdin=pipe,
                    pass_fds=[read],
                    cwd=str(tmp_path),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )
            )
    theirs, ours = ends
    assert theirs.returncode == 3
    assert (ours.returncode, ours.stdout) == (3, theirs.stdout)
