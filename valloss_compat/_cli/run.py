"""``run``: an unmodified train script under the patch."""

from __future__ import annotations

import argparse
from typing import Any

from valloss_compat import _api, options
from valloss_compat._cli import post_import, run_script
from valloss_compat.errors import CommandError

_DESCRIPTION = """\
Run a script or module as python does, with a validation loss: mmengine is
patched when the script imports it. Arguments after SCRIPT are the script's own,
and so are its exit status and its traceback. With VALLOSS_COMPAT=off nothing is
patched."""

_EPILOG = """\
examples:
  python -m valloss_compat run tools/train.py configs/my_config.py
  python -m valloss_compat run -m mypackage.train --epochs 5
  torchrun --nproc_per_node 2 -m valloss_compat run tools/train.py ..."""


def register(subparsers: Any) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "run",
        help="run a train script with a validation loss",
        description=_DESCRIPTION,
        usage="python -m valloss_compat run [-h] [-m] SCRIPT [ARGS ...]",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-m",
        action="store_true",
        dest="is_module",
        help="SCRIPT is the name of a module, as in python -m",
    )
    parser.add_argument("script", metavar="SCRIPT", help="a file, or a module's name")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Run a script; what it raises is raised.

    Args:
        args (argparse.Namespace): ``script``, ``is_module``, and ``rest``: the
            script's arguments.

    Returns:
        int: 0, where the script came to its end.

    Raises:
        CommandError: If the script cannot be opened or is no file, or
            ``VALLOSS_COMPAT`` is not understood.
    """
    try:
        mode = options.choose().mode
    except ValueError as error:
        raise CommandError(str(error)) from None
    if args.script == "-" and not args.is_module:
        raise CommandError(
            "the script is '-', the standard input, but a file is expected: write the "
            "script into one"
        )
    if _api.status().mode == "off":  # nothing is applied yet
        post_import.forget() if mode == "off" else post_import.start()
    if args.is_module:
        run_script.run_module(args.script, args.rest)
    else:
        run_script.run_script(args.script, args.rest)
    return 0
