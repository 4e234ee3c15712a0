"""``doctor``: check the validation loss in this environment and for a config."""

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

#: Version of the JSON document. Raised when a key is removed or changes its meaning.
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
    """Run all checks and print the findings.

    The JSON document has the keys ``schema`` (1), ``exit_code``,
    ``environment`` (name -> ``version`` and ``where``), ``status`` (as
    :meth:`valloss_compat.Status.as_dict`), ``config`` (the argument, or null)
    and ``findings`` (a list of ``check``, ``severity`` and ``text``).

    Args:
        args (argparse.Namespace): ``json`` and ``config``.

    Returns:
        int: 1 if a finding is a problem, else 0.

    Raises:
        CommandError: If mmengine or the config cannot be read, or
            ``VALLOSS_COMPAT`` is invalid.
    """
    with stdout_to_stderr():
        document = examine(args.config)
    code = int(any(f.severity == PROBLEM for f in document["findings"]))
    document["exit_code"] = code
    if args.json:
        document["findings"] = [dict(f._asdict()) for f in document["findings"]]
        print(json.dumps(document, indent=2))
    else:
        print(_report(document))
    return code


def examine(path: Optional[str]) -> Dict[str, Any]:
    """Apply the patches, check the config and train the trial models.

    Args:
        path (str, optional): The config, as on the command line.

    Returns:
        dict: The JSON document without ``exit_code``. Its findings are
        :class:`Finding` objects.
    """
    findings = check_patches.apply_patches()
    config_findings: List[Finding] = []
    contents: Dict[str, Any] = {}
    if path is not None:
        contents = config_file.load(path)
        # Before the trial trainings: custom imports may patch mmengine or register a
        # loop.
        failed_imports = config_file.import_custom_modules(contents)
        config_findings = check_config.check_config(contents, failed_imports)
    findings += check_validation.check_validation(contents)
    status = _api.status()
    findings += config_findings
    return {
        "schema": SCHEMA,
        "environment": check_patches.describe_environment(status),
        "status": status.as_dict(),
        "config": path,
        "findings": check_patches.check_patches(status) + findings,
    }


def _report(document: Dict[str, Any]) -> str:
    """Format the document as text."""
    lines = []
    for name, package in document["environment"].items():
        distribution = package.get("distribution")
        suffix = "" if distribution in (None, name) else f" ({distribution})"
        lines.append(f"{name} {package['version']}{suffix}, {package['where']}")
    options = ", ".join(f"{k}={v}" for k, v in document["status"]["options"].items())
    lines += [f"options: {options}", ""]
    for finding in document["findings"]:
        head = f"[{finding.severity}] {finding.check}: "
        lines += textwrap.wrap(
            head + finding.text,
            width=max(60, min(100, shutil.get_terminal_size((100, 24)).columns)),
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    problems = sum(finding.severity == PROBLEM for finding in document["findings"])
    verdict = f"{problems} problem{'s' * (problems != 1)} found"
    return "\n".join([*lines, "", verdict if problems else "no problems found"])
