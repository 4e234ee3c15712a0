"""``doctor``: check the validation loss in this environment and for a config."""

from __future__ import annotations

import argparse
import json
from typing import Any, Dict, List, Optional, TextIO

from valloss_compat import _api
from valloss_compat._cli import print_plain
from valloss_compat._cli.doctor import check_patches, report

#: Version of the JSON document. Raised when a key is removed or changes its meaning.
SCHEMA = 1

_DESCRIPTION = """\
Report which patches are active, and train a tiny model in this environment to check
its val_loss. With a config, also check what monitors the loss, whether the model or
ValLossHook reports it, and what keeps the training from it.

CONFIG is executed: its Python code, its custom_imports, the tags of a YAML file, and
the model and data that it builds. Do not run a config that you do not trust."""

_EPILOG = """\
examples:
  python -m valloss_compat doctor
  python -m valloss_compat doctor configs/my_config.py
  python -m valloss_compat doctor --json mmdet::retinanet/retinanet_r50_fpn_1x_coco.py

exit status: 0 no problem; 1 problems were found; 2 the check itself failed."""


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
        help="a config file (.py, .json, .yaml), or one of a package: 'mmdet::NAME'. "
        "It is executed",
    )
    parser.set_defaults(func=doctor)


def doctor(args: argparse.Namespace) -> int:
    """Run all checks and print the findings; return 1 if one is a problem, else 0.

    docs/commands.md describes the JSON document.

    Raises:
        CommandError: If mmengine or the config cannot be read, or
            ``VALLOSS_COMPAT`` is invalid.
    """
    with report.stdout_to_stderr(for_good=args.json) as stdout:
        try:
            document = examine(args.config)
        except Exception as error:
            if args.json:
                print_failure(stdout, str(error) or repr(error), args.config)
            raise
        code = int(any(f.severity == report.PROBLEM for f in document["findings"]))
        if args.json:
            findings = [dict(f._asdict()) for f in document["findings"]]
            document.update(findings=findings, exit_code=code)
            print(json.dumps(document, indent=2), file=stdout, flush=True)
    if not args.json:
        print_plain(report.as_text(document))
    return code


def print_failure(stdout: TextIO, error: str, config: Optional[str] = None) -> None:
    """Print the JSON document of a check that failed."""
    document = {"schema": SCHEMA, "config": config, "error": error, "exit_code": 2}
    print(json.dumps(document, indent=2), file=stdout, flush=True)


def examine(path: Optional[str]) -> Dict[str, Any]:
    """Return the JSON document without ``exit_code``, with ``Finding`` objects."""
    findings = check_patches.apply_patches()
    # These import mmengine, which the patches have found by now.
    from valloss_compat._cli.doctor import check_bases, check_config, config_file
    from valloss_compat._cli.doctor.trial_run import check_trials

    on_config: List[report.Finding] = []
    contents: Dict[str, Any] = {}
    if path is not None:
        with check_bases.record_files() as files:
            contents = config_file.load(path)
        # Before the trial trainings: they may patch mmengine or register a loop.
        failed_imports = config_file.import_custom_modules(contents)
        on_config = check_config.check_config(contents, failed_imports)
        on_config += check_bases.check_bases(files)
    findings += check_trials(contents)
    status = _api.status()
    return {
        "schema": SCHEMA,
        "environment": check_patches.describe_environment(status),
        "status": status.as_dict(),
        "config": path,
        "findings": [*check_patches.check_patches(status), *findings, *on_config],
    }
