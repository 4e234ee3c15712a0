"""Look up the classes that a config names in the registries of mmengine."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Mapping
from typing import Any, Iterator, Optional

from mmengine import registry as registries
from mmengine.hooks import Hook

from valloss_compat import _config

#: Libraries whose models append no loss element, and whose hooks and metrics report
#: no ``val_loss``.
LIBRARIES = (
    *("mmaction", "mmagic", "mmcls", "mmdet", "mmdet3d", "mmocr", "mmpose"),
    *("mmpretrain", "mmrazor", "mmrotate", "mmseg", "mmtrack", "mmyolo"),
)
_WITHOUT_LOSS = (*LIBRARIES, "mmengine", "valloss_compat", "mmcv")


def registered(registry: str, entry: Any, config: Mapping[str, Any]) -> Optional[type]:
    """Return the class that an entry names in a registry, such as ``'LOOPS'``.

    None if the entry is no dict with ``type``, or none is registered.
    """
    name = entry.get("type") if isinstance(entry, Mapping) else None
    if not name or isinstance(name, type):
        return name or None
    scope = _config.scope_of(config, entry)
    found: Any = None
    # In mmengine's order: the registry of the scope first, then its parents.
    with registries.DefaultScope.overwrite_default_scope(scope):
        for key in (_config.scoped_name(entry, scope), str(name)):
            with contextlib.suppress(Exception):  # of a library that is not here
                found = found or getattr(registries, registry).get(key)
    return found if isinstance(found, type) else None


def may_report_loss(config: Mapping[str, Any]) -> Iterator[str]:
    """Iterate over the classes of the user that may add a loss to the metrics.

    These are metrics, evaluators, loops and hooks with ``loss`` in their source.
    """
    metrics = evaluator = config.get("val_evaluator")
    named = [("LOOPS", config.get("val_cfg"))]
    if isinstance(evaluator, Mapping) and "metrics" in evaluator:
        metrics = evaluator["metrics"]
        named.append(("EVALUATOR", evaluator))
    several = metrics if isinstance(metrics, list) else [metrics]
    named += [("METRICS", metric) for metric in several]
    named += [("HOOKS", hook) for hook in _config.hooks(config)]
    for registry, entry in named:
        cls: Any = registered(registry, entry, config)
        if cls is None or cls.__module__.partition(".")[0] in _WITHOUT_LOSS:
            continue
        adds_nothing = getattr(cls, "after_val_epoch", 0) is Hook.after_val_epoch
        if not adds_nothing and "loss" in _source_of(cls):
            yield _config.type_name(cls)


def _source_of(cls: type) -> str:
    try:
        return inspect.getsource(cls)
    except (OSError, TypeError):  # made in a shell, or compiled
        return "loss"
