"""The patches of one plan, made from the table and applied as one."""

from __future__ import annotations

import importlib
import sys
from functools import partial
from typing import Any, Dict, List, Mapping, Tuple, Union

from valloss_compat import options
from valloss_compat._patches.mmengine_api import import_targets, inspect_mmengine
from valloss_compat._patches.patch import Patch
from valloss_compat._patches.plan import PATCH_POINTS, PLANS
from valloss_compat._patches.subclasses import SubclassPatcher
from valloss_compat._version import __version__


class PatchSet:
    """The patches that one mode applies to the installed mmengine.

    Raises:
        UnusableMMEngineError: If there is no mmengine that can be patched.
    """

    def __init__(self, mode: str) -> None:
        #: Name in the table -> what the patches are made for.
        self.targets = import_targets([point.target for point in PATCH_POINTS])
        native, problem = inspect_mmengine(self.targets)
        wanted = "add" if mode == "default" else "parity"
        plan = {"add": "correct", "parity": "native"}[wanted] if native else wanted
        #: In the order of the table.
        self.parts: List[Union[Patch, SubclassPatcher]] = []
        if not problem:
            try:
                self.parts = _parts(plan, self.targets)
            except ImportError as error:  # of what the wrappers import of mmengine
                problem = f"{type(error).__name__}: {error}"
        #: Of the plan: a key of ``plan.PLANS``, or ``'unknown'``: nothing is patched,
        #: as mmengine is not built as expected.
        self.name = "unknown" if problem else plan
        self.reason = problem or PLANS[plan]  #: Why this plan.
        #: Stand for the patch points that the plan leaves alone.
        self.skipped = [
            Patch(self.targets[point.target], point.attribute, reason=self.reason)
            for point in PATCH_POINTS
            if self.targets[point.target] is not None
            and wanted in point.plans
            and self.name not in point.plans
            and hasattr(self.targets[point.target], point.attribute)
        ]

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
