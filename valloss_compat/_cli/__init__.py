"""The command line ``python -m valloss_compat COMMAND``.

Each command has a module with a function ``register(subparsers)``. It adds the
parser of the command and sets ``func``, which takes the parsed arguments and
returns the exit code. mmengine and torch are slow to import, so the modules
import them only when a command runs.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from typing import List, Optional, Sequence, TextIO, Tuple

from valloss_compat._patches.mmengine_api import describe_error
from valloss_compat._version import __version__
from valloss_compat.errors import CommandError

#: Modules of this package, in the order of the help.
COMMANDS = ("doctor", "run", "plot")
#: Characters that a terminal acts on, but for the end of a line.
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run a command.

    Args:
        argv (Sequence[str], optional): Arguments without the program's name.
            Defaults to None, which means the arguments of this process.

    Returns:
        int: The exit code. 0 means success, 1 that the command found problems,
        2 that the command failed.
    """
    if argv is None:  # the console script; `python -m` begins with this folder
        sys.path[0] = os.getcwd()
    parser = make_parser()
    own, rest = _split_script_arguments(list(sys.argv[1:] if argv is None else argv))
    try:
        args = parser.parse_args(own)
    except SystemExit as end:
        if end.code and own[:1] == ["doctor"] and "--json" in own:
            doctor = importlib.import_module(f"{__name__}.doctor")
            doctor.print_failure(sys.stdout, "the arguments are invalid, see stderr")
        raise
    args.rest = rest
    try:
        code: int = args.func(args)
        if args.command != "run":
            _flush()  # raises if stdout cannot be written
    except CommandError as error:
        print_plain(f"{parser.prog} {args.command}: error: {error}", sys.stderr)
        return 2
    except Exception as error:
        if args.command == "run":  # an error of the script
            raise
        _discard_stdout()
        if not isinstance(error, BrokenPipeError):  # as with `| head -1`
            text = " ".join(describe_error(error).split())
            print_plain(f"{parser.prog} {args.command}: error: {text}", sys.stderr)
        return 2
    return code


def print_plain(text: str, stream: Optional[TextIO] = None) -> None:
    """Print text with control characters escaped: files of others may have some."""
    plain = _CONTROL.sub(lambda found: repr(found.group())[1:-1], text)
    print(plain, file=stream)


def _flush() -> None:
    if sys.stdout is not None:  # None if the shell closed it
        sys.stdout.flush()


def _discard_stdout() -> None:
    """Keep the interpreter from failing again when it flushes stdout at its end."""
    try:
        _flush()
    except OSError:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.close(devnull)


def make_parser() -> argparse.ArgumentParser:
    """Create the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="python -m valloss_compat",
        description="A validation loss for every release of mmengine.",
    )
    parser.add_argument(
        "--version", action="version", version=f"valloss_compat {__version__}"
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    subparsers.required = True
    for name in COMMANDS:
        importlib.import_module(f"{__name__}.{name}").register(subparsers)
    return parser


def _split_script_arguments(argv: List[str]) -> Tuple[List[str], List[str]]:
    """Split off the script of ``run`` and its arguments, which are not parsed here."""
    if argv[:1] == ["run"]:
        for index, word in enumerate(argv[1:], 2):
            if not word.startswith("-"):
                return argv[:index], argv[index:]
    return argv, []
