"""Check whether a config gives a validation loss."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, Tuple

from mmengine import utils

from valloss_compat import _config
from valloss_compat._cli.doctor import check_hooks, check_model
from valloss_compat._cli.doctor.check_validation import check_validation
from valloss_compat._cli.doctor.class_lookup import may_report_loss, registered
from valloss_compat._cli.doctor.config_file import custom_imports
from valloss_compat._cli.doctor.report import Finding, note, ok, problem
from valloss_compat._libraries.pipelines import training_transforms
from valloss_compat._patches.mmengine_api import remedy_for

#: Entry -> the types that mmengine accepts.
_ENTRY_TYPES: Dict[str, Tuple[type, ...]] = {
    "default_hooks": (dict,),
    "custom_hooks": (list, tuple),
    "train_cfg": (dict,),
    "val_cfg": (dict,),
    "val_dataloader": (dict, list),
    "val_evaluator": (dict, list),
}
_NOT_IMPORTED = """this config does not import valloss_compat{}. That is fine if \
`python -m valloss_compat run` starts the train script, or if the script imports \
valloss_compat. Otherwise add custom_imports=dict(imports={}, \
allow_failed_imports=False)"""
_FAILED = """{} cannot be imported here ({}): a training in this environment and \
folder would {}. Fix: install it, or add its folder to PYTHONPATH"""
_MAY_FAIL = """this config imports valloss_compat with allow_failed_imports=True: if \
it is not installed, the training has no validation loss. Fix: \
allow_failed_imports=False"""


def check_config(
    config: Mapping[str, Any], failed_imports: Sequence[Tuple[str, str]]
) -> List[Finding]:
    """Run all checks of a whole config, in the order in which a training reads it.

    ``failed_imports`` are name and error of each custom import that failed.
    """
    findings, config = check_types(config)
    hooks = check_hooks.build(config, failed_imports)
    others = list(may_report_loss(config))
    losses: Optional[Set[str]] = None
    try:
        on_model, losses = check_model.check_model(config, hooks, others)
    except Exception as error:
        text = f"model is not as mmengine expects it: {type(error).__name__}: {error}"
        on_model = [problem(check_model.CHECK, text)]
    return [
        *findings,
        *_check_library(config),
        *_check_custom_imports(config, failed_imports),
        *check_validation(config, hooks.monitors_loss),
        *hooks.findings,
        *check_hooks.check_monitors(config, hooks, losses, others),
        *on_model,
    ]


def check_types(config: Mapping[str, Any]) -> Tuple[List[Finding], Mapping[str, Any]]:
    """Report each entry of a wrong type; return the config with these entries empty."""
    findings: List[Finding] = []
    checked = dict(config)
    for name, types in _ENTRY_TYPES.items():
        value = config.get(name)
        if value is not None and not isinstance(value, types):
            checked[name] = types[0]()
            expected = " or ".join(f"a {cls.__name__}" for cls in types)
            text = f"{name} is {value!r:.80}, but {expected} is expected"
            findings.append(problem("config", text))
    return findings, checked


def _check_library(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Check that the library of a config can be imported.

    mmengine goes on without it, and then only says that a class is not registered.
    """
    dataset = _config.setting(config.get("val_dataloader"), "dataset")
    transforms = [("TRANSFORMS", step) for step in training_transforms(dataset)]
    library = _config.scope_of(config)
    model, data = ("MODELS", config.get("model")), [("DATASETS", dataset), *transforms]
    for name, entries in (
        (library, [model, *data]),
        (f"{library}.models", [model]),
        (f"{library}.datasets", data),
    ):
        try:
            if importlib.util.find_spec(name):
                importlib.import_module(name)
        except Exception as error:
            if isinstance(error, ModuleNotFoundError) and error.name == library:
                return  # not in this environment
            # A part that only others of its classes need does no harm.
            found = [registered(registry, entry, config) for registry, entry in entries]
            yield (problem if None in found else note)(
                "config.default_scope",
                f"{name} cannot be imported: {type(error).__name__}: "
                f"{str(error).rstrip('.')}. Fix: "
                f"{remedy_for(error) or 'install what it needs'}",
            )
            if name == library:  # its parts fail alike
                return


def _check_custom_imports(
    config: Mapping[str, Any], failed_imports: Sequence[Tuple[str, str]]
) -> Iterator[Finding]:
    check = "config.custom_imports"
    entry = config.get("custom_imports")
    may_fail = bool(_config.setting(entry, "allow_failed_imports"))
    is_imported = any(map(is_of_this_package, custom_imports(config)))
    if not is_imported and not _is_imported_by_hook(config):
        # Only a note: the train script or `run` may import the package, and a training
        # without it ends at its start, as the hook is not registered.
        is_needed = bool(_config.val_loss_hooks(config))
        needed = f", which {_config.VAL_LOSS_HOOK} needs" * is_needed
        # A list in a child config replaces that of its base: the whole one is given.
        imports = [*custom_imports(config), "valloss_compat"]
        yield note(check, _NOT_IMPORTED.format(needed, imports))
    elif is_imported and may_fail:
        yield note(check, _MAY_FAIL)
    else:
        yield ok(check, "this config imports valloss_compat")
    for name, error in failed_imports:
        end = "go on without it" if may_fail else "end"
        report = note if may_fail else problem
        yield report(check, _FAILED.format(name, error, end))


def is_of_this_package(name: str) -> bool:
    """Whether a module is this package or in it."""
    return name.split(".")[0] == "valloss_compat"


def _is_imported_by_hook(config: Mapping[str, Any]) -> bool:
    """Whether building a hook imports this package.

    Its type is a class of it or, in mmengine with the new config style, a full name.
    """
    types = [entry.get("type") for entry in _config.hooks(config)]
    names = [name for name in types if isinstance(name, str)]
    names = names if hasattr(utils, "get_object_from_string") else []
    names += [cls.__module__ for cls in types if isinstance(cls, type)]
    return any(map(is_of_this_package, names))
