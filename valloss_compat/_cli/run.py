"""Run an unmodified train script or module with a validation loss.

mmengine is patched when the script imports it, also in processes that it starts by
multiprocessing, but not in other commands that it starts. VALLOSS_COMPAT=off patches
nothing. Arguments after SCRIPT are the script's own, as is its exit status.

Examples:
  python -m valloss_compat run tools/train.py configs/my_config.py
  python -m valloss_compat run -m mypackage.train --epochs 5
  torchrun --nproc_per_node 2 -m valloss_compat run tools/train.py ...
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from importlib.machinery import PathFinder, SourceFileLoader
from multiprocessing import spawn
from pathlib import Path
from types import ModuleType
from typing import Any, Tuple

_FILE = os.path.abspath(__file__)
_M_HELP = "SCRIPT is the name of a module, as in python -m"
_NO_FILE = """the script is '-', the standard input, but a file is expected. \
Fix: write the script into one"""


def register(subparsers: Any) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "run",
        help="run a train script with a validation loss",
        description=__doc__,
        usage="python -m valloss_compat run [-h] [-m] SCRIPT [ARGS ...]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-m", action="store_true", dest="is_module", help=_M_HELP)
    parser.add_argument("script", metavar="SCRIPT", help="a file, or a module's name")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Run a script; its exceptions pass through."""
    from valloss_compat import _api, errors, options

    script, path = args.script, os.path.abspath(args.script)
    try:
        mode = options.choose().mode
        if script == "-" and not args.is_module:
            raise ValueError(_NO_FILE)
        source = b"" if args.is_module else Path(script).read_bytes()
    except OSError as error:
        message = f"can't open file {path!r}: [Errno {error.errno}] {error.strerror}"
        raise errors.CommandError(message) from None
    except ValueError as error:
        raise errors.CommandError(str(error)) from None
    if _api.status().mode == "off":  # an import by the script has to apply the patches
        for name in [n for n in sys.modules if n.split(".")[0] == "valloss_compat"]:
            del sys.modules[name]
    if mode != "off":
        install()
    sys.argv[:] = [script, *args.rest]
    main = ModuleType("__main__")
    if args.is_module:
        spec: Any = importlib.util.find_spec(script)
        if spec and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{script}.__main__")
        if not spec:
            sys.exit(f"{sys.executable}: No module named {script}")
        main.__spec__, main.__package__ = spec, spec.parent
        main.__file__ = sys.argv[0] = spec.origin
        code = spec.loader.get_code(spec.name)
    else:
        if not getattr(sys.flags, "safe_path", sys.flags.isolated):
            sys.path[0] = os.path.dirname(os.path.realpath(script))
        main.__file__, main.__loader__ = path, SourceFileLoader("__main__", path)
        code = compile(source, path, "exec", dont_inherit=True)
    # runpy would restore the former __main__ while threads and exit handlers of the
    # script still run, which then could not pickle its classes.
    sys.modules["__main__"] = main
    exec(code, vars(main))
    return 0


def install() -> None:
    """Patch mmengine once it is imported, also in processes that are spawned."""
    original, child = spawn.get_preparation_data, {"valloss_compat": _InstallInChild()}
    spawn.get_preparation_data = lambda name: {**child, **original(name)}
    sys.meta_path.insert(0, _Finder())
    if "mmengine.runner" in sys.modules:  # as in a child of the fork server
        _patch()


class _InstallInChild:
    """Unpickled in a child, it runs this file: the package may not be found yet."""

    def __reduce__(self) -> Tuple[Any, ...]:
        return exec, (f"import runpy; runpy.run_path({_FILE!r})['install']()", {})


class _Finder:
    """Finds ``mmengine.runner`` as Python does; its loader also patches it."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != "mmengine.runner":
            return None
        spec: Any = PathFinder.find_spec(name, path)
        if spec and spec.loader:
            original = spec.loader.exec_module
            spec.loader.exec_module = lambda module: _patch(original(module))
        return spec


def _patch(_: Any = None) -> None:
    folder = os.path.abspath(os.path.join(_FILE, "../../.."))
    sys.path += [] if folder in sys.path else [folder]  # it was the current folder
    importlib.import_module("valloss_compat")  # applies the patches
