"""Run a script or module as ``__main__``, as the interpreter itself does.

What a script can see of how it was started is the same: ``sys.argv``, the
attributes of ``__main__``, ``sys.path``, its exit status and its traceback.
"""

from __future__ import annotations

import builtins
import io
import os
import pkgutil
import runpy
import sys
import types
from importlib.machinery import SourceFileLoader, SourcelessFileLoader
from typing import Any, List, Optional, Sequence

from valloss_compat.errors import CommandError

_OURS = (__file__, os.path.join(os.path.dirname(__file__), "post_import.py"))


def run_module(name: str, args: Sequence[str]) -> None:
    """Run a module as ``python -m NAME ARGS...`` does; never returns normally.

    Args:
        name (str): Name of a module or package.
        args (Sequence[str]): Its arguments.
    """
    sys.argv[:] = ["-m", *args]
    _become_main()
    _call(runpy._run_module_as_main, name)  # type: ignore[attr-defined]


def run_script(path: str, args: Sequence[str]) -> None:
    """Run a script as ``python PATH ARGS...`` does.

    Args:
        path (str): A file, or a folder or zip archive with a ``__main__.py``.
        args (Sequence[str]): Its arguments.

    Raises:
        CommandError: If the file cannot be opened.
    """
    if pkgutil.get_importer(path) is not None:
        sys.argv[:] = [path, *args]
        _set_first_path(_absolute(path))
        _become_main()
        _call(runpy._run_module_as_main, "__main__", False)  # type: ignore[attr-defined]
        return
    shown = _absolute(path)
    try:
        with open(path, "rb") as file:
            source = file.read()  # once: a pipe, as of <(...), has no second time
    except OSError as error:
        raise CommandError(
            f"can't open file {shown!r}: [Errno {error.errno}] {error.strerror}"
        ) from None
    code = pkgutil.read_code(io.BytesIO(source))  # of a compiled one
    sys.argv[:] = [path, *args]
    _set_first_path(os.path.dirname(_target(path)))
    main = _become_main()
    loader = SourceFileLoader if code is None else SourcelessFileLoader
    main.__dict__.update(
        __file__=shown, __cached__=None, __loader__=loader("__main__", shown)
    )
    _call(_execute, code or source, shown, main)


def _execute(code: Any, shown: str, main: types.ModuleType) -> None:
    if isinstance(code, bytes):
        code = compile(code, shown, "exec", dont_inherit=True)
    exec(code, main.__dict__)


def _become_main() -> types.ModuleType:
    """A fresh ``__main__``, with what the interpreter puts into one."""
    main = types.ModuleType("__main__")
    vars(main).update({"__annotations__": {}} if sys.version_info < (3, 14) else {})
    vars(main)["__builtins__"] = builtins
    sys.modules["__main__"] = main
    return main


def _set_first_path(folder: str) -> None:
    """Where ``python -m`` put the current folder, a script has its own."""
    isolated = sys.flags.isolated or getattr(sys.flags, "safe_path", False)
    if not isolated:
        sys.path[0] = folder


def _target(path: str) -> str:
    """Where a script really is; of a pipe, which is nowhere, where its link says."""
    real = os.path.realpath(path)
    if os.path.exists(real) or not os.path.islink(path):
        return real
    return os.path.join(os.path.dirname(path), os.readlink(path))


def _absolute(path: str) -> str:
    """A path as the interpreter has it: since Python 3.9 absolute, not normalised."""
    return path if sys.version_info < (3, 9) else os.path.join(os.getcwd(), path)


def _call(function: Any, *args: Any) -> None:
    try:
        function(*args)
    except SystemExit:
        raise
    except BaseException:
        # The interpreter prints it, and ends as it does without us.
        hook = sys.excepthook

        def excepthook(kind: Any, error: Any, trace: Any) -> None:
            trace = _theirs(trace)
            hook(kind, error.with_traceback(trace), trace)

        sys.excepthook = excepthook
        raise


def _theirs(trace: Optional[types.TracebackType]) -> Optional[types.TracebackType]:
    """A traceback without what is there because of us."""
    kept: List[types.TracebackType] = []
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file == _OURS[0]:
            kept.clear()
        elif file == _OURS[1]:
            while kept and "importlib" in kept[-1].tb_frame.f_code.co_filename:
                kept.pop()
        else:
            kept.append(trace)
        trace = trace.tb_next
    for one, following in zip(kept, [*kept[1:], None]):
        one.tb_next = following
    return kept[0] if kept else None
