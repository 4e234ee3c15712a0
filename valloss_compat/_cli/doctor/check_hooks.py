"""Whether the hooks of a config are known by the names that it gives them."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from valloss_compat import _config
from valloss_compat._cli.doctor.findings import Finding, note, problem
from valloss_compat._cli.doctor.registry import lookup

CHECK = "config.hooks"
#: Found wherever valloss_compat is imported; whether it is, another check tells.
_OURS = ("EarlyStoppingHook", "ValLossHook")
#: As of difflib: one slip in a name of ten letters, two in one of twenty.
_ALIKE = 0.9


def look(
    config: Mapping[str, Any], failed: Sequence[Tuple[str, str]]
) -> Iterator[Finding]:
    """Findings about hooks whose type nobody has registered.

    Args:
        config (dict): A whole config, its custom imports imported.
        failed (Sequence[tuple[str, str]]): Those that failed, and their errors.

    Yields:
        Finding: A problem where the name is a slip of a known one. What a library
        or module that does not import here may register is none.
    """
    default = str(config.get("default_scope") or "mmengine")
    for place, entry in _config.hooks_with_paths(config):
        kind = entry.get("type")
        # The full name of a class is imported, and not looked up.
        if not isinstance(kind, str) or kind.count(".") > 1:
            continue
        named, _, name = kind.rpartition(".")
        around = str(entry.get("_scope_") or default)
        scope = named or around
        if name in _OURS or _is_registered(name, scope):
            continue
        absent = [module for module, _ in failed]
        absent += [] if scope == "mmengine" or _loads(scope) else [scope]
        if not _is_registered(name, scope):
            meant = _nearest(name, around)
            yield from _unknown(f"{place} has the type {kind!r}", meant, absent)


def _unknown(what: str, meant: Optional[str], absent: List[str]) -> Iterator[Finding]:
    """What to say of a name that is not registered.

    Args:
        what (str): Where the name is.
        meant (str, optional): The name that may have been meant.
        absent (list[str]): Modules that may register it, and do not import here.
    """
    if absent:
        if meant:
            yield note(
                CHECK,
                f"{what}, and no hook of that name is known here; if "
                f"{' or '.join(absent)}, which cannot be imported here, has none "
                f"either, say {meant!r}",
            )
    elif meant:
        yield problem(
            CHECK,
            f"{what}, and no hook of that name is registered: unless the train script "
            f"registers it, the training ends with a KeyError. Say {meant!r}",
        )
    else:
        yield note(
            CHECK,
            f"{what}, and no hook of that name is registered here: a train script that "
            "does not import the module that registers it ends with a KeyError; "
            "custom_imports can name that module",
        )


def _nearest(name: str, scope: str) -> Optional[str]:
    """The registered name that was meant, if this one is a slip of one."""
    known: Dict[str, str] = {}
    # What needs no scope comes last, and takes the place of another library's.
    for one, shown in sorted(_names(scope), key=lambda pair: pair[0] == pair[1]):
        known[one.lower()] = shown
    known.update({one.lower(): one for one in _OURS})
    lower = name.lower()
    stem = _stem(lower)
    for one in difflib.get_close_matches(lower, list(known), 3, _ALIKE) or [
        one for one in known if _stem(one) == stem
    ]:
        # A class of somebody's own is called MyEarlyStoppingHook, or EMAHook2.
        longer = stem != lower and stem != _stem(one) and _stem(one) in stem
        numbered = lower != one and lower.rstrip("0123456789") == one
        if not longer and not numbered and known[one] != name:
            return known[one]
    return None


def _stem(lower: str) -> str:
    return lower[: -len("hook")] if lower.endswith("hook") else lower


def _names(scope: str) -> Iterator[Tuple[str, str]]:
    """Names of all registered hooks, and how they are written in a scope."""
    from mmengine.registry import HOOKS

    registries = [HOOKS]
    for registry in registries:  # grows while it is walked
        whose = "" if registry.scope in ("mmengine", scope) else f"{registry.scope}."
        yield from ((name, whose + name) for name in registry.module_dict)
        registries += registry.children.values()


def _is_registered(name: str, scope: str) -> bool:
    from mmengine.registry import HOOKS

    return lookup(HOOKS, name, f"{scope}.{name}") is not None


def _loads(library: str) -> bool:
    """Whether a library is here, with its hooks registered from now on."""
    try:
        importlib.import_module(f"{library}.engine")
    except (Exception, SystemExit):
        return False
    return True
