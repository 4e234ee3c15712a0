"""The command line: ``python -m valloss_compat COMMAND``.

One module a command. Each has ``register(subparsers)``, which adds its parser
and sets ``func``: a function of the parsed arguments that returns the exit
code. Modules import what is slow (mmengine, torch) when the command runs.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import List, Optional, Sequence, Tuple

from valloss_compat._version import __version__
from valloss_compat.cli.errors import CommandError

#: Modules of this package, in the order in which the help names them.
COMMANDS = ("doctor", "run", "plot")


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run a command.

    Args:
        argv (Sequence[str], optional): Arguments, without the program's name.
            Defaults to None: those of this process.

    Returns:
        int: The exit code: 0 fine, 1 the command found problems, 2 it could
        not do what it was asked.
    """
    parser = make_parser()
    words, rest = _split(list(sys.argv[1:] if argv is None else argv))
    args = parser.parse_args(words)
    args.rest = rest
    try:
        code: int = args.func(args)
    except CommandError as error:
        print(f"{parser.prog} {args.command}: error: {error}", file=sys.stderr)
        return 2
    return code


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
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


def _split(argv: List[str]) -> Tuple[List[str], List[str]]:
    """Words of ours, and what follows the script of ``run``: none of our business."""
    if argv[:1] == ["run"]:
        for index, word in enumerate(argv[1:], 2):
            if not word.startswith("-"):
                return argv[:index], argv[index:]
    return argv, []
