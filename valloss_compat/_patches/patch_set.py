"""The patches of one plan, made from the table and applied as one."""

from __future__ import annotations

import importlib
import itertools
import operator
import sys
from functools import partial
from typing import Any, Dict, List, Mapping, Sequence, Union

from valloss_compat._patches.mmengine_api import import_targets, inspect_mmengine
from valloss_compat._patches.patch import Patch, Wrapper, full_name
from valloss_compat._patches.plan import PATCH_POINTS
from valloss_compat._patches.subclasses import SubclassPatcher, class_tree


class PatchSet:
    """The patches that one mode applies to one mmengine.

    Attributes:
        name (str): Of the plan: a key of ``plan.PLANS``, or ``'unknown'`` (nothing
            is patched, as mmengine is not built as expected).
        reason (str): Why this plan.
        parts (list): Patches, and patches of class trees, in the order of the table.
        skipped (list[Patch]): Stand for the patch points that the plan leaves alone.
        targets (dict): Name in the table -> what the patches were made for.
    """

    def __init__(
        self,
        name: str,
        reason: str,
        parts: Sequence[Union[Patch, SubclassPatcher]],
        skipped: Sequence[Patch],
        targets: Mapping[str, Any],
    ) -> None:
        self.name = name
        self.reason = reason
        self.parts = list(parts)
        self.skipped = list(skipped)
        self.targets = targets

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
        patches: List[Patch] = []
        for part in self.parts:
            patches += part.patches if isinstance(part, SubclassPatcher) else [part]
        return patches + self.skipped

    @property
    def subclass_patchers(self) -> List[SubclassPatcher]:
        """The parts that patch subclasses."""
        return [part for part in self.parts if isinstance(part, SubclassPatcher)]

    def overrides(self) -> List[str]:
        """Full names of methods of loaded subclasses that override a patched one."""
        trees = [name for tree in self.subclass_patchers for name in tree.overrides()]
        return trees + self._single_overrides()

    def unpatched_overrides(self) -> List[str]:
        """Those of :meth:`overrides` that are not patched."""
        trees = self.subclass_patchers
        names = [name for tree in trees for name in tree.unpatched_overrides()]
        return names + self._single_overrides()

    def _single_overrides(self) -> List[str]:
        return [
            f"{full_name(cls)}.{part.attribute}"
            for part in self.parts
            if isinstance(part, Patch) and not part.attribute.startswith("__")
            for cls in class_tree(part.target)[1:]
            if part.attribute in vars(cls)
        ]

    def reloaded(self) -> List[str]:
        """Full names of the targets that were loaded again since."""
        return [
            name.replace(":", ".")
            for name, target in self.targets.items()
            if target is not None and _loaded(name) is not target
        ]


def make_patch_set(mode: str) -> PatchSet:
    """Make the patches of a mode for the mmengine that is installed.

    Args:
        mode (str): ``'default'`` or ``'parity'``.

    Returns:
        PatchSet: Not applied yet.

    Raises:
        UnusableMMEngineError: If there is no mmengine that can be patched.
    """
    targets = import_targets([point.target for point in PATCH_POINTS])
    native, problem = inspect_mmengine(targets)
    wanted = "add" if mode == "default" else "parity"
    plan, reason = wanted, "this mmengine lacks the convention"
    if native and mode == "default":
        plan, reason = "correct", "this mmengine has the convention, with defects"
    elif native:
        plan, reason = "native", "this mmengine has the convention itself"
    parts: List[Union[Patch, SubclassPatcher]] = []
    if not problem:
        try:
            parts = _parts(plan, targets)
        except ImportError as error:  # of what the wrappers import of mmengine
            problem = f"{type(error).__name__}: {error}"
    if problem:
        plan, reason = "unknown", problem
    skipped = []
    if plan in ("unknown", "native"):
        skipped = [
            _inactive(targets[point.target], point.attribute, reason)
            for point in PATCH_POINTS
            if targets[point.target] is not None
            and wanted in point.plans
            and plan not in point.plans
            and hasattr(targets[point.target], point.attribute)
        ]
    return PatchSet(plan, reason, parts, skipped, targets)


def _parts(
    plan: str, targets: Mapping[str, Any]
) -> List[Union[Patch, SubclassPatcher]]:
    recorder = _recorder(plan)
    points = [point for point in PATCH_POINTS if plan in point.plans]
    parts: List[Union[Patch, SubclassPatcher]] = []
    for name, group in itertools.groupby(points, operator.attrgetter("target")):
        target = targets[name]
        if target is None:  # FlexibleRunner came with 0.8.0
            continue
        tree: Dict[str, Wrapper] = {}
        single: List[Union[Patch, SubclassPatcher]] = []
        only = None
        for point in group:
            wrapper = partial(_load(point.wrapper), recorder)
            if plan in point.subclasses:
                tree[point.attribute] = wrapper
                only = _load(point.only) if point.only else None
            else:
                default = _load(point.default) if point.default else None
                single.append(Patch(target, point.attribute, wrapper, default))
        parts += [SubclassPatcher(target, tree, only)] if tree else []
        parts += single
    return parts


def _recorder(plan: str) -> Any:
    if plan == "native":
        return None
    # Not at the top: they import mmengine, which may be missing.
    from valloss_compat._recording.parity_recorder import ParityRecorder
    from valloss_compat._recording.recorder import Recorder

    return ParityRecorder() if plan == "parity" else Recorder(plan == "correct")


def _load(name: str) -> Any:
    """The function that an entry ``'module:function'`` of the table names."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(f"valloss_compat.{module}"), function)


def _inactive(target: Any, attribute: str, reason: str) -> Patch:
    """Stands for a patch that the plan does not apply."""
    patch = Patch(target, attribute, lambda call, *args, **kw: call(*args, **kw))
    patch.reason = reason
    return patch


def _loaded(target: str) -> Any:
    module, _, attribute = target.partition(":")
    found = sys.modules.get(module)
    return getattr(found, attribute, None) if attribute else found
