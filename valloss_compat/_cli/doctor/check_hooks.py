"""Check whether the hooks of a config are registered under their names."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from valloss_compat import _config
from valloss_compat._cli.doctor.class_lookup import default_scope, lookup
from valloss_compat._cli.doctor.findings import Finding, note, problem

CHECK = "config.hooks"
#: Registered by valloss_compat. Another check tells whether a config imports it.
_PACKAGE_HOOKS = ("EarlyStoppingHook", "ValLossHook")
#: Ratio of difflib: about one typo in ten letters, two in twenty.
_MIN_SIMILARITY = 0.9


def check_hooks(
    config: Mapping[str, Any], failed_imports: Sequence[Tuple[str, str]]
) -> Iterator[Finding]:
    """Check the hooks whose type is not registered.

    Args:
        config (dict): A whole config, after its custom imports.
        failed_imports (Sequence[tuple[str, str]]): Name and error of each custom
            import that failed.

    Yields:
        Finding: A problem if the name looks like a typo of a registered one. A note if
        a library or module that cannot be imported here may register it.
    """
    for path, entry in _config.hooks_with_paths(config):
        hook_type = entry.get("type")
        # mmengine imports a full class name and does not look it up.
        if not isinstance(hook_type, str) or hook_type.count(".") > 1:
            continue
        own_scope, _, name = hook_type.rpartition(".")
        entry_scope = str(entry.get("_scope_") or default_scope(config))
        scope = own_scope or entry_scope
        if name in _PACKAGE_HOOKS or _is_registered(name, scope):
            continue
        absent = [module for module, _ in failed_imports]
        absent += [] if scope == "mmengine" or _can_import(scope) else [scope]
        if not _is_registered(name, scope):  # still: _can_import() may register it
            suggestion = _closest_name(name, entry_scope)
            yield from _report_unknown_name(
                f"{path} has the type {hook_type!r}", suggestion, absent
            )


def _report_unknown_name(
    text: str, suggestion: Optional[str], absent: List[str]
) -> Iterator[Finding]:
    """Report a hook name that is not registered.

    Args:
        text (str): The hook's path in the config and its type, as in the message.
        suggestion (str, optional): A registered name with a similar spelling.
        absent (list[str]): Modules that may register the name but cannot be imported
            here.
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
    """Return the registered name of which a name is a typo, if there is one."""
    names: Dict[str, str] = {}
    # Names that need no scope come last: they override those of other libraries.
    registered = sorted(_registered_names(scope), key=lambda pair: pair[0] == pair[1])
    names.update((plain.lower(), scoped) for plain, scoped in registered)
    names.update((plain.lower(), plain) for plain in _PACKAGE_HOOKS)
    lower = name.lower()
    stem = _stem(lower)
    matches = difflib.get_close_matches(lower, list(names), 3, _MIN_SIMILARITY)
    for match in matches or [other for other in names if _stem(other) == stem]:
        # Not a typo but a user's class: MyEarlyStoppingHook, EMAHook2.
        is_longer = stem != lower and stem != _stem(match) and _stem(match) in stem
        is_numbered = lower != match and lower.rstrip("0123456789") == match
        if not is_longer and not is_numbered and names[match] != name:
            return names[match]
    return None


def _stem(lower: str) -> str:
    return lower[: -len("hook")] if lower.endswith("hook") else lower


def _registered_names(scope: str) -> Iterator[Tuple[str, str]]:
    """Iterate over registered hooks: name, and name as written in a scope."""
    from mmengine.registry import HOOKS

    registries = [HOOKS]
    for registry in registries:  # grows during the iteration
        prefix = "" if registry.scope in ("mmengine", scope) else f"{registry.scope}."
        yield from ((name, prefix + name) for name in registry.module_dict)
        registries += registry.children.values()


def _is_registered(name: str, scope: str) -> bool:
    from mmengine.registry import HOOKS

    return lookup(HOOKS, name, f"{scope}.{name}") is not None


def _can_import(library: str) -> bool:
    """Whether a library can be imported, which registers its hooks."""
    try:
        importlib.import_module(f"{library}.engine")
    except (Exception, SystemExit):
        return False
    return True
