"""Which mmengine this is, and which patches it gets.

Features decide, never the version number: the number is only for messages.
"""

from __future__ import annotations

import importlib
import inspect
from functools import partial
from importlib.util import find_spec
from types import ModuleType
from typing import Any, List, NamedTuple, Optional, Union

from valloss_compat.errors import UnusableMMEngineError
from valloss_compat.family import Family
from valloss_compat.patching import Patch

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


class Shape(NamedTuple):
    """What the installed mmengine looks like.

    Attributes:
        native (bool): Whether it has the convention of 0.10.5 itself.
        unknown (str): What does not look as known; empty if all does.
    """

    native: bool
    unknown: str


class Plan:
    """The patches that one mode applies to one mmengine.

    Attributes:
        name (str): ``'add'`` (the convention is added), ``'correct'`` (native
            mmengine is corrected), ``'native'`` (only hooks are found by name) or
            ``'unknown'`` (nothing is patched, for want of a known shape).
        reason (str): Why.
        parts (list): Patches and families of patches, in order.
    """

    def __init__(
        self, name: str, reason: str, parts: Optional[List[Union[Patch, Family]]] = None
    ) -> None:
        self.name = name
        self.reason = reason
        self.parts = parts or []

    def apply(self) -> None:
        """Put all patches on."""
        for part in self.parts:
            part.apply()

    def revert(self) -> None:
        """Take all patches off, in reverse order."""
        for patch in reversed(self.patches):
            patch.revert()

    @property
    def patches(self) -> List[Patch]:
        """The single patches."""
        patches: List[Patch] = []
        for part in self.parts:
            patches.extend(part.patches if isinstance(part, Family) else [part])
        return patches


def load() -> ModuleType:
    """Import what is patched.

    Returns:
        module: ``mmengine.runner.loops``.

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
    try:
        return importlib.import_module("mmengine.runner.loops")
    except Exception as error:
        name = getattr(error, "name", None) or ""
        remedy = _REMEDIES.get(name.split(".")[0])
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


def shape_of(loops: ModuleType, evaluator: Any) -> Shape:
    """Look at what is to be patched.

    Args:
        loops (module): ``mmengine.runner.loops``.
        evaluator (type): ``mmengine.evaluator.Evaluator``.

    Returns:
        Shape: ``native`` by the helpers that came with the convention.
    """
    helpers = [
        name for name in ("_update_losses", "_parse_losses") if hasattr(loops, name)
    ]
    expected = [
        (getattr(loops, "ValLoop", None), "run_iter", "val_step"),
        (getattr(loops, "TestLoop", None), "run_iter", "test_step"),
        (getattr(loops, "ValLoop", None), "run", "evaluate"),
        (getattr(loops, "TestLoop", None), "run", "evaluate"),
        (evaluator, "process", None),
        (evaluator, "evaluate", None),
    ]
    for owner, attribute, calls in expected:
        function = getattr(owner, attribute, None)
        if function is None:
            return Shape(bool(helpers), f"there is no {attribute} where it was")
        code = getattr(inspect.unwrap(function), "__code__", None)
        # Somebody's plain wrapper hides the code: then nothing speaks against it.
        if code is None or code.co_filename != loops.__file__ or calls is None:
            continue
        if calls not in code.co_names:
            where = f"{owner.__qualname__}.{attribute}"
            return Shape(bool(helpers), f"{where} no longer calls {calls}")
    if len(helpers) == 1:
        return Shape(True, f"there is {helpers[0]} without its twin")
    init = getattr(inspect.unwrap(loops.ValLoop.__init__), "__code__", None)
    if init is not None and "val_loss" in init.co_names and not helpers:
        return Shape(True, "ValLoop has a val_loss, and none of the known helpers")
    return Shape(bool(helpers), "")


def plan(mode: str) -> Plan:
    """Decide what to patch.

    Args:
        mode (str): ``'default'`` or ``'parity'``.

    Returns:
        Plan: Not applied yet.

    Raises:
        UnusableMMEngineError: If there is no mmengine to patch.
    """
    loops = load()
    evaluator = importlib.import_module("mmengine.evaluator").Evaluator
    shape = shape_of(loops, evaluator)
    if shape.unknown:
        return Plan("unknown", shape.unknown)
    # Not at the top: these import mmengine, which may be missing.
    from valloss_compat.patches import hook_names

    registry = importlib.import_module("mmengine.registry").Registry
    names = Patch(registry, "get", hook_names.get)
    if shape.native and mode == "parity":
        # What works is not touched: only ValLossHook can be found.
        return Plan("native", "this mmengine has the convention itself", [names])
    from valloss_compat.native_recorder import NativeRecorder
    from valloss_compat.parity import ParityRecorder
    from valloss_compat.patches import evaluator as evaluators
    from valloss_compat.patches import log_processor as log_seam
    from valloss_compat.patches import loops as loop_seams
    from valloss_compat.patches import native
    from valloss_compat.recorder import Recorder

    if mode == "parity":
        recorder: Recorder = ParityRecorder()
    else:
        recorder = NativeRecorder() if shape.native else Recorder()
    run_iter = partial(loop_seams.run_iter, recorder)
    process = partial(evaluators.process, recorder)
    evaluate = partial(evaluators.evaluate, recorder)
    evaluator_family = Family(evaluator, {"process": process, "evaluate": evaluate})

    def cover(instance: Any) -> None:
        evaluator_family.cover(type(instance))

    loop_patches = {
        "run": partial(loop_seams.run, recorder, cover),
        "run_iter": run_iter,
    }
    # Native mmengine has no idea of loops with a run of their own.
    whole = mode == "default"
    parts: List[Union[Patch, Family]] = [
        Family(loops.ValLoop, loop_patches, subclasses=whole),
        Family(loops.TestLoop, loop_patches, subclasses=whole),
        evaluator_family,
    ]
    if whole:
        parts.append(Family(loops.BaseLoop, loop_patches, only=loop_seams.validates))
        # A subclass that calls super() is served; others log what they like.
        processor = importlib.import_module("mmengine.runner.log_processor")
        get_log = partial(log_seam.get_log_after_epoch, recorder)
        logs = {"get_log_after_epoch": get_log}
        parts.append(Family(processor.LogProcessor, logs, subclasses=False))
    parts.append(names)
    if not isinstance(recorder, NativeRecorder):
        return Plan("add", "this mmengine lacks the convention", parts)
    parts += [
        Patch(loops, "_update_losses", partial(native.update_losses, recorder)),
        Patch(loops, "_parse_losses", partial(native.parse_losses, recorder)),
    ]
    return Plan("correct", "this mmengine has the convention, with defects", parts)
