"""THE TABLE: what is patched in mmengine, by what, and when.

Data: this module imports neither mmengine nor the wrappers. ``status()`` and the
table in the documentation are made from it.
"""

from __future__ import annotations

from typing import NamedTuple, Tuple

#: Plan -> why it is chosen, two for mode 'default' and two for mode 'parity'.
PLANS = {
    "add": "this mmengine has no validation loss",
    "correct": "this mmengine has a validation loss, with defects that are corrected",
    "parity": "this mmengine has no validation loss",
    "native": "this mmengine has a validation loss of its own",
}

_DEFAULT = ("add", "correct")
_ALL_BUT_NATIVE = ("add", "correct", "parity")
_ALL = ("add", "correct", "parity", "native")


class PatchPoint(NamedTuple):
    """One function of mmengine that is patched. ``'m:f'`` is f in m of this package."""

    target: str  #: ``'module:Class'``, or ``'module'`` for a function of a module.
    attribute: str  #: Name of the function.
    wrapper: str  #: ``'m:f'``, called as ``f(recorder, original, args, kwargs)``.
    purpose: str  #: What the wrapper does.
    plans: Tuple[str, ...] = _ALL_BUT_NATIVE  #: Those that apply it.
    subclasses: Tuple[str, ...] = ()  #: Those that patch overriding subclasses too.
    only: str = ""  #: ``'m:f'`` that tells which of these; ``''``: all.
    #: ``'m:f'`` in the place of the original in an mmengine without one; ``''``: the
    #: point is left out there.
    default: str = ""


_LOOPS = "mmengine.runner.loops"
_EVALUATOR = "mmengine.evaluator:Evaluator"

PATCH_POINTS = (
    *[
        PatchPoint(
            f"{_LOOPS}:{loop}",
            "run",
            "_patches.loops:run",
            "starts an epoch",
            subclasses=_DEFAULT,
        )
        for loop in ("ValLoop", "TestLoop")
    ],
    PatchPoint(
        f"{_LOOPS}:BaseLoop",
        "run",
        "_patches.loops:run",
        "starts an epoch of a loop of another kind that validates",
        plans=_DEFAULT,
        subclasses=_DEFAULT,
        only="_patches.loops:validates",
    ),
    PatchPoint(
        f"{_LOOPS}:BaseLoop",
        "__init__",
        "_patches.loops:init",
        "patches the class of a loop if its creation was missed",
        plans=_DEFAULT,
    ),
    *[
        PatchPoint(
            f"{_LOOPS}:{loop}",
            "run_iter",
            "_patches.loops:run_iter",
            "marks the results that native mmengine extracts from",
            plans=("parity",),
        )
        for loop in ("ValLoop", "TestLoop")
    ],
    PatchPoint(
        _EVALUATOR,
        "process",
        "_patches.results:process",
        "extracts the loss element and accumulates its losses",
        subclasses=_ALL_BUT_NATIVE,
    ),
    PatchPoint(
        _EVALUATOR,
        "evaluate",
        "_patches.results:evaluate",
        "adds the mean losses to the metrics and ends the epoch",
        subclasses=_ALL_BUT_NATIVE,
    ),
    *[
        PatchPoint(
            f"mmengine.runner:{runner}",
            "call_hook",
            "_patches.results:call_hook",
            "hands results without the loss element to hooks",
            subclasses=_ALL_BUT_NATIVE,
        )
        for runner in ("Runner", "FlexibleRunner")
    ],
    PatchPoint(
        "mmengine.runner:LogProcessor",
        "get_log_after_epoch",
        "_patches.log_processor:get_log_after_epoch",
        "logs the value of this epoch, not the mean over ten",
        plans=_DEFAULT,
    ),
    PatchPoint(
        "mmengine.model:BaseTTAModel",
        "merge_preds",
        "_patches.results:merge_preds",
        "removes loss elements from augmented predictions",
        plans=_DEFAULT,
        subclasses=_DEFAULT,
    ),
    PatchPoint(
        "mmengine.registry:Registry",
        "get",
        "_patches.hook_registry:get",
        "finds the hooks of this package by their names",
        plans=_ALL,
    ),
    PatchPoint(
        _LOOPS,
        "_update_losses",
        "_patches.results:update_losses",
        "accumulates where native loops extract",
        default="_recording.parity_recorder:update_losses",
    ),
    PatchPoint(
        _LOOPS,
        "_parse_losses",
        "_patches.results:parse_losses",
        "reports nothing twice where native loops report",
        default="_recording.parity_recorder:parse_losses",
    ),
)
