"""``doctor``: does the validation loss work here, and for this config?"""

from __future__ import annotations

import argparse
import json
import shutil
import textwrap
from typing import Any, Dict, List, Optional

from valloss_compat import _api
from valloss_compat._cli.doctor import (
    check_config,
    check_patches,
    check_validation,
    config_file,
)
from valloss_compat._cli.doctor.findings import PROBLEM, Finding
from valloss_compat._cli.doctor.output import stdout_to_stderr

#: Of the JSON document; goes up when a key changes its meaning or goes away.
SCHEMA = 1

_DESCRIPTION = """\
Say what is patched, and why what is not is not; train a tiny model in this
environment and check its val_loss. With a config also: what monitors the loss,
which model has to emit it, and what stands in the way."""

_EPILOG = """\
examples:
  python -m valloss_compat doctor
  python -m valloss_compat doctor configs/my_config.py
  python -m valloss_compat doctor --json mmdet::retinanet/retinanet_r50_fpn_1x_coco.py

exit status: 0 fine; 1 problems were found; 2 it could not do what it was asked."""


def register(subparsers: Any) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "doctor",
        help="check that the validation loss works here, and for a config",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON document instead of text"
    )
    parser.add_argument(
        "config",
        metavar="CONFIG",
        nargs="?",
        help="a config file (.py, .json, .yaml), or one of a package: 'mmdet::NAME'",
    )
    parser.set_defaults(func=doctor)


def doctor(args: argparse.Namespace) -> int:
    """Look, and say what was found.

    The JSON document has the keys ``schema`` (1), ``exit_code``,
    ``environment`` (name -> ``version`` and ``where``), ``status`` (as
    :meth:`valloss_compat.Status.as_dict`), ``config`` (the argument, or null)
    and ``findings``: a list of ``check``, ``severity`` and ``text``.

    Args:
        args (argparse.Namespace): ``json`` and ``config``.

    Returns:
        int: 1 if there is a problem, else 0.

    Raises:
        CommandError: If mmengine or the config cannot be read, or
            ``VALLOSS_COMPAT`` is not understood.
    """
    with stdout_to_stderr():
        told = examine(args.config)
    told["exit_code"] = int(any(f.severity == PROBLEM for f in told["findings"]))
    if args.json:
        told["findings"] = [dict(f._asdict()) for f in told["findings"]]
        print(json.dumps(told, indent=2))
    else:
        print(_report(told))
    code: int = told["exit_code"]
    return code


def examine(config: Optional[str]) -> Dict[str, Any]:
    """Apply, look at the config, try it out.

    Args:
        config (str, optional): As on the command line.

    Returns:
        dict: The document, without its exit code and with findings as such.
    """
    found = check_patches.apply_patches()
    of_config: List[Finding] = []
    known: Dict[str, Any] = {}
    if config is not None:
        known = config_file.load(config)
        # Before anything is tried: they may patch, too, or bring a loop.
        failed = config_file.import_customs(known)
        of_config = check_config.look(known, failed)
    found += check_validation.look(known)
    status = _api.status()
    found += of_config
    return {
        "schema": SCHEMA,
        "environment": check_patches.describe(status),
        "status": status.as_dict(),
        "config": config,
        "findings": check_patches.look(status) + found,
    }


def _report(told: Dict[str, Any]) -> str:
    """The document as text."""
    lines = []
    for name, known in told["environment"].items():
        whose = known.get("distribution")
        whose = f" ({whose})" if whose and whose != name else ""
        lines.append(f"{name} {known['version']}{whose}, {known['where']}")
    shown = ", ".join(f"{k}={v}" for k, v in told["status"]["options"].items())
    lines += [f"options: {shown}", ""]
    for finding in told["findings"]:
        head = f"[{finding.severity}] {finding.check}: "
        lines += textwrap.wrap(
            head + finding.text,
            width=max(60, min(100, shutil.get_terminal_size((100, 24)).columns)),
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    problems = sum(finding.severity == PROBLEM for finding in told["findings"])
    verdict = f"{problems} problem{'s' * (problems != 1)} found"
    return "\n".join([*lines, "", verdict if problems else "no problems found"])
