"""Imports mmengine, and checks that it is built as the wrappers expect.

Features decide, never the version number: who calls whom, by which argument
names, and whether mmengine handles losses itself. An mmengine that differs there
is left alone.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from types import CodeType
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional

from valloss_compat._patches.patch import find_wrapped
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

#: The helpers that came with the convention, their parameters, and who calls them.
_HELPERS = {
    "_update_losses": (("outputs", "losses"), "run_iter"),
    "_parse_losses": (("losses", "stage"), "run"),
}


def import_targets(names: Iterable[str]) -> Dict[str, Any]:
    """Import what is patched.

    Args:
        names (Iterable[str]): ``'module:Class'`` or ``'module'``, as in the table.

    Returns:
        dict: Name -> class or module; None for what this mmengine does not have.

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
    targets = {}
    modules: Dict[str, Any] = {}
    for target in names:
        module, _, attribute = target.partition(":")
        if module not in modules:
            modules[module] = _import(module)
        found = modules[module]
        targets[target] = getattr(found, attribute, None) if attribute else found
    return targets


def _import(module: str) -> Any:
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


class Inspection(NamedTuple):
    """What the installed mmengine is.

    Attributes:
        native (bool): Whether it has the convention of 0.10.5 itself.
        problem (str): What is not built as expected; empty if all is.
    """

    native: bool
    problem: str


def inspect_mmengine(targets: Mapping[str, Any]) -> Inspection:
    """Check what is to be patched.

    Args:
        targets (dict): As :func:`import_targets` returns it.
    """
    loops = {
        "val": targets["mmengine.runner.loops:ValLoop"],
        "test": targets["mmengine.runner.loops:TestLoop"],
    }
    native = any(map(_calls_helpers, loops.values()))
    problems: List[Iterator[str]] = [
        _of_base_loop(targets["mmengine.runner.loops:BaseLoop"]),
        _of_helpers(targets["mmengine.runner.loops"], native),
        *(_of_loop(cls, stage, native) for stage, cls in loops.items()),
        _of_evaluator(targets["mmengine.evaluator:Evaluator"]),
        _of_method(
            targets["mmengine.runner:LogProcessor"],
            "LogProcessor",
            "get_log_after_epoch",
        ),
    ]
    if not native:
        evaluator = targets["mmengine.evaluator:Evaluator"]
        problems += [_of_losses(cls) for cls in (*loops.values(), evaluator)]
    for problem in (text for texts in problems for text in texts):
        return Inspection(native, problem)
    return Inspection(native, "")


def _calls_helpers(cls: Any) -> bool:
    """Whether a loop handles losses, by its code: the helpers may be added ones."""
    return any(
        helper in getattr(_own_code(getattr(cls, caller, None), cls), "co_names", ())
        for helper, (_, caller) in _HELPERS.items()
    )


def _of_base_loop(cls: Any) -> Iterator[str]:
    if cls is None:
        yield "there is no BaseLoop where it was"


def _of_helpers(loops: Any, native: bool) -> Iterator[str]:
    helpers = [name for name in _HELPERS if native and hasattr(loops, name)]
    if len(helpers) == 1:
        yield f"there is {helpers[0]} without its twin"
    for name in helpers:
        code = _own_code(getattr(loops, name), loops)
        parameters, _ = _HELPERS[name]
        if code is not None and _parameters(code) != parameters:
            yield f"{name} takes {_parameters(code)}, and not {parameters}"


def _of_loop(cls: Any, stage: str, native: bool) -> Iterator[str]:
    calls = {
        "run_iter": [f"{stage}_step", "process", "call_hook"],
        "run": ["evaluate"],
    }
    for helper in _HELPERS if native else ():
        calls[_HELPERS[helper][1]] += [helper, f"{stage}_loss"]
    for attribute, wanted in calls.items():
        yield from _of_method(cls, f"{stage.title()}Loop", attribute, *wanted)


def _of_evaluator(cls: Any) -> Iterator[str]:
    yield from _of_method(cls, "Evaluator", "process")
    yield from _of_method(cls, "Evaluator", "evaluate")
    code = _own_code(cls.process, cls)
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
        code = _own_code(function, cls)
    for wanted in calls:
        if code is not None and wanted not in code.co_names:
            yield f"{name}.{attribute} no longer calls {wanted}"


def _of_losses(cls: Any) -> Iterator[str]:
    """Whether a class has to do with losses, though no known helper is called."""
    for attribute, function in vars(cls).items():
        code = _own_code(function, cls)
        if code is None:
            continue
        for name in (attribute, *code.co_names, *code.co_varnames):
            if "loss" in name:
                yield (
                    f"{cls.__qualname__} has to do with a loss ({name}), and there "
                    "is none of the known helpers"
                )


def _own_code(function: Any, owner: Any) -> Optional[CodeType]:
    """The code of a function, if it stands in the module of its owner.

    None where a wrapper that hides the original, or a subclass, is in its place:
    then nothing speaks against a patch.
    """
    name = getattr(owner, "__module__", getattr(owner, "__name__", None))
    namespace = getattr(sys.modules.get(str(name)), "__dict__", None)

    def is_own(item: Any) -> bool:
        return getattr(item, "__globals__", None) is namespace

    if getattr(function, "__globals__", None) is not namespace:
        function = find_wrapped(function, is_own) if callable(function) else None
    return getattr(function, "__code__", None)


def _parameters(code: CodeType) -> Any:
    return code.co_varnames[: code.co_argcount]
