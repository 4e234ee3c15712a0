"""Check whether a config gives a validation loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Dict, Iterator, List, Sequence, Tuple

from valloss_compat import _config
from valloss_compat._cli.doctor import (
    check_hooks,
    check_interval,
    check_model,
    check_monitor,
)
from valloss_compat._cli.doctor.config_file import custom_imports
from valloss_compat._cli.doctor.findings import Finding, note, ok, problem

#: Entry -> the types that mmengine accepts.
_ENTRY_TYPES: Dict[str, Tuple[type, ...]] = {
    "default_hooks": (dict,),
    "custom_hooks": (list,),
    "train_cfg": (dict,),
    "val_cfg": (dict,),
    "val_dataloader": (dict, list),
    "val_evaluator": (dict, list),
}
#: mmengine expects all of these entries, or none of them.
_VALIDATION = ("val_dataloader", "val_evaluator", "val_cfg")


def check_config(
    config: Mapping[str, Any], failed_imports: Sequence[Tuple[str, str]]
) -> List[Finding]:
    """Run all checks of a config.

    Args:
        config (dict): A whole config, as :func:`config_file.load` reads it.
        failed_imports (Sequence[tuple[str, str]]): Name and error of each custom
            import that failed.

    Returns:
        list[Finding]: In the order in which a training reads the entries.
    """
    findings, config = check_types(config)
    checks: List[Tuple[str, Iterator[Finding]]] = [
        ("config.custom_imports", _check_custom_imports(config, failed_imports)),
        (check_interval.CHECK, _check_validation(config)),
        (check_hooks.CHECK, check_hooks.check_hooks(config, failed_imports)),
        (check_monitor.CHECK, check_monitor.check_monitor(config)),
        (check_model.CHECK, check_model.check_model(config)),
    ]
    for check, check_findings in checks:
        try:
            findings += check_findings
        except Exception as error:
            findings.append(
                problem(
                    check,
                    "something that this looks at is not as mmengine wants it: "
                    f"{type(error).__name__}: {error}",
                )
            )
    return findings


def check_types(config: Mapping[str, Any]) -> Tuple[List[Finding], Mapping[str, Any]]:
    """Check the types of the entries that the other checks read.

    Args:
        config (dict): A whole config.

    Returns:
        tuple[list[Finding], dict]: A problem for each entry of the wrong type, and
        the config with these entries empty, so that the other checks can run.
    """
    findings: List[Finding] = []
    checked = dict(config)
    for name, types in _ENTRY_TYPES.items():
        value = config.get(name)
        if value is None or isinstance(value, types):
            continue
        checked[name] = types[0]()
        expected = " or ".join(f"a {cls.__name__}" for cls in types)
        findings.append(
            problem(
                "config",
                f"{name} is {value!r:.80}, which is not as mmengine wants it: expected "
                f"is {expected}",
            )
        )
    return findings, checked


def _check_custom_imports(
    config: Mapping[str, Any], failed_imports: Sequence[Tuple[str, str]]
) -> Iterator[Finding]:
    check = "config.custom_imports"
    entry = config.get("custom_imports")
    may_fail = isinstance(entry, Mapping) and bool(entry.get("allow_failed_imports"))
    is_imported = any(map(_is_of_this_package, custom_imports(config)))
    if not is_imported and not _is_imported_by_hook(config):
        # Only a note: the train script or `run` may import the package, and a training
        # without it ends at its start, as the hook is not registered.
        consequence = ""
        if _config.val_loss_hooks(config):
            consequence = f", without which nobody knows {_config.VAL_LOSS_HOOK}"
        yield note(
            check,
            f"this config does not import valloss_compat{consequence}: run the train "
            "script with `python -m valloss_compat run`, import valloss_compat in it, "
            "or add custom_imports=dict(imports=['valloss_compat'], "
            "allow_failed_imports=False)",
        )
    elif is_imported and may_fail:
        yield note(
            check,
            "this config imports valloss_compat with allow_failed_imports=True: where "
            "it is not installed, the training goes on without a validation loss; say "
            "allow_failed_imports=False",
        )
    else:
        yield ok(check, "this config imports valloss_compat")
    for name, error in failed_imports:
        end = "go on without it" if may_fail else "end"
        finding = note if may_fail else problem
        yield finding(
            check,
            f"{name} cannot be imported here ({error}): a training in this "
            f"environment and folder would {end}, and what it registers was not tried. "
            "Say where it is with PYTHONPATH, or install it",
        )


def _is_of_this_package(name: str) -> bool:
    return name.split(".")[0] == "valloss_compat"


def _is_imported_by_hook(config: Mapping[str, Any]) -> bool:
    """Whether building a hook imports this package.

    It does if the type of the hook is a class of this package or, in mmengine with
    the new config style, the full name of one.
    """
    from mmengine import utils

    types = [entry.get("type") for entry in _config.hooks(config)]
    names = [name for name in types if isinstance(name, str)]
    names = names if hasattr(utils, "get_object_from_string") else []
    names += [cls.__module__ for cls in types if isinstance(cls, type)]
    return any(map(_is_of_this_package, names))


def _check_validation(config: Mapping[str, Any]) -> Iterator[Finding]:
    check = check_interval.CHECK
    present = [name for name in _VALIDATION if config.get(name) is not None]
    missing = [name for name in _VALIDATION if name not in present]
    if present and missing:
        yield problem(
            check,
            f"there is no {' and no '.join(missing)} beside {', '.join(present)}: "
            "mmengine wants all three, or none",
        )
    elif missing:
        text = "this config does not validate: it has none of " + ", ".join(_VALIDATION)
        if check_monitor.monitors_loss(config):
            yield problem(
                check, f"{text}, but a loss is monitored. Add them, or the hook waits"
            )
        else:
            yield note(check, f"{text}, so that there is no validation loss")
    else:
        yield from check_interval.check_interval(config)
        yield from _check_classes(config)


def _check_classes(config: Mapping[str, Any]) -> Iterator[Finding]:
    for name, default in (("val_cfg", "ValLoop"), ("val_evaluator", "Evaluator")):
        cls = _config.class_name(config.get(name))
        # Runner.build_evaluator takes an entry without `metrics` for a metric.
        is_metric = name == "val_evaluator" and "metrics" not in (config[name] or ())
        if cls in ("", default) or is_metric:
            yield ok(check_interval.CHECK, f"{name} uses mmengine's {default}")
        else:
            yield note(
                check_interval.CHECK,
                f"{name} has a class of its own, {config[name]['type']}: "
                "valloss_compat patches those too. Whether that works is tried out "
                "above, where it can be imported and built",
            )
