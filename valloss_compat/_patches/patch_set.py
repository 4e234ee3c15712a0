"""Which mmengine this is, and which patches it gets.

Features decide, never the version number: the number is only for messages.
"""

from __future__ import annotations

import importlib
from functools import partial
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

from valloss_compat._patches.mmengine_api import inspect_mmengine
from valloss_compat._patches.patch import Patch
from valloss_compat._patches.plans import PatchSet
from valloss_compat._patches.subclasses import SubclassPatcher
from valloss_compat.errors import UnusableMMEngineError

#: Modules that mmengine needs, does not declare (or not tightly), and the remedy.
_REMEDIES = {
    "torch": "install the torch release of your project",
    "torchvision": "mmengine before 0.5.0 imports torchvision; install the one that "
    "matches your torch",
    "pkg_resources": "pip install 'setuptools<81'",
    "yapf": "pip install 'yapf<=0.40.1'",
    "cv2": "pip install opencv-python (or opencv-python-headless)",
    "matplotlib": "pip install matplotlib",
}


class Targets(NamedTuple):
    """What is patched in mmengine; None for what is not there.

    Attributes:
        loops (module, optional): ``mmengine.runner.loops``.
        evaluator (type, optional): ``mmengine.evaluator.Evaluator``.
        log_processor (type, optional): ``mmengine.runner.LogProcessor``.
    """

    loops: Any
    evaluator: Any
    log_processor: Any

    def methods(self) -> List[Tuple[Any, str]]:
        """Owner and attribute of all that is patched in any mode."""
        places = [
            (getattr(self.loops, loop, None), method)
            for loop in ("ValLoop", "TestLoop")
            for method in ("run", "run_iter")
        ]
        places += [(self.evaluator, "process"), (self.evaluator, "evaluate")]
        places += [(self.log_processor, "get_log_after_epoch")]
        places += [(self.loops, name) for name in ("_update_losses", "_parse_losses")]
        return [place for place in places if hasattr(*place)]

    def classes(self) -> Dict[str, Any]:
        """Full name, under which it is found, -> class."""
        found = {
            f"mmengine.runner.loops.{name}": getattr(self.loops, name, None)
            for name in ("BaseLoop", "ValLoop", "TestLoop")
        }
        found["mmengine.evaluator.Evaluator"] = self.evaluator
        found["mmengine.runner.LogProcessor"] = self.log_processor
        return {name: cls for name, cls in found.items() if cls is not None}


def load() -> Targets:
    """Import what is patched.

    Returns:
        Targets: What there is of it. A module or class that is not where it
        was is None, for the shape to tell.

    Raises:
        UnusableMMEngineError: If mmengine is missing, is another project's
            package of that name, or fails to import. Says what to install.
    """
    if find_spec("mmengine") is None:
        raise UnusableMMEngineError(
            "valloss_compat patches mmengine, and there is no mmengine in this "
            "environment. Install the release that your project pins, for example "
            "pip install 'mmengine==0.10.4' (mmengine-lite, mmengine-open and "
            "onedl-mmengine serve as well).",
            name="mmengine",
        )
    return Targets(
        loops=_import("mmengine.runner.loops"),
        evaluator=getattr(_import("mmengine.evaluator"), "Evaluator", None),
        log_processor=getattr(_import("mmengine.runner"), "LogProcessor", None),
    )


def _import(module: str) -> Optional[ModuleType]:
    try:
        return importlib.import_module(module)
    except Exception as error:
        name = getattr(error, "name", None) or ""
        remedy = _REMEDIES.get(name.split(".")[0])
        if name == module and module != "mmengine.runner":
            return None  # a newer mmengine may have it elsewhere
        if name.startswith("mmengine"):
            remedy = (
                "the package of that name is not OpenMMLab's or not whole; "
                "reinstall mmengine"
            )
        raise UnusableMMEngineError(
            "valloss_compat patches mmengine, and importing mmengine.runner failed "
            f"with {type(error).__name__}: {error}. Remedy: "
            f"{remedy or 'make `import mmengine.runner` work in this environment'}.",
            name=name or "mmengine",
        ) from error


def plan(mode: str) -> PatchSet:
    """Decide what to patch.

    Args:
        mode (str): ``'default'`` or ``'parity'``.

    Returns:
        Plan: Not applied yet.

    Raises:
        UnusableMMEngineError: If there is no mmengine to patch.
    """
    targets = load()
    shape = inspect_mmengine(*targets)
    unknown = shape.unknown
    parts: List[Union[Patch, SubclassPatcher]] = []
    untouched = shape.native and mode == "parity"
    if not unknown:
        try:
            # What works is not touched: only ValLossHook can be found.
            parts = [_names()] if untouched else _parts(mode, shape.native, targets)
        except ImportError as error:  # of what the seams need of mmengine
            unknown = f"{type(error).__name__}: {error}"
    if unknown:
        name, reason = "unknown", unknown
    elif shape.native:
        name, reason = "correct", "this mmengine has the convention, with defects"
        if untouched:
            name, reason = "native", "this mmengine has the convention itself"
    else:
        name, reason = "add", "this mmengine lacks the convention"
    alone = []
    if unknown or untouched:
        alone = [_left_alone(*place, reason) for place in targets.methods()]
    return PatchSet(name, reason, parts, targets.classes(), alone)


def _names() -> Patch:
    """Hooks of ours are found by their names."""
    from valloss_compat._patches import hook_registry

    registry = importlib.import_module("mmengine.registry").Registry
    return Patch(registry, "get", hook_registry.get)


def _left_alone(target: Any, attribute: str, reason: str) -> Patch:
    """Stands for a patch in a plan that applies none."""
    patch = Patch(target, attribute, lambda call, *args, **kw: call(*args, **kw))
    patch.reason = reason
    return patch


def _parts(
    mode: str, native: bool, targets: Targets
) -> List[Union[Patch, SubclassPatcher]]:
    # Not at the top: these import mmengine, which may be missing.
    from valloss_compat._patches import log_processor as log_seam
    from valloss_compat._patches import native_helpers as helpers
    from valloss_compat._recording.native_recorder import NativeRecorder
    from valloss_compat._recording.parity_recorder import ParityRecorder
    from valloss_compat._recording.recorder import Recorder

    if mode == "parity":
        recorder: Recorder = ParityRecorder()
    else:
        recorder = NativeRecorder() if native else Recorder()
    # Native mmengine has no idea of loops with a run of their own.
    whole = mode == "default"
    parts = _families(recorder, targets, whole)
    if whole:
        # A subclass that calls super() is served; others log what they like.
        get_log = partial(log_seam.get_log_after_epoch, recorder)
        logs = {"get_log_after_epoch": get_log}
        parts.append(SubclassPatcher(targets.log_processor, logs, subclasses=False))
    parts.append(_names())
    if isinstance(recorder, NativeRecorder):
        loops = targets.loops
        update_losses = partial(helpers.update_losses, recorder)
        parse_losses = partial(helpers.parse_losses, recorder)
        parts.append(Patch(loops, "_update_losses", update_losses))
        parts.append(Patch(loops, "_parse_losses", parse_losses))
    return parts


def _families(
    recorder: Any, targets: Targets, whole: bool
) -> List[Union[Patch, SubclassPatcher]]:
    """The loops and evaluators, and in default mode their subclasses."""
    from valloss_compat._patches import evaluator as evaluators
    from valloss_compat._patches import loops as loop_seams

    evaluator_seams = {
        "process": partial(evaluators.process, recorder),
        "evaluate": partial(evaluators.evaluate, recorder),
    }
    evaluator_family = SubclassPatcher(targets.evaluator, evaluator_seams)

    def cover(instance: Any) -> None:
        evaluator_family.cover(type(instance))

    loops = targets.loops
    seams = {
        "run": partial(loop_seams.run, recorder, cover),
        "run_iter": partial(loop_seams.run_iter, recorder),
    }
    families = [
        SubclassPatcher(cls, seams, subclasses=whole)
        for cls in (loops.ValLoop, loops.TestLoop)
    ]
    if not whole:
        return [*families, evaluator_family]
    others = SubclassPatcher(loops.BaseLoop, seams, only=loop_seams.validates)

    def cover_loop(loop: Any) -> None:
        for family in (*families, others):
            family.cover(type(loop))

    built = partial(loop_seams.built, cover_loop)
    watch = Patch(loops.BaseLoop, "__init__", built)
    return [*families, evaluator_family, others, watch]
