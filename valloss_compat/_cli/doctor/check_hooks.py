"""Whether the hooks of a config are known by the names that it gives them."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from valloss_compat import _config
from valloss_compat._cli.doctor.findings import Finding, note, problem
from valloss_compat._cli.doctor.registry import default_scope, lookup

CHECK = "config.hooks"
#: Found wherever valloss_compat is imported; whether it is, another check tells.
_PACKAGE_HOOKS = ("EarlyStoppingHook", "ValLossHook")
#: As of difflib: one slip in a name of ten letters, two in one of twenty.
_MIN_SIMILARITY = 0.9


def check_hooks(
    config: Mapping[str, Any], failed_imports: Sequence[Tuple[str, str]]
) -> Iterator[Finding]:
    """Findings about hooks whose type nobody has registered.

    Args:
        config (dict): A whole config, its custom imports imported.
        failed_imports (Sequence[tuple[str, str]]): Those that failed, and their errors.

    Yields:
        Finding: A problem where the name is a slip of a known one. What a library
        or module that does not import here may register is none.
    """
    for path, entry in _config.hooks_with_paths(config):
        hook_type = entry.get("type")
        # The full name of a class is imported, and not looked up.
        if not isinstance(hook_type, str) or hook_type.count(".") > 1:
            continue
        own_scope, _, name = hook_type.rpartition(".")
        entry_scope = str(entry.get("_scope_") or default_scope(config))
        scope = own_scope or entry_scope
        if name in _PACKAGE_HOOKS or _is_registered(name, scope):
            continue
        absent = [module for module, _ in failed_imports]
        absent += [] if scope == "mmengine" or _can_import(scope) else [scope]
        if not _is_registered(name, scope):
            suggestion = _closest_name(name, entry_scope)
            yield from _report_unknown_name(
                f"{path} has the type {hook_type!r}", suggestion, absent
            )


def _report_unknown_name(
    text: str, suggestion: Optional[str], absent: List[str]
) -> Iterator[Finding]:
    """What to say of a name that is not registered.

    Args:
        text (str): Where the name is.
        suggestion (str, optional): The name that may have been meant.
        absent (list[str]): Modules that may register it, and do not import here.
    """
    if absent:
        if suggestion:
            yield note(
                CHECK,
                f"{text}, and no hook of that name is known here; if "
                f"{' or '.join(absent)}, which cannot be imported here, has none "
                f"either, say {suggestion!r}",
            )
    elif suggestion:
        yield problem(
            CHECK,
            f"{text}, and no hook of that name is registered: unless the train script "
            f"registers it, the training ends with a KeyError. Say {suggestion!r}",
        )
    else:
        yield note(
            CHECK,
            f"{text}, and no hook of that name is registered here: a train script that "
            "does not import the module that registers it ends with a KeyError; "
            "custom_imports can name that module",
        )


def _closest_name(name: str, scope: str) -> Optional[str]:
    """The registered name that was meant, if this one is a slip of one."""
    names: Dict[str, str] = {}
    # What needs no scope comes last, and takes the place of another library's.
    for known, scoped in sorted(
        _registered_names(scope), key=lambda pair: pair[0] == pair[1]
    ):
        names[known.lower()] = scoped
    names.update({known.lower(): known for known in _PACKAGE_HOOKS})
    lower = name.lower()
    stem = _stem(lower)
    for known in difflib.get_close_matches(lower, list(names), 3, _MIN_SIMILARITY) or [
        known for known in names if _stem(known) == stem
    ]:
        # A class of somebody's own is called MyEarlyStoppingHook, or EMAHook2.
        is_longer = stem != lower and stem != _stem(known) and _stem(known) in stem
        is_numbered = lower != known and lower.rstrip("0123456789") == known
        if not is_longer and not is_numbered and names[known] != name:
            return names[known]
    return None


def _stem(lower: str) -> str:
    return lower[: -len("hook")] if lower.endswith("hook") else lower


def _registered_names(scope: str) -> Iterator[Tuple[str, str]]:
    """Names of all registered hooks, and how they are written in a scope."""
    from mmengine.registry import HOOKS

    registries = [HOOKS]
    for registry in registries:  # grows while it is walked
        prefix = "" if registry.scope in ("mmengine", scope) else f"{registry.scope}."
        yield from ((name, prefix + name) for name in registry.module_dict)
        registries += registry.children.values()


def _is_registered(name: str, scope: str) -> bool:
    from mmengine.registry import HOOKS

    return lookup(HOOKS, name, f"{scope}.{name}") is not None


def _can_import(library: str) -> bool:
    """Whether a library is here, with its hooks registered from now on."""
    try:
        importlib.import_module(f"{library}.engine")
    except (Exception, SystemExit):
        return False
    return True
