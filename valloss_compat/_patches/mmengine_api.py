"""Imports mmengine, and checks that it is built as the wrappers expect.

Features decide, never the version number: who calls whom, by which argument
names, and whether mmengine handles losses itself. An mmengine that differs there
is left alone.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from importlib.util import find_spec
from types import CodeType
from typing import Any, Dict, Iterable, Iterator, Mapping, NamedTuple, Optional

from valloss_compat._patches.patch import find_wrapped
from valloss_compat.errors import UnusableMMEngineError

#: Modules that mmengine needs, does not declare (or not tightly), and the remedy.
_REMEDIES = {
    "torch": "install the torch release of your project",
    "torchvision": "install the torchvision that matches your torch",
    "pkg_resources": "pip install 'setuptools<81'",
    "yapf": "pip install 'yapf<=0.40.1'",
    "cv2": "pip install opencv-python (or opencv-python-headless)",
    "matplotlib": "pip install matplotlib",
}
#: The same for errors of another kind, by a part of their text.
_REMEDIES_BY_TEXT = {"FormatCode() got an unexpected": _REMEDIES["yapf"]}

#: The helpers that came with the convention, their parameters, and who calls them.
_HELPERS = {
    "_update_losses": (("outputs", "losses"), "run_iter"),
    "_parse_losses": (("losses", "stage"), "run"),
}
#: Class and method -> what the method calls in every mmengine that is known.
_CALLS = {
    ("ValLoop", "run_iter"): ["val_step", "process", "call_hook"],
    ("ValLoop", "run"): ["evaluate"],
    ("TestLoop", "run_iter"): ["test_step", "process", "call_hook"],
    ("TestLoop", "run"): ["evaluate"],
    ("Evaluator", "process"): [],
    ("Evaluator", "evaluate"): [],
    ("LogProcessor", "get_log_after_epoch"): [],
}


def import_targets(names: Iterable[str]) -> Dict[str, Any]:
    """Import what is patched: ``'module:Class'`` or ``'module'``, as in the table.

    Returns:
        dict: Name -> class or module; None for what this mmengine does not have.

    Raises:
        UnusableMMEngineError: If mmengine is missing, is another project's
            package of that name, or fails to import. Says what to install.
    """
    if find_spec("mmengine") is None:
        raise UnusableMMEngineError(
            "valloss_compat patches mmengine, but this environment has no mmengine. "
            "Fix: install the release that your project pins, for example "
            "pip install 'mmengine==0.10.4' (or mmengine-lite, mmengine-open, "
            "onedl-mmengine)",
            name="mmengine",
        )
    targets = {}
    for target in names:
        module, _, attribute = target.partition(":")
        try:
            found = importlib.import_module(module)
        except Exception as error:
            if module == "mmengine.runner" or getattr(error, "name", None) != module:
                raise _unusable(error) from None
            found = None  # a newer mmengine may have it elsewhere
        targets[target] = getattr(found, attribute, None) if attribute else found
    return targets


def _unusable(error: Exception) -> UnusableMMEngineError:
    """The error of a user whose mmengine fails to import."""
    name = getattr(error, "name", None) or ""
    remedy = remedy_for(error)
    if name.startswith("mmengine"):
        remedy = (
            "reinstall mmengine, as the package of that name is not OpenMMLab's or not "
            "whole"
        )
    return UnusableMMEngineError(
        "valloss_compat patches mmengine, but importing mmengine.runner failed "
        f"with {describe_error(error)}. Fix: "
        f"{remedy or 'make `import mmengine.runner` work in this environment'}",
        name=name or "mmengine",
    )


def describe_error(error: BaseException) -> str:
    """Describe an error, and the file and line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    # Imports go through frames of the interpreter.
    last = [frame for frame in frames if not frame.filename.startswith("<")][-1]
    return f"{type(error).__name__}: {error} ({last.filename}, line {last.lineno})"


def remedy_for(error: BaseException) -> str:
    """Return the known remedy for an error of mmengine in its environment, or ''.

    Or for one that it came from: mmengine 0.8 raises a SyntaxError where yapf fails.
    """
    remedy = _REMEDIES.get((getattr(error, "name", None) or "").split(".")[0])
    known = (fix for part, fix in _REMEDIES_BY_TEXT.items() if part in str(error))
    cause = error.__cause__ or error.__context__
    return remedy or next(known, "") or (remedy_for(cause) if cause else "")


class Inspection(NamedTuple):
    """What the installed mmengine is."""

    native: bool  #: Whether it has the convention of 0.10.5 itself.
    problem: str  #: What is not built as expected; empty if all is.


def inspect_mmengine(targets: Mapping[str, Any]) -> Inspection:
    """Check what is to be patched, as :func:`import_targets` returns it."""
    loops = targets["mmengine.runner.loops"]
    classes = {name.partition(":")[2]: target for name, target in targets.items()}
    # By the code of the loops: the helpers in their module may be added ones.
    native = False
    for cls in (classes["ValLoop"], classes["TestLoop"]):
        for helper, (_, caller) in _HELPERS.items():
            code = _own_code(cls, caller)
            native = native or (code is not None and helper in code.co_names)
    return Inspection(native, next(_problems(loops, classes, native), ""))


def _problems(loops: Any, classes: Mapping[str, Any], native: bool) -> Iterator[str]:
    if classes["BaseLoop"] is None:
        yield "there is no BaseLoop"
    helpers = [name for name in _HELPERS if native and hasattr(loops, name)]
    if len(helpers) == 1:
        yield f"only one of the helpers is there, {helpers[0]}"
    for helper in helpers:
        code = _own_code(loops, helper)
        wanted, _ = _HELPERS[helper]
        if code is not None and _parameters(code) != wanted:
            yield f"{helper} takes {_parameters(code)}, but {wanted} are expected"
    for (name, method), calls in _CALLS.items():
        if getattr(classes[name], method, None) is None:
            yield f"there is no {name}.{method}"
        code = _own_code(classes[name], method)
        for helper, (_, caller) in _HELPERS.items():
            if native and caller == method:
                calls = [*calls, helper, f"{name[:-4].lower()}_loss"]
        for called in calls:
            if code is not None and called not in code.co_names:
                yield f"{name}.{method} no longer calls {called}"
        if method == "process" and code is not None:
            parameters = _parameters(code)
            if not {"data_samples", "data_batch"} <= set(parameters):
                yield f"Evaluator.process takes {parameters[1:]}, no data_samples"
    for name in () if native else ("ValLoop", "TestLoop", "Evaluator"):
        for method, function in vars(classes[name]).items():
            code = _own_code(classes[name], method) if callable(function) else None
            names = () if code is None else (method, *code.co_names, *code.co_varnames)
            for found in names:
                if "loss" in found:
                    yield (f"{name} handles a loss ({found}) without the known helpers")


def _own_code(owner: Any, attribute: str) -> Optional[CodeType]:
    """The code of a function, if it stands in the module of its owner.

    None where a wrapper that hides the original, or a subclass, is in its place:
    then nothing speaks against a patch.
    """
    name = getattr(owner, "__module__", getattr(owner, "__name__", None))
    namespace = getattr(sys.modules.get(str(name)), "__dict__", None)
    function = getattr(owner, attribute, None)
    if getattr(function, "__globals__", None) is not namespace:
        function = find_wrapped(
            function,
            lambda item: item if getattr(item, "__globals__", 0) is namespace else None,
        )
    return getattr(function, "__code__", None)


def _parameters(code: CodeType) -> Any:
    return code.co_varnames[: code.co_argcount]
