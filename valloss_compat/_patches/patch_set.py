"""The patches of one plan, made from the table and applied as one."""

from __future__ import annotations

import importlib
import sys
from functools import partial
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple, Union

from valloss_compat import options
from valloss_compat._patches.mmengine_api import import_targets, inspect_mmengine
from valloss_compat._patches.patch import Patch
from valloss_compat._patches.plan import PATCH_POINTS, PLANS
from valloss_compat._patches.subclasses import SubclassPatcher
from valloss_compat._version import __version__


class PatchSet(NamedTuple):
    """The patches that one mode applies to one mmengine."""

    #: Of the plan: a key of ``plan.PLANS``, or ``'unknown'`` (nothing is patched, as
    #: mmengine is not built as expected).
    name: str
    reason: str  #: Why this plan.
    parts: List[Union[Patch, SubclassPatcher]]  #: In the order of the table.
    skipped: List[Patch]  #: Stand for the patch points that the plan leaves alone.
    targets: Mapping[str, Any]  #: Name in the table -> what the patches are made for.

    def apply(self) -> None:
        """Apply all patches."""
        for part in self.parts:
            part.apply()

    def revert(self) -> None:
        """Revert all patches, in reverse order."""
        for part in reversed(self.parts):
            part.revert()

    @property
    def patches(self) -> List[Patch]:
        """The single patches, then those that stand for what is left alone."""
        return [patch for part in self.parts for patch in part.patches] + self.skipped

    def overrides(self) -> List[Tuple[str, bool]]:
        """Methods of loaded subclasses that override a patched one; whether patched."""
        return [override for part in self.parts for override in part.overrides()]

    def reloaded(self) -> List[str]:
        """Full names of the targets that were loaded again since."""
        return [
            name.replace(":", ".")
            for name, target in self.targets.items()
            if target is not None and _loaded(name) is not target
        ]


def make_patch_set(mode: str) -> PatchSet:
    """Make the patches of a mode for the mmengine that is installed.

    Raises:
        UnusableMMEngineError: If there is no mmengine that can be patched.
    """
    targets = import_targets([point.target for point in PATCH_POINTS])
    native, problem = inspect_mmengine(targets)
    wanted = "add" if mode == "default" else "parity"
    plan = {"add": "correct", "parity": "native"}[wanted] if native else wanted
    reason = PLANS[plan]
    parts = []
    if not problem:
        try:
            parts = _parts(plan, targets)
        except ImportError as error:  # of what the wrappers import of mmengine
            problem = f"{type(error).__name__}: {error}"
    if problem:
        plan, reason = "unknown", problem
    skipped = [
        Patch(targets[point.target], point.attribute, reason=reason)
        for point in PATCH_POINTS
        if targets[point.target] is not None
        and wanted in point.plans
        and plan not in point.plans
        and hasattr(targets[point.target], point.attribute)
    ]
    return PatchSet(plan, reason, parts, skipped, targets)


def _parts(plan: str, targets: Mapping[str, Any]) -> List[Any]:
    # Loaded here: they import mmengine, which may be missing.
    kind = "parity_recorder:Parity" if plan == "parity" else "recorder:"
    recorder = _load(f"_recording.{kind}Recorder")(native=plan == "correct")
    parts: List[Any] = []
    recorder.describe_patches = lambda: _describe(parts)
    trees: Dict[str, SubclassPatcher] = {}
    for point in PATCH_POINTS:
        target = targets[point.target]
        if plan not in point.plans or target is None:  # FlexibleRunner came with 0.8.0
            continue
        wrapper = partial(_load(point.wrapper), recorder)
        if plan not in point.subclasses:
            default = _load(point.default) if point.default else None
            parts.append(Patch(target, point.attribute, wrapper, default))
            continue
        if point.target not in trees:
            only = _load(point.only) if point.only else None
            trees[point.target] = SubclassPatcher(target, only)
            parts.append(trees[point.target])
        trees[point.target].add(point.attribute, wrapper)
    return parts


def _describe(parts: List[Any]) -> str:
    """Describe the patches in one line, for the log of a run."""
    patches = [patch for part in parts for patch in part.patches]
    active = sum(patch.inspect().state == "active" for patch in patches)
    chosen = options.current()
    mmengine = getattr(sys.modules.get("mmengine"), "__version__", "?")
    return (
        f"version {__version__}, {active} patches of mmengine {mmengine} are active, "
        f"mode {chosen.mode}, weighting {chosen.weighting}"
    )


def _load(name: str) -> Any:
    """The function that an entry ``'module:function'`` of the table names."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(f"valloss_compat.{module}"), function)


def _loaded(target: str) -> Any:
    module, _, attribute = target.partition(":")
    found = sys.modules.get(module)
    return getattr(found, attribute, None) if attribute else found
