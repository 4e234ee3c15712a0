"""What the installed mmengine looks like: whether it is as the patches know it.

Features decide, never the version number. Looked at is what the seams rely on:
who calls whom, by which argument names, and whether something that handles
losses is there already. An mmengine that differs there is left alone.
"""

from __future__ import annotations

import inspect
import sys
from types import CodeType, ModuleType
from typing import Any, Iterator, List, NamedTuple, Optional

#: The helpers that came with the convention, their parameters, and who calls them.
_HELPERS = {
    "_update_losses": (("outputs", "losses"), "run_iter"),
    "_parse_losses": (("losses", "stage"), "run"),
}


class Inspection(NamedTuple):
    """What the installed mmengine looks like.

    Attributes:
        native (bool): Whether it has the convention of 0.10.5 itself.
        unknown (str): What does not look as known; empty if all does.
    """

    native: bool
    unknown: str


def inspect_mmengine(
    loops: ModuleType, evaluator: Any, log_processor: Any
) -> Inspection:
    """Look at what is to be patched.

    Args:
        loops (module): ``mmengine.runner.loops``.
        evaluator (type): ``mmengine.evaluator.Evaluator``.
        log_processor (type): ``mmengine.runner.LogProcessor``.

    Returns:
        Shape: ``native`` by the helpers that came with the convention.
    """
    helpers = [name for name in _HELPERS if hasattr(loops, name)]
    loop_classes = [getattr(loops, name, None) for name in ("ValLoop", "TestLoop")]
    if not hasattr(loops, "BaseLoop"):
        return Inspection(bool(helpers), "there is no BaseLoop where it was")
    differences: List[Iterator[str]] = [
        _of_helpers(loops, helpers),
        _of_loop(loop_classes[0], "ValLoop", "val", helpers),
        _of_loop(loop_classes[1], "TestLoop", "test", helpers),
        _of_evaluator(evaluator),
        _of_method(log_processor, "LogProcessor", "get_log_after_epoch"),
    ]
    if not helpers:
        differences += [_of_losses(cls) for cls in (*loop_classes, evaluator)]
    for difference in differences:
        for unknown in difference:
            return Inspection(bool(helpers), unknown)
    return Inspection(bool(helpers), "")


def _of_helpers(loops: ModuleType, helpers: List[str]) -> Iterator[str]:
    if len(helpers) == 1:
        yield f"there is {helpers[0]} without its twin"
    for name in helpers:
        code = _own_code(getattr(loops, name), loops.__name__)
        parameters, _ = _HELPERS[name]
        if code is not None and _parameters(code) != parameters:
            yield f"{name} takes {_parameters(code)}, and not {parameters}"


def _of_loop(cls: Any, name: str, stage: str, helpers: List[str]) -> Iterator[str]:
    calls = {
        "run_iter": [f"{stage}_step", "process", "call_hook"],
        "run": ["evaluate"],
    }
    for helper in helpers:
        calls[_HELPERS[helper][1]] += [helper, f"{stage}_loss"]
    for attribute, wanted in calls.items():
        yield from _of_method(cls, name, attribute, *wanted)


def _of_evaluator(cls: Any) -> Iterator[str]:
    yield from _of_method(cls, "Evaluator", "process")
    yield from _of_method(cls, "Evaluator", "evaluate")
    code = _own_code(cls.process, cls.__module__)
    if code is not None and not {"data_samples", "data_batch"} <= set(
        _parameters(code)
    ):
        yield f"Evaluator.process takes {_parameters(code)[1:]}, no data_samples"


def _of_method(cls: Any, name: str, attribute: str, *calls: str) -> Iterator[str]:
    function = getattr(cls, attribute, None)
    code = None
    if function is None:
        yield f"there is no {name}.{attribute} where it was"
    else:
        code = _own_code(function, cls.__module__)
    for wanted in calls:
        if code is not None and wanted not in code.co_names:
            yield f"{name}.{attribute} no longer calls {wanted}"


def _of_losses(cls: Any) -> Iterator[str]:
    """Whether a class has to do with losses, though no known helper is there."""
    for attribute, function in vars(cls).items():
        code = _own_code(function, cls.__module__)
        if code is None:
            continue
        for name in (attribute, *code.co_names, *code.co_varnames):
            if "loss" in name:
                yield (
                    f"{cls.__qualname__} has to do with a loss ({name}), and there "
                    "is none of the known helpers"
                )


def _own_code(function: Any, module: str) -> Optional[CodeType]:
    """The code of a function, if it is the module's own.

    Somebody's wrapper, or a subclass's method, hides it: then nothing speaks
    against a patch.
    """
    code = getattr(inspect.unwrap(function), "__code__", None)
    file = getattr(sys.modules.get(module), "__file__", None)
    return code if code is not None and code.co_filename == file else None


def _parameters(code: CodeType) -> Any:
    return code.co_varnames[: code.co_argcount]
